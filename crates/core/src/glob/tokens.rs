//! A pattern's text, taken apart: at its stars, and between them into runs of text, wildcards and sets.

use std::str::Chars;

/// Runs of plain text are one token: thousands of rules are kept, and most are mostly text.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Token {
    Text(Box<str>),
    Any,
    Set(Box<Set>),
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Set {
    is_negated: bool,
    /// In order, apart from each other.
    ranges: Box<[(char, char)]>,
}

/// Why a text is no pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadGlob {
    TrailingEscape,
    OpenSet,
    EmptySet,
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

    pub(super) fn accepts(&self, it: char) -> bool {
        let before = self.ranges.partition_point(|(from, _)| *from <= it);
        let is_in = before.checked_sub(1).is_some_and(|at| it <= self.ranges[at].1);
        is_in != self.is_negated
    }
}

/// The tokens between the stars.
pub(super) fn split(pattern: &str) -> Result<Vec<Vec<Token>>, BadGlob> {
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
