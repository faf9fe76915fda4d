//! The search for a part that has wildcards, wherever it stands in a key: one bit for each character of the part, moved on by
//! each character of the key, which is so looked at once (Baeza-Yates and Gonnet, "A new approach to text searching", 1992).
//! Each different set of the part is asked once a character, by binary search.

use std::collections::HashMap;

use super::tokens::{Set, Token};

type Bits = Box<[u64]>;

/// One bit per character of the part: set while the text before matches up to it.
#[derive(Debug)]
pub(super) struct ShiftAnd {
    len: usize,
    /// Bits that accept a character, for the characters that the part names.
    named: HashMap<char, Bits>,
    /// Bits that accept anything.
    any: Bits,
    /// The different sets, with the bits of each.
    sets: Vec<(Set, Bits)>,
}

impl ShiftAnd {
    pub(super) fn new(tokens: Vec<Token>) -> Self {
        let width = |token: &Token| match token {
            Token::Text(text) => text.chars().count(),
            _ => 1,
        };
        let len: usize = tokens.iter().map(width).sum();
        let none: Bits = vec![0; len.div_ceil(64)].into();
        let mut search = Self {
            len,
            named: HashMap::new(),
            any: none.clone(),
            sets: Vec::new(),
        };
        let mut at = 0;
        for token in tokens {
            let next = at + width(&token);
            match token {
                Token::Any => set_bit(&mut search.any, at),
                Token::Text(text) => {
                    for (at, it) in (at..).zip(text.chars()) {
                        set_bit(search.named.entry(it).or_insert_with(|| none.clone()), at);
                    }
                }
                Token::Set(set) => set_bit(search.bits_of(*set, &none), at),
            }
            at = next;
        }
        search
    }

    fn bits_of(&mut self, set: Set, none: &Bits) -> &mut Bits {
        let known = self.sets.iter().position(|(it, _)| *it == set);
        let at = known.unwrap_or_else(|| {
            self.sets.push((set, none.clone()));
            self.sets.len() - 1
        });
        &mut self.sets[at].1
    }

    /// Where the match that ends first ends.
    pub(super) fn end_of_first_match(&self, key: &str) -> Option<usize> {
        let mut state = vec![0_u64; self.any.len()];
        let mut accepted = self.any.clone();
        for (at, it) in key.char_indices() {
            accepted.copy_from_slice(&self.any);
            let sets = self
                .sets
                .iter()
                .filter(|(set, _)| set.accepts(it))
                .map(|(_, bits)| bits);
            for bits in self.named.get(&it).into_iter().chain(sets) {
                for (word, more) in accepted.iter_mut().zip(bits) {
                    *word |= more;
                }
            }
            let mut carry = 1;
            for (word, accepted) in state.iter_mut().zip(&accepted) {
                let out = *word >> 63;
                *word = ((*word << 1) | carry) & accepted;
                carry = out;
            }
            let last = self.len - 1;
            if state[last / 64] >> (last % 64) & 1 == 1 {
                return Some(at + it.len_utf8());
            }
        }
        None
    }
}

fn set_bit(bits: &mut [u64], at: usize) {
    bits[at / 64] |= 1 << (at % 64);
}
