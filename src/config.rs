//! Options of the JS layer (checked there) as the core's configuration.

use std::time::Duration;

use napi::bindgen_prelude::Buffer;
use napi_derive::napi;
use tidecache_core::config::{Address, CoherenceMode, Config, RedisConfig, Sentinels, Tls};

/// What an engine is made from. Durations in ms.
#[napi(object)]
pub struct EngineOptions {
    pub namespace: String,
    /// Bytes; 0: no memory tier.
    pub memory_max_bytes: f64,
    pub max_loads: u32,
    pub max_queued_loads: u32,
    pub redis: Option<RedisOptions>,
    /// Whether an engine with other settings is replaced (development) or refused.
    pub replace: bool,
    /// Whether the engine is this handle's alone, on a clock that only `advance` moves.
    pub manual_clock: bool,
}

#[napi(object)]
pub struct RedisOptions {
    pub host: Option<String>,
    pub port: Option<u16>,
    /// Of a unix socket.
    pub path: Option<String>,
    /// Of a cluster: where it may be asked for its masters.
    pub nodes: Option<Vec<NodeOptions>>,
    pub username: Option<String>,
    pub password: Option<String>,
    pub db: i64,
    pub tls: Option<TlsOptions>,
    pub connect_timeout: f64,
    pub command_timeout: f64,
    pub max_unverified: f64,
    /// -1: to the end of the ttl.
    pub isolated: f64,
    pub coherence: String,
    pub sentinels: Option<SentinelOptions>,
    pub integrity_key: Option<Buffer>,
    /// Bytes.
    pub max_entry_bytes: f64,
}

/// Who says where the master is.
#[napi(object)]
pub struct SentinelOptions {
    pub nodes: Vec<NodeOptions>,
    /// What they call it.
    pub master: String,
    pub username: Option<String>,
    pub password: Option<String>,
}

#[napi(object)]
pub struct NodeOptions {
    pub host: String,
    pub port: u16,
}

/// PEM texts.
#[napi(object)]
pub struct TlsOptions {
    pub ca: Option<String>,
    pub cert: Option<String>,
    pub key: Option<String>,
    pub servername: Option<String>,
    pub reject_unauthorized: bool,
}

fn ms(value: f64) -> Duration {
    Duration::from_millis(value.max(0.0) as u64)
}

impl From<EngineOptions> for Config {
    fn from(options: EngineOptions) -> Self {
        Self {
            namespace: options.namespace,
            memory_bytes: options.memory_max_bytes.max(0.0) as u64,
            max_loads: options.max_loads.max(1) as usize,
            max_queued_loads: options.max_queued_loads as usize,
            redis: options.redis.map(RedisConfig::from),
        }
    }
}

impl From<RedisOptions> for RedisConfig {
    fn from(options: RedisOptions) -> Self {
        let nodes = options.nodes.unwrap_or_default();
        let nodes: Vec<(String, u16)> = nodes.into_iter().map(|node| (node.host, node.port)).collect();
        let first = nodes.first().cloned().unzip();
        let host = first.0.or(options.host).unwrap_or_else(|| "localhost".to_owned());
        // Of several servers each has a certificate made out to its own name.
        let is_one = options.sentinels.is_none() && nodes.is_empty();
        let own_name = if is_one { &host } else { "" };
        let tls = options.tls.map(|tls| Tls {
            ca: tls.ca.unwrap_or_default(),
            cert: tls.cert.unwrap_or_default(),
            key: tls.key.unwrap_or_default(),
            server_name: tls.servername.unwrap_or_else(|| own_name.to_owned()),
            verify: tls.reject_unauthorized,
        });
        let address = match options.path {
            Some(path) => Address::Unix(path),
            None => Address::Tcp {
                host,
                port: first.1.or(options.port).unwrap_or(6_379),
                tls,
            },
        };
        Self {
            address,
            nodes,
            username: options.username,
            password: options.password,
            db: options.db,
            connect_timeout: ms(options.connect_timeout),
            command_timeout: ms(options.command_timeout),
            max_unverified: ms(options.max_unverified),
            isolated: (options.isolated >= 0.0).then(|| ms(options.isolated)),
            coherence: match options.coherence.as_str() {
                "tracking" => CoherenceMode::Tracking,
                "none" => CoherenceMode::None,
                _ => CoherenceMode::Auto,
            },
            integrity_key: options.integrity_key.map(|key| key.to_vec().into()),
            max_entry_bytes: options.max_entry_bytes.max(0.0) as usize,
            sentinels: options.sentinels.map(|sentinels| Sentinels {
                nodes: sentinels.nodes.into_iter().map(|node| (node.host, node.port)).collect(),
                master: sentinels.master,
                username: sentinels.username,
                password: sentinels.password,
            }),
        }
    }
}
