//! One runtime per process with one thread: it waits for sockets and compares a few words; two cores belong to
//! the application. Made at first use, never at import; never torn down, because Node may end its environments
//! in any order.

use std::sync::OnceLock;

use napi::{Error, Result};
use tokio::runtime::{Builder, Handle, Runtime};

static RUNTIME: OnceLock<std::io::Result<Runtime>> = OnceLock::new();

/// The runtime's handle.
///
/// # Errors
/// When the system gives no thread or no event queue.
pub fn handle() -> Result<Handle> {
    let runtime = RUNTIME.get_or_init(|| {
        Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("tidecache")
            .enable_all()
            .build()
    });
    match runtime {
        Ok(runtime) => Ok(runtime.handle().clone()),
        Err(error) => Err(Error::from_reason(format!(
            "tidecache cannot start its thread: {error}"
        ))),
    }
}
