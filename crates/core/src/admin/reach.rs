//! The way to the server, step by step with times: name, socket, TLS. A connection that fails says only that; the
//! step that failed says what to mend.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use serde_json::{json, Value as Json};
use tokio::net::TcpStream;

use super::connect::within;
use crate::config::{Address, RedisConfig, Tls};
use crate::redis::{stream, tls};

/// What was found on the way: `{ resolve, connect, tls }`, each with `ms` or `error`; a step not reached is null.
pub async fn reach(config: &RedisConfig) -> Json {
    match &config.address {
        Address::Tcp { host, port, tls } => reach_tcp(host, *port, tls.as_ref(), config.connect_timeout).await,
        Address::Unix(path) => json!({ "socket": unix(path).await }),
    }
}

async fn reach_tcp(host: &str, port: u16, tls: Option<&Tls>, patience: Duration) -> Json {
    let (resolve, addresses) = match step(patience, tokio::net::lookup_host((host, port))).await {
        (told, Some(addresses)) => (told, addresses.collect::<Vec<SocketAddr>>()),
        (told, None) => return json!({ "resolve": told, "connect": null, "tls": null }),
    };
    let (mut connect, tcp) = step(patience, TcpStream::connect(&addresses[..])).await;
    let Some(tcp) = tcp else {
        return json!({ "resolve": resolve, "connect": connect, "tls": null });
    };
    connect["address"] = json!(tcp.peer_addr().ok().map(|peer| peer.ip().to_string()));
    connect["isLoopback"] = json!(tcp.peer_addr().is_ok_and(|peer| peer.ip().is_loopback()));
    connect["nodelay"] = json!(stream::tune(&tcp).is_ok() && tcp.nodelay().unwrap_or(false));
    let tls = match tls {
        Some(settings) => {
            let (mut told, _) = step(patience, tls::connect(settings, tcp)).await;
            told["verified"] = json!(settings.verify);
            told
        }
        None => Json::Null,
    };
    json!({ "resolve": resolve, "connect": connect, "tls": tls })
}

#[cfg(unix)]
async fn unix(path: &str) -> Json {
    step(Duration::from_secs(2), tokio::net::UnixStream::connect(path))
        .await
        .0
}

#[cfg(not(unix))]
async fn unix(_: &str) -> Json {
    json!({ "error": "unix sockets do not exist on this system" })
}

async fn step<T>(patience: Duration, work: impl std::future::Future<Output = std::io::Result<T>>) -> (Json, Option<T>) {
    let began = Instant::now();
    match within(patience, work).await {
        Some(Ok(done)) => (json!({ "ms": ms(began.elapsed()) }), Some(done)),
        Some(Err(error)) => (json!({ "error": error.to_string() }), None),
        None => (
            json!({ "error": format!("no answer within {} ms", patience.as_millis()) }),
            None,
        ),
    }
}

/// Milliseconds with three decimals.
#[must_use]
pub(super) fn ms(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e3
}
