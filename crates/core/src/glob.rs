//! Glob patterns over keys: `*` any run, `?` one character, `[abc]` `[a-z]` `[^a]` one of a set, `\` escapes.
//!
//! No backtracking: what stands between two stars is searched once, from where the part before it ended earliest, and
//! each search looks at every character of the key once (Baeza-Yates and Gonnet, "A new approach to text searching",
//! 1992, for parts with wildcards; two-way search for plain text), asking each different set of the part by binary
//! search. So a hostile pattern costs its length times the key's at most, divided by 64 where it has no sets.

use std::collections::HashMap;
use std::str::Chars;

/// A pattern, taken apart at its stars.
#[derive(Debug)]
pub struct Glob {
    /// Anchored at the start of the key.
    first: Box<[Token]>,
    /// In order, anywhere between.
    middle: Box<[Part]>,
    /// Anchored at the end; `None`: there is no star, and `first` is all.
    last: Option<Box<[Token]>>,
}

/// Runs of plain text are one token: thousands of rules are kept, and most are mostly text.
#[derive(Debug, PartialEq, Eq)]
enum Token {
    Text(Box<str>),
    Any,
    Set(Box<Set>),
}

#[derive(Debug, PartialEq, Eq)]
struct Set {
    is_negated: bool,
    /// In order, apart from each other.
    ranges: Box<[(char, char)]>,
}

#[derive(Debug)]
enum Part {
    Text(Box<str>),
    Wild(ShiftAnd),
}

/// Why a text is no pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadGlob {
    TrailingEscape,
    OpenSet,
    EmptySet,
}

impl Glob {
    /// Reads a pattern.
    ///
    /// # Errors
    /// [`BadGlob`] for a `\` at the end, a `[` that is not closed, and a set of nothing.
    pub fn new(pattern: &str) -> Result<Self, BadGlob> {
        let mut parts = split(pattern)?;
        let last = if parts.len() > 1 { parts.pop() } else { None };
        let mut parts = parts.into_iter();
        Ok(Self {
            first: parts.next().unwrap_or_default().into(),
            middle: parts.filter(|part| !part.is_empty()).map(Part::new).collect(),
            last: last.map(Into::into),
        })
    }

    /// What every key that matches begins with.
    #[must_use]
    pub fn prefix(&self) -> &str {
        match self.first.first() {
            Some(Token::Text(text)) => text,
            _ => "",
        }
    }

    #[must_use]
    pub fn is_match(&self, key: &str) -> bool {
        let Some(mut rest) = strip_start(key, &self.first) else {
            return false;
        };
        let Some(last) = &self.last else {
            return rest.is_empty();
        };
        for part in &self.middle {
            match part.end_of_first_match(rest) {
                Some(end) => rest = &rest[end..],
                None => return false,
            }
        }
        ends_with(rest, last)
    }
}

impl Set {
    fn new(is_negated: bool, mut ranges: Vec<(char, char)>) -> Self {
        ranges.sort_unstable();
        ranges.dedup_by(|next, known| {
            let is_within = next.0 <= known.1;
            if is_within {
                known.1 = known.1.max(next.1);
            }
            is_within
        });
        let ranges = ranges.into();
        Self { is_negated, ranges }
    }

    fn accepts(&self, it: char) -> bool {
        let before = self.ranges.partition_point(|(from, _)| *from <= it);
        let is_in = before.checked_sub(1).is_some_and(|at| it <= self.ranges[at].1);
        is_in != self.is_negated
    }
}

/// The tokens between the stars.
fn split(pattern: &str) -> Result<Vec<Vec<Token>>, BadGlob> {
    let mut parts = vec![Vec::new()];
    let mut text = String::new();
    let mut chars = pattern.chars();
    while let Some(it) = chars.next() {
        let token = match it {
            '*' => None,
            '?' => Some(Token::Any),
            '[' => Some(Token::Set(Box::new(set(&mut chars)?))),
            it => {
                let is_escape = it == '\\';
                text.push(if is_escape {
                    chars.next().ok_or(BadGlob::TrailingEscape)?
                } else {
                    it
                });
                continue;
            }
        };
        end_text(&mut parts, &mut text);
        match (token, parts.last_mut()) {
            (Some(token), Some(part)) => part.push(token),
            _ => parts.push(Vec::new()),
        }
    }
    end_text(&mut parts, &mut text);
    Ok(parts)
}

fn end_text(parts: &mut [Vec<Token>], text: &mut String) {
    if let (false, Some(part)) = (text.is_empty(), parts.last_mut()) {
        part.push(Token::Text(std::mem::take(text).into()));
    }
}

/// The rest of a set, after its `[`.
fn set(chars: &mut Chars<'_>) -> Result<Set, BadGlob> {
    let is_negated = chars.as_str().starts_with(['^', '!']);
    if is_negated {
        chars.next();
    }
    let mut ranges: Vec<(char, char)> = Vec::new();
    loop {
        let from = match chars.next().ok_or(BadGlob::OpenSet)? {
            ']' if ranges.is_empty() => return Err(BadGlob::EmptySet),
            ']' => return Ok(Set::new(is_negated, ranges)),
            '\\' => chars.next().ok_or(BadGlob::OpenSet)?,
            it => it,
        };
        let mut ahead = chars.clone();
        let to = match (ahead.next(), ahead.next()) {
            // `a-z`; a `-` before the end of the set stands for itself.
            (Some('-'), Some(to)) if to != ']' => {
                *chars = ahead;
                if to == '\\' {
                    chars.next().ok_or(BadGlob::OpenSet)?
                } else {
                    to
                }
            }
            _ => from,
        };
        ranges.push((from.min(to), from.max(to)));
    }
}

/// The rest of the key after the tokens.
fn strip_start<'a>(mut key: &'a str, tokens: &[Token]) -> Option<&'a str> {
    for token in tokens {
        key = match token {
            Token::Text(text) => key.strip_prefix(&**text)?,
            Token::Any => strip_char(key, |_| true)?,
            Token::Set(set) => strip_char(key, |it| set.accepts(it))?,
        };
    }
    Some(key)
}

fn strip_char(key: &str, accepts: impl Fn(char) -> bool) -> Option<&str> {
    let mut chars = key.chars();
    chars.next().filter(|it| accepts(*it)).map(|_| chars.as_str())
}

fn ends_with(mut key: &str, tokens: &[Token]) -> bool {
    tokens.iter().rev().all(|token| {
        let rest = match token {
            Token::Text(text) => key.strip_suffix(&**text),
            Token::Any => strip_last_char(key, |_| true),
            Token::Set(set) => strip_last_char(key, |it| set.accepts(it)),
        };
        key = rest.unwrap_or_default();
        rest.is_some()
    })
}

fn strip_last_char(key: &str, accepts: impl Fn(char) -> bool) -> Option<&str> {
    let mut chars = key.chars();
    chars.next_back().filter(|it| accepts(*it)).map(|_| chars.as_str())
}

impl Part {
    /// Of one token at least.
    fn new(tokens: Vec<Token>) -> Self {
        match <[Token; 1]>::try_from(tokens) {
            Ok([Token::Text(text)]) => Self::Text(text),
            Ok(tokens) => Self::Wild(ShiftAnd::new(tokens.into())),
            Err(tokens) => Self::Wild(ShiftAnd::new(tokens)),
        }
    }

    /// Where the match that ends first ends.
    fn end_of_first_match(&self, key: &str) -> Option<usize> {
        match self {
            Self::Text(text) => key.find(&**text).map(|at| at + text.len()),
            Self::Wild(search) => search.end_of_first_match(key),
        }
    }
}

type Bits = Box<[u64]>;

/// One bit per character of the part: set while the text before matches up to it.
#[derive(Debug)]
struct ShiftAnd {
    len: usize,
    /// Bits that accept a character, for the characters that the part names.
    named: HashMap<char, Bits>,
    /// Bits that accept anything.
    any: Bits,
    /// The different sets, with the bits of each.
    sets: Vec<(Set, Bits)>,
}

impl ShiftAnd {
    fn new(tokens: Vec<Token>) -> Self {
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

    fn end_of_first_match(&self, key: &str) -> Option<usize> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_as_a_table() {
        let cases: &[(&str, &[&str], &[&str])] = &[
            ("abc", &["abc"], &["ab", "abcd", ""]),
            ("*", &["", "a", "a:b\n"], &[]),
            ("abc*", &["abc", "abcd"], &["ab", "xabc"]),
            ("*abc", &["abc", "xabc", "abcabc"], &["abcx", "bc"]),
            ("a*a", &["aa", "aba"], &["a", "ab"]),
            ("a*b*c", &["abc", "axbxc", "abbc", "abcbc"], &["acb", "ab"]),
            (
                "user:*:posts",
                &["user:1:posts", "user::posts"],
                &["user:posts", "user:1:post"],
            ),
            ("a?c", &["abc", "aéc", "a😀c"], &["ac", "abbc"]),
            ("*a?c*", &["abc", "xaxcx", "aabc"], &["ac", "aXXc"]),
            ("[abc]x", &["ax", "cx"], &["dx", "x", "[abc]x"]),
            ("[a-c]x", &["bx"], &["dx", "-x"]),
            ("[^a-c]x", &["dx", "éx"], &["ax", "x"]),
            ("[a-]x", &["-x", "ax"], &["bx"]),
            (r"[\]a]x", &["]x", "ax"], &["bx"]),
            ("*[0-9]?z", &["1az", "xx9zz"], &["az", "9z"]),
            ("[p-za-f0c-m]x", &["ax", "gx", "qx", "0x"], &["nx", "1x", "éx"]),
            ("*[ab]x[ab]y[^ab]*", &["axbyc", "zbxayz-"], &["axbya", "axby", "cxbyc"]),
            ("*ab[cd]ef*", &["xabdefx", "ababcef"], &["abef", "abeef"]),
            ("x*[a-c]z?", &["xbzé", "xx.azz"], &["xbz", "bzé", "xdz1"]),
            (r"\*x", &["*x"], &["ax", r"\*x"]),
            (r"a\[b", &["a[b"], &["a"]),
            ("{a}*", &["{a}b"], &["a"]),
            ("**a**", &["a", "bab"], &["b"]),
            ("é*", &["é", "éa"], &["e", ""]),
        ];
        for (pattern, matching, others) in cases {
            let glob = Glob::new(pattern).expect(pattern);
            for key in *matching {
                assert!(glob.is_match(key), "{pattern} should match {key}");
            }
            for key in *others {
                assert!(!glob.is_match(key), "{pattern} should not match {key}");
            }
        }
    }

    #[test]
    fn what_is_no_pattern_says_why() {
        assert_eq!(Glob::new(r"a\").err(), Some(BadGlob::TrailingEscape));
        assert_eq!(Glob::new("a[bc").err(), Some(BadGlob::OpenSet));
        assert_eq!(Glob::new("a[]").err(), Some(BadGlob::EmptySet));
    }

    #[test]
    fn the_text_before_the_first_wildcard_is_the_prefix() {
        for (pattern, prefix) in [
            ("user:*", "user:"),
            (r"a\*b*", "a*b"),
            ("user:*:x", "user:"),
            ("us?r*", "us"),
            ("*r", ""),
            ("user", "user"),
        ] {
            assert_eq!(Glob::new(pattern).expect(pattern).prefix(), prefix);
        }
    }

    /// Every short key over a small alphabet, against a matcher that simply tries everything.
    #[test]
    fn it_agrees_with_a_matcher_that_tries_everything() {
        fn naive(pattern: &[char], key: &[char]) -> bool {
            match (pattern.first(), key.first()) {
                (None, None) => true,
                (Some('*'), _) => naive(&pattern[1..], key) || (!key.is_empty() && naive(pattern, &key[1..])),
                (Some('?'), Some(_)) => naive(&pattern[1..], &key[1..]),
                (Some(p), Some(k)) => p == k && naive(&pattern[1..], &key[1..]),
                _ => false,
            }
        }
        fn words(alphabet: &[char], longest: usize) -> Vec<Vec<char>> {
            let mut all = vec![Vec::new()];
            let mut from = 0;
            for _ in 0..longest {
                let to = all.len();
                for at in from..to {
                    for it in alphabet {
                        all.push([all[at].as_slice(), &[*it]].concat());
                    }
                }
                from = to;
            }
            all
        }
        let keys = words(&['a', 'b'], 6);
        for pattern in words(&['a', 'b', '*', '?'], 5) {
            let text: String = pattern.iter().collect();
            let glob = Glob::new(&text).expect("no set and no escape");
            for key in &keys {
                let key_text: String = key.iter().collect();
                assert_eq!(glob.is_match(&key_text), naive(&pattern, key), "{text} on {key_text}");
            }
        }
    }

    #[test]
    fn hostile_patterns_cost_what_honest_ones_do() {
        let key = "a".repeat(8_000);
        for pattern in [
            format!("{}b", "*a".repeat(2_000)),
            format!("*{}b*", "?".repeat(2_000)),
            format!("*{}b", "a".repeat(4_000)),
            format!("*{}b*", "[a-z]".repeat(1_600)),
            format!("*[{}]b*", ('\u{4e00}'..'\u{5800}').collect::<String>()),
        ] {
            let glob = Glob::new(&pattern).expect("our own");

            assert!(!glob.is_match(&key));
        }
    }
}
