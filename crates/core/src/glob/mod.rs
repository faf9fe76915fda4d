//! Glob patterns over keys: `*` any run, `?` one character, `[abc]` `[a-z]` `[^a]` one of a set, `\` escapes.
//!
//! No backtracking: what stands between two stars is searched once, from where the part before it ended earliest, and
//! each search looks at every character of the key once (`search` for parts with wildcards; two-way search for plain
//! text). So a hostile pattern costs its length times the key's at most, divided by 64 where it has no sets.

mod search;
mod tokens;

use search::ShiftAnd;
use tokens::{split, Token};

pub use tokens::BadGlob;

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

#[derive(Debug)]
enum Part {
    Text(Box<str>),
    Wild(ShiftAnd),
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
