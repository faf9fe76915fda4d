//! One connection of the tool: opened as the engine opens its own, with a sentence for what went wrong.

use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, ErrorKind, ProtocolVersion, PushInfo, RedisError};
use tokio::time::timeout;

use crate::config::RedisConfig;
use crate::redis::session::connection_info;
use crate::redis::stream;
use crate::redis::wire::Wire;

/// Why there is no connection: which step, and what was said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unreached {
    /// The socket, or its TLS.
    Socket(String),
    /// No answer within `connectTimeout`.
    Silent,
    /// The server answered HELLO, AUTH or SELECT with an error.
    Greeting(String),
    /// The server knows no HELLO: older than 6.0, or a proxy.
    NoHello,
}

impl std::fmt::Display for Unreached {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Socket(why) | Self::Greeting(why) => f.write_str(why),
            Self::Silent => f.write_str("no answer in time"),
            Self::NoHello => f.write_str("the server does not know HELLO: it is older than Redis 6.0, or a proxy"),
        }
    }
}

/// Opens a connection that hands its pushes to `on_push`.
///
/// # Errors
/// [`Unreached`]; never with a password in it.
pub async fn open(config: &RedisConfig, on_push: impl Fn(PushInfo) + Send + Sync + 'static) -> Result<Wire, Unreached> {
    let settings = settings().set_push_sender(move |info: PushInfo| {
        on_push(info);
        Ok::<(), ()>(())
    });
    open_with(config, ProtocolVersion::RESP3, settings).await
}

/// Opens a connection without HELLO: what a server that refuses it can still tell.
///
/// # Errors
/// [`Unreached`].
pub async fn open_plain(config: &RedisConfig) -> Result<Wire, Unreached> {
    open_with(config, ProtocolVersion::RESP2, settings()).await
}

fn settings() -> AsyncConnectionConfig {
    AsyncConnectionConfig::new()
        .set_response_timeout(None)
        .set_pipeline_buffer_size(1_024)
}

async fn open_with(
    config: &RedisConfig,
    protocol: ProtocolVersion,
    settings: AsyncConnectionConfig,
) -> Result<Wire, Unreached> {
    let opening = async {
        let (stream, arrived) = stream::open(config)
            .await
            .map_err(|error| Unreached::Socket(error.to_string()))?;
        let info = connection_info(config, protocol);
        let (connection, driver) = MultiplexedConnection::new_with_config(&info, stream, settings)
            .await
            .map_err(|error| greeting(&error))?;
        Ok(Wire::new(connection, arrived, tokio::spawn(driver)))
    };
    within(config.connect_timeout, opening)
        .await
        .unwrap_or(Err(Unreached::Silent))
}

fn greeting(error: &RedisError) -> Unreached {
    if error.kind() == ErrorKind::RESP3NotSupported {
        return Unreached::NoHello;
    }
    let said = match (error.code(), error.detail()) {
        (Some(code), Some(detail)) => format!("{code} {detail}"),
        _ => error.to_string(),
    };
    if error.is_io_error() || error.is_connection_dropped() {
        Unreached::Socket(said)
    } else {
        Unreached::Greeting(said)
    }
}

/// The result, or `None` after `patience`.
pub(super) async fn within<T>(patience: Duration, work: impl std::future::Future<Output = T>) -> Option<T> {
    timeout(patience, work).await.ok()
}
