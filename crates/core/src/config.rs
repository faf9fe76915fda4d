//! What an engine is made from. Values arrive checked: bad input gets its error where the user gave it.

use std::time::Duration;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    pub namespace: String,
    /// Hard ceiling of the memory tier, bytes; 0: no memory tier.
    pub memory_bytes: u64,
    /// Loads that run at once, and that may wait for that.
    pub max_loads: usize,
    pub max_queued_loads: usize,
    /// `None`: memory only.
    pub redis: Option<RedisConfig>,
}

/// Host and port of a node of a cluster, or of a Sentinel.
pub type Node = (String, u16);

#[derive(Clone, PartialEq, Eq)]
pub struct RedisConfig {
    /// Of a cluster, that of a node.
    pub address: Address,
    /// Where a cluster may be asked for its masters; empty: it is none.
    pub nodes: Vec<Node>,
    pub username: Option<String>,
    pub password: Option<String>,
    pub db: i64,
    /// For one connection, from the socket to the armed session.
    pub connect_timeout: Duration,
    /// What Redis may cost one operation, counted without progress.
    pub command_timeout: Duration,
    /// How long memory is served without proof while the link seems up.
    pub max_unverified: Duration,
    /// How long memory is served while the link is known to be down; `None`: to the end of its ttl.
    pub isolated: Option<Duration>,
    pub coherence: CoherenceMode,
    /// Who says where the master is; `address` is then one of theirs.
    pub sentinels: Option<Sentinels>,
    /// Entries are sealed with it, and others count as missing.
    pub integrity_key: Option<Box<[u8]>>,
    /// Longer entries are neither written nor read, bytes.
    pub max_entry_bytes: usize,
}

impl RedisConfig {
    /// As `metrics` names it.
    #[must_use]
    pub fn topology(&self) -> &'static str {
        match self.sentinels {
            _ if !self.nodes.is_empty() => "cluster",
            Some(_) => "sentinel",
            None => "standalone",
        }
    }

    /// The same for the same place, however it is written: a server, the master of some Sentinels, whatever it is now, or the
    /// cluster of some nodes.
    #[must_use]
    pub fn endpoint(&self) -> String {
        let listed = |nodes: &[Node]| {
            let mut nodes: Vec<String> = nodes.iter().map(|(host, port)| format!("{host}:{port}")).collect();
            nodes.sort_unstable();
            nodes.join(",")
        };
        if let Some(Sentinels { nodes, master, .. }) = &self.sentinels {
            return format!("{master}@{}", listed(nodes));
        }
        if !self.nodes.is_empty() {
            return listed(&self.nodes);
        }
        match &self.address {
            Address::Tcp { host, port, .. } => format!("{}:{port}", host.to_ascii_lowercase()),
            Address::Unix(path) => path.clone(),
        }
    }

    /// The same settings for one node; a certificate is checked against its host, unless a name was given.
    #[must_use]
    pub fn at(&self, (host, port): &Node) -> Self {
        let tls = match &self.address {
            Address::Tcp { tls, .. } => tls.clone(),
            Address::Unix(_) => None,
        };
        let tls = tls.map(|mut tls| {
            if tls.server_name.is_empty() {
                tls.server_name.clone_from(host);
            }
            tls
        });
        Self {
            address: Address::Tcp {
                host: host.clone(),
                port: *port,
                tls,
            },
            nodes: Vec::new(),
            ..self.clone()
        }
    }

    /// `host:port`, or the socket's path.
    #[must_use]
    pub fn place(&self) -> String {
        match &self.address {
            Address::Tcp { host, port, .. } if host.contains(':') => format!("[{host}]:{port}"),
            Address::Tcp { host, port, .. } => format!("{host}:{port}"),
            Address::Unix(path) => path.clone(),
        }
    }
}

/// The Sentinels that watch over a master.
#[derive(Clone, PartialEq, Eq)]
pub struct Sentinels {
    pub nodes: Vec<Node>,
    /// What they call the master.
    pub master: String,
    /// Their own credentials; those of [`RedisConfig`] are the master's.
    pub username: Option<String>,
    pub password: Option<String>,
}

/// Shows everything but secrets.
impl std::fmt::Debug for Sentinels {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sentinels")
            .field("nodes", &self.nodes)
            .field("master", &self.master)
            .finish_non_exhaustive()
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    Tcp { host: String, port: u16, tls: Option<Tls> },
    Unix(String),
}

#[derive(Clone, PartialEq, Eq)]
pub struct Tls {
    /// Trusted certificates, PEM; empty: the public ones.
    pub ca: String,
    /// Client certificate and key, PEM; empty: none.
    pub cert: String,
    pub key: String,
    /// The name the server's certificate must carry; empty: the host that is connected to.
    pub server_name: String,
    pub verify: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CoherenceMode {
    /// Tracking where Redis allows it, else `None`.
    Auto,
    Tracking,
    /// No pushes: memory is served `max_unverified` from the start of its read.
    None,
}

/// Shows everything but secrets.
impl std::fmt::Debug for RedisConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RedisConfig")
            .field("address", &self.address)
            .field("db", &self.db)
            .field("command_timeout", &self.command_timeout)
            .finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tls")
            .field("server_name", &self.server_name)
            .field("verify", &self.verify)
            .finish_non_exhaustive()
    }
}
