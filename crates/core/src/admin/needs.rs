//! The commands that tidecache needs, and the ACL that grants them.
//!
//! Found by experiment on Redis 7.0.15 (`__test__/cli-acl.test.js` takes each away): scripts run with the rights of their
//! caller, so what they call is granted like everything else.

use crate::config::RedisConfig;

/// What an application's user needs on a master, as rules of `ACL SETUSER`; keys and user are put before it.
pub const APPLICATION: &[&str] = &[
    "+hello",
    "+ping",
    "+info",
    "+time",
    "+client|tracking",
    "+client|caching",
    "+eval",
    "+evalsha",
    "+get",
    "+set",
    "+del",
    "+unlink",
    "+exists",
    "+pttl",
    "+pexpire",
    "+getrange",
    "+setrange",
    "+zadd",
    "+zscore",
    "+zrevrange",
    "+zrangebyscore",
    "+zremrangebyscore",
];

/// The same beside those, on a cluster.
pub const CLUSTER: &[&str] = &["+cluster|info", "+cluster|nodes", "+asking"];

/// What the tool needs that only looks: `ls`, `get`, `inspect`, `top`.
pub const READER: &[&str] = &[
    "+hello",
    "+info",
    "+time",
    "+get",
    "+getrange",
    "+pttl",
    "+zscore",
    "+zrangebyscore",
    "+scan",
    "+dbsize",
    "+memory|usage",
];

const DEFAULT: &str = "default";

/// Whose rule is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum User {
    Application,
    /// Of this tool, and changes nothing.
    Reader,
}

/// The rule that makes a user who may do just what is needed; one of its own where the connection names none, for the
/// default user's rights would be taken from whoever uses it. A password is left to the operator.
#[must_use]
pub fn set_user(whose: User, config: &RedisConfig, namespace: &str) -> String {
    let (commands, own) = match whose {
        User::Application => (APPLICATION, namespace.to_owned()),
        User::Reader => (READER, format!("{namespace}-reader")),
    };
    let named = config.username.as_deref().filter(|name| *name != DEFAULT);
    let user = named.unwrap_or(&own);
    let select = if config.db == 0 { "" } else { " +select" };
    let cluster: &[&str] = if config.nodes.is_empty() { &[] } else { CLUSTER };
    let commands = [commands, cluster].concat().join(" ");
    format!("ACL SETUSER {user} on resetkeys ~{namespace}:* resetchannels -@all {commands}{select}")
}

/// Whom Redis takes a connection for.
#[must_use]
pub fn user_of(config: &RedisConfig) -> &str {
    config.username.as_deref().unwrap_or(DEFAULT)
}

/// What a trial is tried on: names of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum On {
    Nothing,
    Text,
    Sorted,
}

/// One command tried alone: its name as ACL rules write it, and how. The key follows the verb.
pub struct Trial {
    pub name: &'static str,
    pub words: &'static [&'static str],
    pub on: On,
}

const fn alone(name: &'static str, words: &'static [&'static str]) -> Trial {
    let on = On::Nothing;
    Trial { name, words, on }
}

const fn text(name: &'static str, words: &'static [&'static str]) -> Trial {
    let on = On::Text;
    Trial { name, words, on }
}

const fn sorted(name: &'static str, words: &'static [&'static str]) -> Trial {
    let on = On::Sorted;
    Trial { name, words, on }
}

/// Tried in this order on one connection; what is written lapses, or is removed by the last of its kind.
pub const TRIALS: &[Trial] = &[
    alone("ping", &["PING"]),
    alone("time", &["TIME"]),
    alone("info", &["INFO", "server"]),
    alone("eval", &["EVAL", "return 1", "0"]),
    // Unknown on purpose: NOSCRIPT tells that the command itself is allowed.
    alone("evalsha", &["EVALSHA", "ffffffffffffffffffffffffffffffffffffffff", "0"]),
    text("set", &["SET", "0123456789", "PX", "5000"]),
    text("get", &["GET"]),
    text("exists", &["EXISTS"]),
    text("pttl", &["PTTL"]),
    text("pexpire", &["PEXPIRE", "5000"]),
    text("getrange", &["GETRANGE", "0", "3"]),
    text("setrange", &["SETRANGE", "3", "x"]),
    text("del", &["DEL"]),
    text("unlink", &["UNLINK"]),
    sorted("zadd", &["ZADD", "1", "doctor"]),
    sorted("zscore", &["ZSCORE", "doctor"]),
    sorted("zrevrange", &["ZREVRANGE", "0", "0"]),
    sorted("zrangebyscore", &["ZRANGEBYSCORE", "-inf", "+inf"]),
    sorted("zremrangebyscore", &["ZREMRANGEBYSCORE", "-inf", "+inf"]),
    // The tool's own.
    alone("scan", &["SCAN", "0", "COUNT", "1"]),
    alone("dbsize", &["DBSIZE"]),
    text("memory|usage", &["MEMORY", "USAGE"]),
    alone("config|get", &["CONFIG", "GET", "maxmemory-policy"]),
];

/// On a cluster.
pub const CLUSTER_TRIALS: &[Trial] = &[
    alone("cluster|info", &["CLUSTER", "INFO"]),
    alone("cluster|nodes", &["CLUSTER", "NODES"]),
    alone("asking", &["ASKING"]),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_that_is_granted_is_tried() {
        // Tried by connecting, and by asking for pushes.
        let elsewhere = ["hello", "client|tracking", "client|caching"];

        for rule in APPLICATION.iter().chain(CLUSTER).chain(READER) {
            let name = rule.trim_start_matches('+');
            let is_tried = TRIALS.iter().chain(CLUSTER_TRIALS).any(|trial| trial.name == name);

            assert!(is_tried || elsewhere.contains(&name), "{name}");
        }
    }
}
