//! Where the tool asks: one namespace in one Redis, over a connection that is opened at the first question. Questions come
//! one at a time; refusals are sentences.

use std::sync::Arc;

use serde_json::Value as Json;
use tokio::sync::Mutex;

use super::entry::{find, Found};
use super::listing::Listing;
use super::needs::{self, User};
use super::probe::probe;
use super::sample::Sampler;
use super::visit::Visit;
use crate::config::RedisConfig;

#[derive(Debug)]
pub struct Desk {
    config: RedisConfig,
    namespace: String,
    visit: Mutex<Option<Arc<Visit>>>,
    listing: Mutex<Option<Listing>>,
    sampler: Mutex<Sampler>,
}

impl Desk {
    #[must_use]
    pub fn new(config: RedisConfig, namespace: String) -> Self {
        Self {
            config,
            namespace,
            visit: Mutex::default(),
            listing: Mutex::default(),
            sampler: Mutex::default(),
        }
    }

    /// The ACL rule of a user with the rights that are needed, and no more.
    #[must_use]
    pub fn set_user(&self, whose: User) -> String {
        needs::set_user(whose, &self.config, &self.namespace)
    }

    /// What this Redis allows.
    pub async fn probe(&self) -> Json {
        probe(&self.config, &self.namespace).await
    }

    /// Begins a listing of the entries that match; `views` as in stored keys.
    ///
    /// # Errors
    /// A pattern that cannot be read; a Redis that cannot be used.
    pub async fn list(&self, glob: Option<&str>, views: Option<String>) -> Result<(), String> {
        let visit = self.visit().await?;
        *self.listing.lock().await = Some(Listing::new(&visit, glob, views)?);
        Ok(())
    }

    /// The next rows of the listing.
    ///
    /// # Errors
    /// What Redis refused.
    pub async fn next(&self) -> Result<Json, String> {
        let visit = self.visit().await?;
        let mut listing = self.listing.lock().await;
        let listing = listing.as_mut().ok_or("nothing is being listed")?;
        listing.next(&visit).await.map_err(|fault| visit.tell(&fault))
    }

    /// The first of these stored keys that has an entry.
    ///
    /// # Errors
    /// What Redis refused.
    pub async fn entry(&self, stored: &[String]) -> Result<Found, String> {
        let visit = self.visit().await?;
        find(stored, &visit).await.map_err(|fault| visit.tell(&fault))
    }

    /// One look at the server, and a little of the namespace.
    ///
    /// # Errors
    /// What Redis refused.
    pub async fn sample(&self) -> Result<Json, String> {
        let visit = self.visit().await?;
        let mut sampler = self.sampler.lock().await;
        sampler.sample(&visit).await.map_err(|fault| visit.tell(&fault))
    }

    async fn visit(&self) -> Result<Arc<Visit>, String> {
        let mut visit = self.visit.lock().await;
        if let Some(visit) = &*visit {
            return Ok(Arc::clone(visit));
        }
        let begun = Arc::new(Visit::begin(&self.config, &self.namespace).await?);
        *visit = Some(Arc::clone(&begun));
        Ok(begun)
    }
}
