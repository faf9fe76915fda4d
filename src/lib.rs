//! The Node.js binding: conversion only. Every decision is in `tidecache-core`; promises, loaders and encoding
//! are in `lib/`.
//!
//! 1. [`handle`] the class behind a cache · 2. [`fast`] the path of a hit · 3. [`outbox`] answers, in
//!    batches · 4. [`glimpse`] entries as pages look at them · 5. [`config`] options · 6. [`text`] strings and bytes across
//!    the boundary · 7. [`runtime`] the thread that engines run on · 8. [`farewell`] signals

mod admin;
mod config;
pub mod farewell;
mod fast;
mod glimpse;
mod handle;
mod outbox;
mod runtime;
mod text;

use napi_derive::napi;

/// The version this addon was built from: the package checks that it is its own.
#[napi(catch_unwind)]
#[must_use]
pub fn version() -> String {
    env!("CARGO_PKG_VERSION").to_owned()
}
