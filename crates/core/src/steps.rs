//! Steps: work on megabytes, done so that it keeps no other thread from its core.
//!
//! On a machine with few cores a thread that copies or checks 8 MB has one of them for milliseconds, and whoever passes small
//! replies on may be queued behind it. After each step it asks the system whether somebody waits, which costs well under a
//! microsecond when nobody does. What is short is done at once.

use std::thread::yield_now;

/// Bytes of a step: some 20 µs of copying.
pub const STEP: usize = 64 * 1024;

/// The bytes, a step at a time.
pub fn steps(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    bytes.chunks(STEP).enumerate().map(|(n, step)| {
        if n > 0 {
            yield_now();
        }
        step
    })
}

/// Joins pieces.
#[must_use]
pub fn join(pieces: &[Vec<u8>]) -> Vec<u8> {
    let mut whole = Vec::with_capacity(pieces.iter().map(Vec::len).sum());
    for piece in pieces {
        for step in steps(piece) {
            whole.extend_from_slice(step);
        }
        yield_now();
    }
    whole
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_bytes_come_in_order_whatever_their_number() {
        for len in [0, 1, STEP - 1, STEP, STEP + 1, 3 * STEP] {
            let bytes: Vec<u8> = (0..len).map(|n| (n % 251) as u8).collect();

            let seen = steps(&bytes).collect::<Vec<_>>().concat();

            assert_eq!(seen, bytes);
            assert_eq!(
                join(&[bytes.clone(), Vec::new(), bytes.clone()]),
                [seen, bytes].concat()
            );
        }
    }
}
