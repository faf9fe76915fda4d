//! The Redis tier's means: sockets, scripts, faults, and a session of two armed connections.

pub mod chunk;
pub mod fault;
pub mod identity;
pub mod script;
pub mod sentinel;
pub mod session;
pub mod slots;
pub mod stream;
pub mod tls;
pub mod wire;
