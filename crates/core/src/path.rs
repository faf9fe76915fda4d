//! Where a key lives inside its namespace: the views it is in, and its version.
//!
//! A key of a view or a version is stored under a longer name, which the JS layer makes and nobody else can: it begins
//! with NUL, and so does no key of a user's own.
//!
//! ```text
//! key                        as it is, unless it begins with NUL
//! (NUL v view)* (NUL @ version)? NUL = key
//! ```
//!
//! What follows from it is decided here: an entry depends on each view it is in (their `all`), and one with a version
//! on the bare key (whose invalidation removes every version).

use std::borrow::Cow;

use crate::key::{NameHash, Namespace};

/// A stored key, taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Path<'a> {
    /// `(NUL v view)*`
    pub views: &'a str,
    pub version: Option<&'a str>,
    pub key: &'a str,
}

impl<'a> Path<'a> {
    #[must_use]
    pub fn of(stored: &'a str) -> Self {
        let root = Self {
            views: "",
            version: None,
            key: stored,
        };
        if !stored.starts_with('\0') {
            return root;
        }
        let Some((path, key)) = stored.split_once("\0=") else {
            return root;
        };
        let (views, version) = match path.split_once("\0@") {
            Some((views, version)) => (views, Some(version)),
            None => (path, None),
        };
        Self { views, version, key }
    }

    /// The stored name of the key without its version.
    pub(crate) fn bare(&self) -> Cow<'a, str> {
        if self.views.is_empty() && !self.key.starts_with('\0') {
            Cow::Borrowed(self.key)
        } else {
            Cow::Owned(format!("{}\0={}", self.views, self.key))
        }
    }

    /// The views from the outermost on, each with all around it: as tags are named.
    pub(crate) fn views(&self) -> impl Iterator<Item = &'a str> + '_ {
        let ends = self.views.match_indices('\0').skip(1).map(|(at, _)| at);
        let last = (!self.views.is_empty()).then_some(self.views.len());
        ends.chain(last).map(|end| &self.views[..end])
    }
}

/// What an entry of this stored key depends on, beside the namespace, its own name and its tags.
#[must_use]
pub fn implicit(namespace: &Namespace, stored: &str) -> Vec<NameHash> {
    if !stored.starts_with('\0') {
        return Vec::new();
    }
    let path = Path::of(stored);
    let views = path.views().map(|view| namespace.tag(view));
    let bare = path.version.map(|_| namespace.key(&path.bare()));
    views.chain(bare).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_as_a_table() {
        let path = |views, version, key| Path { views, version, key };
        let cases = [
            ("k", path("", None, "k"), "k"),
            ("\0=\0k", path("", None, "\0k"), "\0=\0k"),
            ("\0@2\0=k", path("", Some("2"), "k"), "k"),
            ("\0@2\0=\0k", path("", Some("2"), "\0k"), "\0=\0k"),
            ("\0va\0vb\0=k", path("\0va\0vb", None, "k"), "\0va\0vb\0=k"),
            ("\0va\0@v1\0=k\0=x", path("\0va", Some("v1"), "k\0=x"), "\0va\0=k\0=x"),
        ];
        for (stored, expected, bare) in cases {
            assert_eq!(Path::of(stored), expected, "{stored:?}");
            assert_eq!(Path::of(stored).bare(), bare, "{stored:?}");
        }
    }

    #[test]
    fn an_entry_depends_on_its_views_and_on_its_bare_key() {
        let app = Namespace::new("app");

        assert_eq!(implicit(&app, "k"), vec![]);
        assert_eq!(implicit(&app, "\0@1\0=k"), vec![app.key("k")]);
        assert_eq!(
            implicit(&app, "\0va\0vb\0@1\0=k"),
            vec![app.tag("\0va"), app.tag("\0va\0vb"), app.key("\0va\0vb\0=k")]
        );
    }
}
