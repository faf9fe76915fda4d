//! The core of tidecache: a memory tier in front of Redis, with leases and coherent invalidation.
//!
//! It knows no JavaScript. Read downward; a file uses only files below it in this list:
//!
//! 1. [`registry`] one engine per process and Redis · [`admin`] the operator's view, beside the engines
//! 2. [`engine`] every decision: probe, lookup, lease, fill, set, invalidate, supervise, report
//! 3. [`endpoint`] what is known of a server · [`link`] and of the connection to it · [`shards`] what lives where ·
//!    [`router`] several masters at once · [`cluster`] which they are · [`owners`] what each vouches for · [`watches`] leases waited
//!    for · [`breaker`] · [`journal`] · [`versions`] · [`retry`] · [`loads`] · [`gate`] how many run at once · [`settling`]
//! 4. [`redis`] sockets, scripts, sessions
//! 5. [`hot`] the hottest entries · [`memory`] the memory tier · [`metrics`] · [`notice`] changes told to all handles
//! 6. [`envelope`] an entry in Redis · [`seal`] its HMAC · [`epoch`] what still stands · [`freshness`] the rule
//! 7. [`rules`] patterns · [`path`] views and versions · [`key`] names and hashes · [`glob`] · [`config`] · [`clock`] ·
//!    [`steps`] work on megabytes

pub mod admin;
pub mod breaker;
pub mod clock;
pub mod cluster;
pub mod config;
pub mod endpoint;
pub mod engine;
pub mod envelope;
pub mod epoch;
pub mod freshness;
pub mod gate;
pub mod glob;
pub mod hot;
pub mod journal;
pub mod key;
pub mod link;
pub mod loads;
pub mod memory;
pub mod metrics;
pub mod notice;
pub mod owners;
pub mod path;
pub mod redis;
pub mod registry;
pub mod retry;
pub mod router;
pub mod rules;
pub mod seal;
pub mod settling;
pub mod shards;
pub mod steps;
pub mod versions;
pub mod watches;
