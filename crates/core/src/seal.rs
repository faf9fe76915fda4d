//! The seal: an HMAC (RFC 2104, SHA-256) behind an entry, so that who can write to Redis cannot make up values.
//!
//! It is made with a key of the namespace's own, derived from the user's, over the whole envelope but the mark, which
//! Redis changes in place. The envelope holds the user's key, and whoever reads it compares that: a sealed entry is good
//! for one key of one namespace.

use ring::hmac;

use crate::steps::steps;

/// Bytes of a seal.
pub const LEN: usize = 32;
/// Where the mark lies.
const MARK: usize = 3;

/// Seals entries and opens them; without a key it does neither.
#[derive(Clone)]
pub struct Seal(Option<hmac::Key>);

/// Shows nothing of the key.
impl std::fmt::Debug for Seal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Seal").field(&self.0.is_some()).finish()
    }
}

impl Seal {
    #[must_use]
    pub fn new(key: Option<&[u8]>, namespace: &str) -> Self {
        let own = |key: &[u8]| {
            let whole = hmac::Key::new(hmac::HMAC_SHA256, key);
            let derived = hmac::sign(&whole, format!("tidecache namespace {namespace}").as_bytes());
            hmac::Key::new(hmac::HMAC_SHA256, derived.as_ref())
        };
        Self(key.map(own))
    }

    /// Bytes of an entry, by which it is held against `maxEntryBytes`: those of its envelope, and of our seal where we have a
    /// key. What another process with another key, or none, has written counts as if it were ours.
    #[must_use]
    pub fn entry_len(&self, envelope: usize) -> usize {
        envelope + self.0.as_ref().map_or(0, |_| LEN)
    }

    /// An envelope as it is stored.
    #[must_use]
    pub fn close(&self, mut envelope: Vec<u8>) -> Vec<u8> {
        if let Some(tag) = self.tag(&envelope) {
            envelope.extend_from_slice(tag.as_ref());
        }
        envelope
    }

    /// The envelope in what is stored. `None`: it was not sealed with this key.
    #[must_use]
    pub fn open<'a>(&self, stored: &'a [u8]) -> Option<&'a [u8]> {
        if self.0.is_none() {
            return Some(stored);
        }
        let (envelope, seal) = stored.split_last_chunk::<LEN>()?;
        let tag = self.tag(envelope)?;
        // All bytes are looked at, whatever the first ones say: how long it takes tells nothing.
        let difference = tag.as_ref().iter().zip(seal).fold(0, |all, (a, b)| all | (a ^ b));
        (difference == 0).then_some(envelope)
    }

    fn tag(&self, envelope: &[u8]) -> Option<hmac::Tag> {
        let mut context = hmac::Context::with_key(self.0.as_ref()?);
        let (before, rest) = envelope.split_at_checked(MARK)?;
        context.update(before);
        for step in steps(rest.get(1..)?) {
            context.update(step);
        }
        Some(context.sign())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: Option<&[u8]> = Some(b"0123456789abcdef");

    fn sealed() -> Vec<u8> {
        Seal::new(KEY, "shop").close(b"TC2 an envelope".to_vec())
    }

    #[test]
    fn what_was_sealed_is_opened_by_the_same_key_and_namespace_alone() {
        assert_eq!(Seal::new(KEY, "shop").open(&sealed()), Some(&b"TC2 an envelope"[..]));
        assert_eq!(Seal::new(KEY, "other").open(&sealed()), None);
        assert_eq!(Seal::new(Some(b"0123456789abcdeg"), "shop").open(&sealed()), None);
    }

    #[test]
    fn any_changed_byte_but_the_mark_breaks_it() {
        for at in 0..sealed().len() {
            let mut bytes = sealed();
            bytes[at] ^= 1;

            assert_eq!(Seal::new(KEY, "shop").open(&bytes).is_some(), at == MARK, "byte {at}");
        }
        for len in 0..sealed().len() {
            assert_eq!(Seal::new(KEY, "shop").open(&sealed()[..len]), None);
        }
    }

    #[test]
    fn an_entry_is_as_long_as_what_is_stored() {
        for seal in [Seal::new(KEY, "shop"), Seal::new(None, "shop")] {
            assert_eq!(seal.entry_len(15), seal.close(b"TC2 an envelope".to_vec()).len());
        }
    }

    #[test]
    fn without_a_key_nothing_is_changed() {
        let plain = Seal::new(None, "shop");

        assert_eq!(plain.close(b"TC2".to_vec()), b"TC2");
        assert_eq!(plain.open(b"TC2"), Some(&b"TC2"[..]));
    }
}
