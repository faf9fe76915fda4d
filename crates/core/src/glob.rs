//! Glob patterns over keys: `*` any run, `?` one character, `[abc]` `[a-z]` `[^a]` one of a set, `\` escapes.
//!
//! No backtracking: what stands between two stars is searched once, from where the part before it ended earliest, and
//! each search looks at every character of the key once (Baeza-Yates and Gonnet, "A new approach to text searching",
//! 1992, for parts with wildcards; two-way search for plain text). A hostile pattern costs what an honest one does.

use std::collections::HashMap;
use std::str::Chars;

/// A pattern, taken apart at its stars.
#[derive(Clone, Debug)]
pub struct Glob {
    /// Anchored at the start of the key.
    first: Vec<Token>,
    /// In order, anywhere between.
    middle: Vec<Part>,
    /// Anchored at the end; `None`: there is no star, and `first` is all.
    last: Option<Vec<Token>>,
    prefix: Box<str>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    Literal(char),
    Any,
    Set {
        is_negated: bool,
        ranges: Vec<(char, char)>,
    },
}

#[derive(Clone, Debug)]
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
        let first = parts.next().unwrap_or_default();
        let is_literal = |token: &&Token| matches!(token, Token::Literal(_));
        let prefix: String = first.iter().take_while(is_literal).filter_map(Token::text).collect();
        Ok(Self {
            middle: parts.filter(|part| !part.is_empty()).map(Part::new).collect(),
            prefix: prefix.into(),
            first,
            last,
        })
    }

    /// What every key that matches begins with.
    #[must_use]
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// Whether it is a prefix and a star, and nothing else.
    #[must_use]
    pub fn is_prefix(&self) -> bool {
        let is_plain = self.first.iter().all(|token| matches!(token, Token::Literal(_)));
        is_plain && self.middle.is_empty() && self.last.as_ref().is_some_and(Vec::is_empty)
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

impl Token {
    fn text(&self) -> Option<char> {
        match self {
            Self::Literal(it) => Some(*it),
            _ => None,
        }
    }

    fn accepts(&self, it: char) -> bool {
        match self {
            Self::Literal(wanted) => *wanted == it,
            Self::Any => true,
            Self::Set { is_negated, ranges } => {
                ranges.iter().any(|(from, to)| (*from..=*to).contains(&it)) != *is_negated
            }
        }
    }
}

/// The tokens between the stars.
fn split(pattern: &str) -> Result<Vec<Vec<Token>>, BadGlob> {
    let mut parts = vec![Vec::new()];
    let mut chars = pattern.chars();
    while let Some(it) = chars.next() {
        let token = match it {
            '*' => {
                parts.push(Vec::new());
                continue;
            }
            '?' => Token::Any,
            '[' => set(&mut chars)?,
            '\\' => Token::Literal(chars.next().ok_or(BadGlob::TrailingEscape)?),
            it => Token::Literal(it),
        };
        if let Some(part) = parts.last_mut() {
            part.push(token);
        }
    }
    Ok(parts)
}

/// The rest of a set, after its `[`.
fn set(chars: &mut Chars<'_>) -> Result<Token, BadGlob> {
    let is_negated = chars.as_str().starts_with(['^', '!']);
    if is_negated {
        chars.next();
    }
    let mut ranges: Vec<(char, char)> = Vec::new();
    loop {
        let from = match chars.next().ok_or(BadGlob::OpenSet)? {
            ']' if ranges.is_empty() => return Err(BadGlob::EmptySet),
            ']' => return Ok(Token::Set { is_negated, ranges }),
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
fn strip_start<'a>(key: &'a str, tokens: &[Token]) -> Option<&'a str> {
    let mut chars = key.chars();
    for token in tokens {
        if !token.accepts(chars.next()?) {
            return None;
        }
    }
    Some(chars.as_str())
}

fn ends_with(key: &str, tokens: &[Token]) -> bool {
    let mut chars = key.chars().rev();
    let mut tokens = tokens.iter().rev();
    tokens.all(|token| chars.next().is_some_and(|it| token.accepts(it)))
}

impl Part {
    fn new(tokens: Vec<Token>) -> Self {
        let text: Option<String> = tokens.iter().map(Token::text).collect();
        match text {
            Some(text) => Self::Text(text.into()),
            None => Self::Wild(ShiftAnd::new(tokens)),
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

/// One bit per token: set while the text before matches up to it.
#[derive(Clone, Debug)]
struct ShiftAnd {
    len: usize,
    /// Bits of the tokens that accept a character, for the characters that the part names.
    named: HashMap<char, Box<[u64]>>,
    /// Bits of the tokens that accept anything.
    any: Box<[u64]>,
    /// Sets are asked one by one.
    sets: Vec<(usize, Token)>,
}

impl ShiftAnd {
    fn new(tokens: Vec<Token>) -> Self {
        let len = tokens.len();
        let none: Box<[u64]> = vec![0; len.div_ceil(64)].into();
        let mut any = none.clone();
        let mut sets = Vec::new();
        let mut named: HashMap<char, Box<[u64]>> = HashMap::new();
        for (at, token) in tokens.into_iter().enumerate() {
            match token {
                Token::Any => set_bit(&mut any, at),
                Token::Literal(it) => set_bit(named.entry(it).or_insert_with(|| none.clone()), at),
                Token::Set { .. } => sets.push((at, token)),
            }
        }
        Self { len, named, any, sets }
    }

    fn end_of_first_match(&self, key: &str) -> Option<usize> {
        let mut state = vec![0_u64; self.any.len()];
        let mut accepted = self.any.clone();
        for (at, it) in key.char_indices() {
            accepted.copy_from_slice(&self.any);
            if let Some(bits) = self.named.get(&it) {
                for (word, more) in accepted.iter_mut().zip(bits) {
                    *word |= more;
                }
            }
            for (bit, _) in self.sets.iter().filter(|(_, set)| set.accepts(it)) {
                set_bit(&mut accepted, *bit);
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
    fn a_prefix_is_told_from_the_rest() {
        let prefix = |pattern: &str| {
            let glob = Glob::new(pattern).expect(pattern);
            (glob.prefix().to_owned(), glob.is_prefix())
        };

        assert_eq!(prefix("user:*"), ("user:".into(), true));
        assert_eq!(prefix(r"a\*b*"), ("a*b".into(), true));
        assert_eq!(prefix("user:*:x"), ("user:".into(), false));
        assert_eq!(prefix("us?r*"), ("us".into(), false));
        assert_eq!(prefix("user"), ("user".into(), false));
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
        ] {
            let glob = Glob::new(&pattern).expect("our own");

            assert!(!glob.is_match(&key));
        }
    }
}
