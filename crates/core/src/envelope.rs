//! The envelope: what an entry is in Redis. A fixed header, stamps of what the entry depends on, key, payload.
//!
//! Times are Redis's own (ms), so that every process judges an entry alike. Anything unknown or damaged
//! (format, codec, length, checksum) is a miss and a count, never an error for the caller.
//!
//! ```text
//!  0 magic "TC" · 2 format · 3 mark (outside the checksum) · 4 codec · 5 flags · 6 stamps u16
//!  8 id [16] (the token that filled it) · 24 reign · 32 created · 40 ttl · 48 staleWhileRevalidate
//! 56 staleIfError · 64 rules · 72 names length u32, 0 u32 · 80 key length u32 · 84 payload length u32 · 88 checksum
//! 96 stamps (name 16, removed 8, staled 8, reign 8)… · names (u16 length, tag)… · key · payload      all little-endian
//! ```

use std::ops::Range;

use xxhash_rust::xxh3::{xxh3_64_with_seed, Xxh3};

use crate::key::NameHash;
use crate::seal;
use crate::steps::{steps, STEP};

const MAGIC: [u8; 2] = *b"TC";
const FORMAT: u8 = 2;
const HEADER: usize = 96;
const STAMP: usize = 40;
const ASCII: u8 = 1;
const REFRESH: u8 = 2;

/// The token under which an entry was loaded; its identity.
pub type EntryId = [u8; 16];

/// Which server's history a version belongs to: a hash of its `run_id` and `master_replid`. Versions of
/// different reigns are never equal, so nothing from before a restart or a failover is valid after it.
pub type Reign = u64;

/// A value as bytes, with what its reader must know. The core never looks inside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Payload {
    /// Which form the bytes have; the JS layer's business.
    pub codec: u8,
    /// All bytes are below 0x80: JavaScript can make a one-byte string of them at once.
    pub ascii: bool,
    pub bytes: Box<[u8]>,
}

/// How long a value lives, ms.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    pub ttl: u64,
    pub stale_while_revalidate: u64,
    pub stale_if_error: u64,
}

impl Policy {
    /// From storage to the end of the longest window.
    #[must_use]
    pub fn hard_ttl(&self) -> u64 {
        self.ttl + self.stale_while_revalidate.max(self.stale_if_error)
    }
}

/// The versions of a tag or a namespace: made by the server, compared by equality.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Version {
    pub removed: u64,
    pub staled: u64,
    pub reign: Reign,
}

/// A dependency and the version it had when the load began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    pub name: NameHash,
    pub version: Version,
}

/// An envelope taken apart.
#[derive(Clone, Debug)]
pub struct Envelope<'a> {
    pub marked_stale: bool,
    pub codec: u8,
    pub ascii: bool,
    /// It was stored in the place of one that had become too old: not after an invalidation.
    pub is_refresh: bool,
    pub id: EntryId,
    pub reign: Reign,
    /// When it was stored, ms of Redis's clock.
    pub created: u64,
    pub policy: Policy,
    /// The namespace first, then the tags.
    pub stamps: Vec<Stamp>,
    /// The number of the latest pattern rule when the load began.
    pub rules: u64,
    /// The tags' names, for people; see [`tag_names`].
    pub names: &'a [u8],
    pub key: &'a str,
    pub payload: &'a [u8],
}

/// Why bytes are no envelope of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed(pub &'static str);

impl Envelope<'_> {
    /// Bytes of what `encode` makes.
    #[must_use]
    pub fn encoded_len(&self) -> usize {
        let body = self.names.len() + self.key.len() + self.payload.len();
        HEADER + self.stamps.len() * STAMP + body
    }

    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.encoded_len() + seal::LEN);
        out.extend_from_slice(&MAGIC);
        out.extend_from_slice(&[
            FORMAT,
            u8::from(self.marked_stale),
            self.codec,
            u8::from(self.ascii) * ASCII + u8::from(self.is_refresh) * REFRESH,
        ]);
        out.extend_from_slice(&(self.stamps.len() as u16).to_le_bytes());
        out.extend_from_slice(&self.id);
        let Policy {
            ttl,
            stale_while_revalidate,
            stale_if_error,
        } = self.policy;
        for word in [
            self.reign,
            self.created,
            ttl,
            stale_while_revalidate,
            stale_if_error,
            self.rules,
            self.names.len() as u64,
        ] {
            out.extend_from_slice(&word.to_le_bytes());
        }
        out.extend_from_slice(&(self.key.len() as u32).to_le_bytes());
        out.extend_from_slice(&(self.payload.len() as u32).to_le_bytes());
        out.extend_from_slice(&[0; 8]);
        for Stamp { name, version } in &self.stamps {
            out.extend_from_slice(&name.0.to_le_bytes());
            for word in [version.removed, version.staled, version.reign] {
                out.extend_from_slice(&word.to_le_bytes());
            }
        }
        out.extend_from_slice(self.names);
        out.extend_from_slice(self.key.as_bytes());
        for step in steps(self.payload) {
            out.extend_from_slice(step);
        }
        let sum = checksum(&out);
        out[88..96].copy_from_slice(&sum.to_le_bytes());
        out
    }
}

impl<'a> Envelope<'a> {
    /// Takes bytes from Redis apart.
    ///
    /// # Errors
    /// [`Malformed`] when they are not an envelope of this format: to the caller a miss.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let (mut envelope, size) = Self::head(bytes)?;
        // A seal may follow, of which whoever has its key has judged.
        if bytes.len() != size && bytes.len() != size + seal::LEN {
            return Err(Malformed("wrong length"));
        }
        let bytes = &bytes[..size];
        envelope.payload = &bytes[Self::head_len(bytes)?..];
        if checksum(bytes) != word(bytes, 88) {
            return Err(Malformed("bad checksum"));
        }
        Ok(envelope)
    }

    /// Takes what lies before the payload apart, from at least the first [`Envelope::head_len`] bytes; and how long the
    /// whole is. Nothing proves it: the checksum covers the payload too.
    ///
    /// # Errors
    /// [`Malformed`] as in `decode`.
    pub fn head(bytes: &'a [u8]) -> Result<(Self, usize), Malformed> {
        let key_end = Self::head_len(bytes)?;
        let stamps = usize::from(u16::from_le_bytes(array(bytes, 6)));
        let key_len = u32::from_le_bytes(array(bytes, 80)) as usize;
        let names_at = HEADER + stamps * STAMP;
        let key_at = key_end - key_len;
        if bytes.len() < key_end {
            return Err(Malformed("wrong length"));
        }
        let word = |at: usize| word(bytes, at);
        let stamp = |at: usize| Stamp {
            name: NameHash(u128::from_le_bytes(array(bytes, at))),
            version: Version {
                removed: word(at + 16),
                staled: word(at + 24),
                reign: word(at + 32),
            },
        };
        let envelope = Self {
            marked_stale: bytes[3] != 0,
            codec: bytes[4],
            ascii: bytes[5] & ASCII != 0,
            is_refresh: bytes[5] & REFRESH != 0,
            id: array(bytes, 8),
            reign: word(24),
            created: word(32),
            policy: Policy {
                ttl: word(40),
                stale_while_revalidate: word(48),
                stale_if_error: word(56),
            },
            stamps: (0..stamps).map(|n| stamp(HEADER + n * STAMP)).collect(),
            rules: word(64),
            names: &bytes[names_at..key_at],
            key: std::str::from_utf8(&bytes[key_at..key_end]).map_err(|_| Malformed("key is not UTF-8"))?,
            payload: &bytes[key_end..],
        };
        Ok((envelope, Self::size(bytes)?))
    }

    /// How long the whole is, from at least the first 96 bytes.
    ///
    /// # Errors
    /// As `head_len`.
    pub fn size(bytes: &[u8]) -> Result<usize, Malformed> {
        let payload_len = u32::from_le_bytes(array(bytes.get(..HEADER).ok_or(Malformed("not an envelope"))?, 84));
        Ok(Self::head_len(bytes)? + payload_len as usize)
    }

    /// How many bytes lie before the payload, from at least the first 96.
    ///
    /// # Errors
    /// [`Malformed`] when they are not the beginning of an envelope of this format.
    pub fn head_len(bytes: &[u8]) -> Result<usize, Malformed> {
        if bytes.len() < HEADER || bytes[..2] != MAGIC {
            return Err(Malformed("not an envelope"));
        }
        if bytes[2] != FORMAT {
            return Err(Malformed("unknown format"));
        }
        let stamps = usize::from(u16::from_le_bytes(array(bytes, 6)));
        let names_len = u32::from_le_bytes(array(bytes, 72)) as usize;
        let key_len = u32::from_le_bytes(array(bytes, 80)) as usize;
        Ok(HEADER + stamps * STAMP + names_len + key_len)
    }

    /// Where the id lies.
    pub const ID: Range<usize> = 8..24;

    /// The id bytes as they lie, whatever the rest is: a malformed entry must be named to be replaced.
    #[must_use]
    pub fn id_as_it_lies(bytes: &[u8]) -> Vec<u8> {
        bytes.get(Self::ID).unwrap_or_default().to_vec()
    }
}

/// Packs tags' names, each with its length before it.
#[must_use]
pub fn pack_names<'a>(names: impl Iterator<Item = &'a str>) -> Box<[u8]> {
    let mut out = Vec::new();
    for name in names {
        let name = name.as_bytes();
        out.extend_from_slice(&(name.len() as u16).to_le_bytes());
        out.extend_from_slice(name);
    }
    out.into()
}

/// Unpacks tags' names.
#[must_use]
pub fn tag_names(mut packed: &[u8]) -> Vec<&str> {
    let mut names = Vec::new();
    while let Some((len, rest)) = packed.split_first_chunk() {
        let Some((name, rest)) = rest.split_at_checked(usize::from(u16::from_le_bytes(*len))) else {
            break;
        };
        names.extend(std::str::from_utf8(name));
        packed = rest;
    }
    names
}

/// The tags' names as a JSON array of strings.
#[must_use]
pub fn names_as_json(packed: &[u8]) -> String {
    serde_json::Value::from(tag_names(packed)).to_string()
}

/// Of everything but the mark, which Redis changes in place, and the checksum itself.
fn checksum(bytes: &[u8]) -> u64 {
    let head = xxh3_64_with_seed(&bytes[4..88], u64::from(bytes[2]));
    let rest = &bytes[HEADER..];
    if rest.len() <= STEP {
        return xxh3_64_with_seed(rest, head);
    }
    let mut sum = Xxh3::with_seed(head);
    for step in steps(rest) {
        sum.update(step);
    }
    sum.digest()
}

fn word(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(array(bytes, at))
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    let mut out = [0; N];
    out.copy_from_slice(&bytes[at..at + N]);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Vec<u8> {
        Envelope {
            marked_stale: false,
            codec: 1,
            ascii: true,
            is_refresh: true,
            id: *b"0123456789abcdef",
            reign: 7,
            created: 1_000,
            policy: Policy {
                ttl: 300_000,
                stale_while_revalidate: 60_000,
                stale_if_error: 0,
            },
            stamps: vec![Stamp {
                name: NameHash(42),
                version: Version {
                    removed: 1,
                    staled: 2,
                    reign: 7,
                },
            }],
            rules: 5,
            names: &pack_names(["red", ""].into_iter()),
            key: "builds:all",
            payload: b"[1,2,3]",
        }
        .encode()
    }

    #[test]
    fn an_envelope_is_read_back_as_it_was_written() {
        let bytes = sample();

        let envelope = Envelope::decode(&bytes).expect("our own bytes");

        assert_eq!(envelope.key, "builds:all");
        assert_eq!(envelope.payload, b"[1,2,3]");
        assert_eq!(envelope.id, *b"0123456789abcdef");
        assert_eq!(envelope.stamps[0].version.staled, 2);
        assert_eq!(envelope.policy.hard_ttl(), 360_000);
        assert_eq!((envelope.rules, tag_names(envelope.names)), (5, vec!["red", ""]));
        assert!(!envelope.marked_stale && envelope.ascii && envelope.is_refresh);
    }

    #[test]
    fn the_head_is_read_without_the_payload() {
        let whole = sample();
        let len = Envelope::head_len(&whole).expect("our own bytes");

        let (envelope, size) = Envelope::head(&whole[..len]).expect("our own bytes");

        assert_eq!(size, whole.len());
        assert_eq!((envelope.key, envelope.payload), ("builds:all", &[][..]));
        assert!(Envelope::head(&whole[..len - 1]).is_err());
    }

    #[test]
    fn the_mark_is_set_in_place_without_breaking_the_checksum() {
        let mut bytes = sample();
        bytes[3] = 1;

        assert!(Envelope::decode(&bytes).expect("still whole").marked_stale);
    }

    #[test]
    fn a_seal_behind_it_is_no_part_of_it() {
        let mut bytes = sample();
        bytes.extend_from_slice(&[7; seal::LEN]);

        assert_eq!(Envelope::decode(&bytes).expect("whole").payload, b"[1,2,3]");
        assert!(Envelope::decode(&bytes[..bytes.len() - 1]).is_err());
    }

    #[test]
    fn the_checksum_of_a_long_one_is_the_same_in_steps_as_at_once() {
        let mut bytes = sample();
        bytes.resize(3 * STEP, 7);

        let at_once = xxh3_64_with_seed(&bytes[HEADER..], xxh3_64_with_seed(&bytes[4..88], u64::from(bytes[2])));
        assert_eq!(checksum(&bytes), at_once);
    }

    #[test]
    fn any_other_changed_byte_makes_it_a_miss() {
        let whole = sample();
        for at in (0..whole.len()).filter(|at| *at != 3) {
            let mut bytes = whole.clone();
            bytes[at] ^= 0x41;

            assert!(Envelope::decode(&bytes).is_err(), "byte {at}");
        }
        for len in 0..whole.len() {
            assert!(Envelope::decode(&whole[..len]).is_err(), "cut at {len}");
        }
    }
}
