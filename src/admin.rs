//! The command line tool's questions. Each is a promise, answered by JSON: this is no hot path.

use std::future::Future;
use std::sync::Arc;

use napi::bindgen_prelude::{Buffer, Object, ToNapiValue};
use napi::{Env, Error, Result};
use napi_derive::napi;
use tidecache_core::admin::desk::Desk;
use tidecache_core::admin::needs::User;

use crate::config::RedisOptions;
use crate::runtime;

/// The operator's view of one namespace in one Redis.
#[napi]
pub struct Admin {
    desk: Arc<Desk>,
}

/// One entry.
#[napi(object)]
pub struct AdminEntry {
    /// JSON.
    pub report: String,
    /// The value as it was stored.
    pub payload: Option<Buffer>,
}

#[napi]
impl Admin {
    #[napi(constructor, catch_unwind)]
    pub fn new(redis: RedisOptions, namespace: String) -> Self {
        Self {
            desk: Arc::new(Desk::new(redis.into(), namespace)),
        }
    }

    /// The ACL rule of a user with the rights that an application needs, or this tool when it only reads.
    #[napi(catch_unwind)]
    #[must_use]
    pub fn set_user(&self, only_reads: bool) -> String {
        self.desk
            .set_user(if only_reads { User::Reader } else { User::Application })
    }

    /// What this Redis allows.
    #[napi(catch_unwind, ts_return_type = "Promise<string>")]
    pub fn probe<'env>(&self, env: &'env Env) -> Result<Object<'env>> {
        let desk = Arc::clone(&self.desk);
        promise(env, async move { Ok(desk.probe().await.to_string()) })
    }

    /// Begins a listing of the entries that match; `views` as in stored keys.
    #[napi(catch_unwind, ts_return_type = "Promise<void>")]
    pub fn list<'env>(&self, env: &'env Env, glob: Option<String>, views: Option<String>) -> Result<Object<'env>> {
        let desk = Arc::clone(&self.desk);
        promise(env, async move { desk.list(glob.as_deref(), views).await })
    }

    /// The next rows of the listing.
    #[napi(catch_unwind, ts_return_type = "Promise<string>")]
    pub fn next<'env>(&self, env: &'env Env) -> Result<Object<'env>> {
        let desk = Arc::clone(&self.desk);
        promise(env, async move { Ok(desk.next().await?.to_string()) })
    }

    /// The first of these stored keys that has an entry.
    #[napi(catch_unwind, ts_return_type = "Promise<AdminEntry>")]
    pub fn entry<'env>(&self, env: &'env Env, stored: Vec<String>) -> Result<Object<'env>> {
        let desk = Arc::clone(&self.desk);
        promise(env, async move {
            let found = desk.entry(&stored).await?;
            Ok(AdminEntry {
                report: found.report.to_string(),
                payload: found.payload.map(Buffer::from),
            })
        })
    }

    /// One look at the server, and a little of the namespace.
    #[napi(catch_unwind, ts_return_type = "Promise<string>")]
    pub fn sample<'env>(&self, env: &'env Env) -> Result<Object<'env>> {
        let desk = Arc::clone(&self.desk);
        promise(env, async move { Ok(desk.sample().await?.to_string()) })
    }
}

/// Runs the work on the runtime; the promise keeps the process alive until it is settled.
fn promise<T: ToNapiValue + Send + 'static>(
    env: &Env,
    work: impl Future<Output = std::result::Result<T, String>> + Send + 'static,
) -> Result<Object<'_>> {
    let (deferred, promise) = env.create_deferred()?;
    runtime::handle()?.spawn(async move {
        match work.await {
            Ok(done) => deferred.resolve(move |_| Ok(done)),
            Err(why) => deferred.reject(Error::from_reason(why)),
        }
    });
    Ok(promise)
}
