//! One socket to Redis: TCP, TLS or unix, with the options that make a dead link notice itself, and a count
//! of the bytes that arrived, which is what "progress" means to a deadline.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::tls;
use crate::config::{Address, RedisConfig};

/// Bytes that arrived on a socket since it was opened.
pub type Arrived = Arc<AtomicU64>;

trait Socket: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Socket for T {}

/// A socket that counts what arrives.
pub struct CountingStream {
    socket: Box<dyn Socket>,
    arrived: Arrived,
}

/// Opens a socket.
///
/// # Errors
/// What the system or the TLS handshake says; never a password.
pub async fn open(config: &RedisConfig) -> io::Result<(CountingStream, Arrived)> {
    let socket: Box<dyn Socket> = match &config.address {
        Address::Tcp { host, port, tls } => {
            let tcp = TcpStream::connect((host.as_str(), *port)).await?;
            tune(&tcp)?;
            match tls {
                Some(settings) => Box::new(tls::connect(settings, tcp).await?),
                None => Box::new(tcp),
            }
        }
        #[cfg(unix)]
        Address::Unix(path) => Box::new(tokio::net::UnixStream::connect(path).await?),
        #[cfg(not(unix))]
        Address::Unix(_) => return Err(io::Error::from(io::ErrorKind::Unsupported)),
    };
    let arrived = Arrived::default();
    let stream = CountingStream {
        socket,
        arrived: Arc::clone(&arrived),
    };
    Ok((stream, arrived))
}

/// Small commands leave at once; a peer that vanished is noticed by the kernel too, not only by heartbeats.
///
/// # Errors
/// When the system refuses an option.
pub fn tune(tcp: &TcpStream) -> io::Result<()> {
    tcp.set_nodelay(true)?;
    let socket = socket2::SockRef::from(tcp);
    let keepalive = socket2::TcpKeepalive::new()
        .with_time(Duration::from_secs(15))
        .with_interval(Duration::from_secs(5));
    socket.set_tcp_keepalive(&keepalive)?;
    #[cfg(target_os = "linux")]
    socket.set_tcp_user_timeout(Some(Duration::from_secs(10)))?;
    Ok(())
}

impl AsyncRead for CountingStream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let result = Pin::new(&mut self.socket).poll_read(cx, buf);
        self.arrived.fetch_add((buf.filled().len() - before) as u64, Relaxed);
        result
    }
}

impl AsyncWrite for CountingStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}
