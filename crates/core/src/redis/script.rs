//! The server-side scripts: one file each under `lua/`, every one safe when run twice, late or never.

use std::sync::LazyLock;

use redis::{Cmd, Script as Source};

use crate::key::slot_of;

/// A script of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Script {
    InvalidateKey,
    StaleKey,
    InvalidateTag,
    InvalidatePattern,
    TagGet,
    Read,
    Take,
    Fill,
    Renew,
    Release,
}

struct Texts {
    sources: [(&'static str, String); 10],
}

static TEXTS: LazyLock<Texts> = LazyLock::new(|| {
    let sources = [
        concat!(include_str!("lua/version.lua"), include_str!("lua/invalidate_key.lua")),
        concat!(include_str!("lua/version.lua"), include_str!("lua/stale_key.lua")),
        concat!(
            include_str!("lua/version.lua"),
            include_str!("lua/rules.lua"),
            include_str!("lua/invalidate_tag.lua")
        ),
        concat!(
            include_str!("lua/version.lua"),
            include_str!("lua/rules.lua"),
            include_str!("lua/invalidate_pattern.lua")
        ),
        concat!(
            include_str!("lua/version.lua"),
            include_str!("lua/rules.lua"),
            include_str!("lua/tagget.lua")
        ),
        concat!(include_str!("lua/version.lua"), include_str!("lua/read.lua")),
        concat!(include_str!("lua/version.lua"), include_str!("lua/take.lua")),
        include_str!("lua/fill.lua"),
        include_str!("lua/renew.lua"),
        include_str!("lua/release.lua"),
    ];
    Texts {
        sources: sources.map(|text| (text, Source::new(text).get_hash().to_owned())),
    }
});

impl Script {
    fn source(self) -> &'static (&'static str, String) {
        &TEXTS.sources[self as usize]
    }

    /// The call by hash; the server answers NOSCRIPT when it does not know the text yet.
    #[must_use]
    pub fn by_hash(self, call: &ScriptCall) -> Cmd {
        call.command("EVALSHA", &self.source().1)
    }

    /// The call with the text, after NOSCRIPT: nothing was run, so even scripts that are never resent may be.
    #[must_use]
    pub fn by_text(self, call: &ScriptCall) -> Cmd {
        call.command("EVAL", self.source().0)
    }
}

/// A script with its keys and arguments.
#[derive(Clone, Debug)]
pub struct ScriptCall {
    pub script: Script,
    keys: Vec<String>,
    args: Vec<Vec<u8>>,
}

impl ScriptCall {
    #[must_use]
    pub fn new(script: Script) -> Self {
        Self {
            script,
            keys: Vec::new(),
            args: Vec::new(),
        }
    }

    /// A push to oneself: the script of an invalidation of nothing but its vehicle. It passes also where a plain SET does not
    /// (out of memory).
    #[must_use]
    pub fn push_alone(vehicle: &str) -> Self {
        let name = || vehicle.to_owned();
        let call = Self::new(Script::InvalidateKey);
        call.key(name()).key(name()).key(name()).key(name()).number(0).number(0)
    }

    #[must_use]
    pub fn key(mut self, key: String) -> Self {
        self.keys.push(key);
        self
    }

    #[must_use]
    pub fn arg(mut self, arg: impl Into<Vec<u8>>) -> Self {
        self.args.push(arg.into());
        self
    }

    #[must_use]
    pub fn number(self, arg: u64) -> Self {
        self.arg(arg.to_string())
    }

    /// What decides where in a cluster it runs: its keys are all of one slot.
    #[must_use]
    pub fn slot(&self) -> u16 {
        self.keys.first().map_or(0, |key| slot_of(key))
    }

    fn command(&self, verb: &str, what: &str) -> Cmd {
        let mut command = redis::cmd(verb);
        command.arg(what).arg(self.keys.len());
        for key in &self.keys {
            command.arg(key);
        }
        for arg in &self.args {
            command.arg(&arg[..]);
        }
        command
    }
}
