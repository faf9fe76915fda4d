//! Names: user keys, tags and namespaces as 128-bit hashes, and the Redis keys made of them.
//!
//! No user's name reaches Redis or the store as it is: a hash has no length, brace, glob or line break to
//! go wrong, and key tracking tells key names to every client of the server. The full key travels in the
//! envelope and is compared on every read, so a collision is a miss, never another key's value.

use std::collections::HashMap;
use std::fmt;
use std::hash::{BuildHasherDefault, Hasher};

use xxhash_rust::xxh3::{xxh3_128_with_seed, xxh3_64};

/// A hashed name. Equal names of one namespace and kind have equal hashes in every process.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NameHash(pub u128);

/// Slots of every Redis Cluster.
pub const SLOTS: u16 = 16_384;

/// The slot of a key: of what is in its first braces, or of the whole (Redis Cluster specification, "hash tags").
#[must_use]
pub fn slot_of(key: &str) -> u16 {
    let tag = key.split_once('{').and_then(|(_, rest)| rest.split_once('}'));
    let hashed = tag.map(|(tag, _)| tag).filter(|tag| !tag.is_empty()).unwrap_or(key);
    slot_of_tag(hashed.as_bytes())
}

fn slot_of_tag(tag: &[u8]) -> u16 {
    crc16::State::<crc16::XMODEM>::calculate(tag) % SLOTS
}

impl NameHash {
    /// The slot of all keys of this name: its digits are what they have in braces.
    #[must_use]
    pub fn slot(self) -> u16 {
        slot_of_tag(&self.digits())
    }

    /// Written out: `format!` of a 128-bit number costs more than the rest of a lookup.
    fn digits(self) -> [u8; 32] {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut text = [0; 32];
        for (pair, byte) in text.chunks_exact_mut(2).zip(self.0.to_be_bytes()) {
            pair[0] = DIGITS[usize::from(byte >> 4)];
            pair[1] = DIGITS[usize::from(byte & 15)];
        }
        text
    }
}

/// A map by names or by load ids: hashed once is enough.
pub type HashedMap<K, V> = HashMap<K, V, BuildHasherDefault<PassThrough>>;

/// Takes the bits of a hash, or of a count, as they are.
#[derive(Debug, Default)]
pub struct PassThrough(u64);

impl Hasher for PassThrough {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, count: u64) {
        // Tables look at the top bits too: a count has none.
        self.0 = count.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }

    fn write_u128(&mut self, hash: u128) {
        self.0 = (hash >> 64) as u64;
    }
}

impl fmt::Debug for NameHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// Hashes the names of one namespace.
#[derive(Clone, Debug)]
pub struct Namespace {
    name: Box<str>,
    key_seed: u64,
    tag_seed: u64,
    whole: NameHash,
}

impl Namespace {
    #[must_use]
    pub fn new(name: &str) -> Self {
        let seed = |kind: &str| xxh3_64(format!("{kind}:{}:{name}", name.len()).as_bytes());
        Self {
            name: name.into(),
            key_seed: seed("key"),
            tag_seed: seed("tag"),
            whole: NameHash(xxh3_128_with_seed(name.as_bytes(), seed("namespace"))),
        }
    }

    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    #[must_use]
    pub fn key(&self, key: &str) -> NameHash {
        NameHash(xxh3_128_with_seed(key.as_bytes(), self.key_seed))
    }

    #[must_use]
    pub fn tag(&self, tag: &str) -> NameHash {
        NameHash(xxh3_128_with_seed(tag.as_bytes(), self.tag_seed))
    }

    /// The namespace itself: an implicit tag of all its entries.
    #[must_use]
    pub fn whole(&self) -> NameHash {
        self.whole
    }
}

/// What an invalidation does to the entries it names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mode {
    /// Not served again.
    Remove,
    /// Served inside `staleWhileRevalidate`, refreshed at the next read.
    Stale,
}

/// What a name stands for; part of the push, so that peers know what to give up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    Key,
    Tag,
    Namespace,
    /// Its name is that of the pattern; the pattern itself is never pushed.
    Pattern,
}

/// Makes the Redis keys of one namespace. Keys of one name share a cluster slot (the hash is in braces).
#[derive(Clone, Debug)]
pub struct RedisKeys {
    prefix: Box<str>,
}

impl RedisKeys {
    #[must_use]
    pub fn new(namespace: &str) -> Self {
        Self {
            prefix: namespace.into(),
        }
    }

    fn plain(&self, part: &str, name: NameHash) -> String {
        let mut key = String::with_capacity(self.prefix.len() + part.len() + 33);
        key.push_str(&self.prefix);
        key.push_str(part);
        key.extend(name.digits().map(char::from));
        key.push('}');
        key
    }

    #[must_use]
    pub fn entry(&self, key: NameHash) -> String {
        self.plain(":e:{", key)
    }

    #[must_use]
    pub fn lease(&self, key: NameHash) -> String {
        self.plain(":l:{", key)
    }

    #[must_use]
    pub fn versions(&self, name: NameHash) -> String {
        self.plain(":t:{", name)
    }

    /// The pattern rules of the namespace, beside its versions: one script changes both.
    #[must_use]
    pub fn rules(&self, whole: NameHash) -> String {
        self.plain(":t:{", whole) + "p"
    }

    /// The prefix that peers track: nothing but pushes lives under it, and nothing stays.
    #[must_use]
    pub fn push_prefix(&self) -> String {
        format!("{}:v:", self.prefix)
    }

    /// The key whose writing and deletion is the push, with the process that sends it: its own pushes tell a
    /// process nothing, and would make it refuse loads that began after its invalidation was done.
    #[must_use]
    pub fn vehicle(&self, push: Push, process: u64) -> String {
        let kind = match push.kind {
            Kind::Key => 'k',
            Kind::Tag => 't',
            Kind::Namespace => 'n',
            Kind::Pattern => 'p',
        };
        let mode = match push.mode {
            Mode::Remove => 'r',
            Mode::Stale => 's',
        };
        format!("{}:v:{{{:?}}}{kind}{mode}{process:016x}", self.prefix, push.name)
    }

    /// The key whose push tells a process that its own tracking works.
    #[must_use]
    pub fn canary(&self, nonce: u64) -> String {
        format!("{}:v:{{{nonce:016x}}}canary", self.prefix)
    }

    /// A canary beside the keys of a name: one script may touch both in a cluster.
    #[must_use]
    pub fn canary_of(&self, name: NameHash) -> String {
        self.plain(":v:{", name) + "canary"
    }

    /// Reads a pushed key name back, with the process that sent it; `None` for canaries and names that are not
    /// ours.
    #[must_use]
    pub fn parse_vehicle(&self, pushed: &str) -> Option<(Push, u64)> {
        let rest = pushed.strip_prefix(&*self.prefix)?.strip_prefix(":v:{")?;
        let (hash, rest) = rest.split_at_checked(32)?;
        let (what, process) = rest.strip_prefix('}')?.split_at_checked(2)?;
        let name = NameHash(u128::from_str_radix(hash, 16).ok()?);
        let process = u64::from_str_radix(process, 16).ok()?;
        let (kind, mode) = match what {
            "kr" => (Kind::Key, Mode::Remove),
            "ks" => (Kind::Key, Mode::Stale),
            "tr" => (Kind::Tag, Mode::Remove),
            "ts" => (Kind::Tag, Mode::Stale),
            "nr" => (Kind::Namespace, Mode::Remove),
            "ns" => (Kind::Namespace, Mode::Stale),
            "pr" => (Kind::Pattern, Mode::Remove),
            "ps" => (Kind::Pattern, Mode::Stale),
            _ => return None,
        };
        Some((Push { name, kind, mode }, process))
    }

    /// The pattern that all entries match, for SCAN.
    #[must_use]
    pub fn entries(&self) -> String {
        format!("{}:e:{{*", self.prefix)
    }

    /// The letter of a name of this namespace: `e` an entry, `l` a lease, `t` versions, `v` a vehicle.
    #[must_use]
    pub fn kind_of(&self, name: &str) -> Option<char> {
        let rest = name.strip_prefix(&*self.prefix)?.strip_prefix(':')?;
        let mut letters = rest.chars();
        let kind = letters.next()?;
        (letters.as_str().starts_with(":{")).then_some(kind)
    }

    /// Reads the hash out of a pushed lease name.
    #[must_use]
    pub fn parse_lease(&self, pushed: &str) -> Option<NameHash> {
        let rest = pushed.strip_prefix(&*self.prefix)?.strip_prefix(":l:{")?;
        u128::from_str_radix(rest.strip_suffix('}')?, 16).ok().map(NameHash)
    }
}

/// One invalidation: of what, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Push {
    pub name: NameHash,
    pub kind: Kind,
    pub mode: Mode,
}

impl Push {
    /// The removal of one key.
    #[must_use]
    pub fn key(name: NameHash) -> Self {
        Self {
            name,
            kind: Kind::Key,
            mode: Mode::Remove,
        }
    }

    /// The removal of all of a namespace.
    #[must_use]
    pub fn whole(name: NameHash) -> Self {
        Self {
            name,
            kind: Kind::Namespace,
            mode: Mode::Remove,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_push_survives_the_way_through_its_redis_key() {
        let keys = RedisKeys::new("app");
        let name = Namespace::new("app").tag("builds");
        for kind in [Kind::Key, Kind::Tag, Kind::Namespace, Kind::Pattern] {
            for mode in [Mode::Remove, Mode::Stale] {
                let push = Push { name, kind, mode };

                let pushed = keys.vehicle(push, 99);

                assert_eq!(keys.parse_vehicle(&pushed), Some((push, 99)));
            }
        }
        assert_eq!(keys.parse_vehicle(&keys.canary(7)), None);
        assert_eq!(keys.parse_vehicle(&keys.canary_of(name)), None);
        assert_eq!(keys.parse_vehicle("other:v:{00}kr00"), None);
    }

    #[test]
    fn slots_are_those_that_redis_says() {
        // Of the specification, and CLUSTER KEYSLOT of a server.
        assert_eq!(slot_of("123456789"), 12_739);
        assert_eq!(slot_of("foo{bar}baz"), 5_061);
        assert_eq!(slot_of("foo{}bar"), 14_292);
    }

    #[test]
    fn all_keys_of_one_name_share_a_slot() {
        let keys = RedisKeys::new("app");
        for n in 0..100 {
            let name = Namespace::new("app").key(&n.to_string());

            let all = [
                keys.entry(name),
                keys.lease(name),
                keys.versions(name),
                keys.rules(name),
                keys.vehicle(Push::key(name), 7),
            ];

            assert!(all.iter().all(|key| slot_of(key) == name.slot()), "{all:?}");
        }
    }

    #[test]
    fn names_of_other_kinds_and_namespaces_hash_apart() {
        let app = Namespace::new("app");

        assert_ne!(app.key("builds"), app.tag("builds"));
        assert_ne!(app.key("builds"), Namespace::new("app2").key("builds"));
        assert_eq!(app.key("builds"), Namespace::new("app").key("builds"));
    }
}
