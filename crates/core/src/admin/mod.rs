//! The operator's view of one namespace in Redis: what the command line tool asks.
//!
//! It reads what lies there and judges it as an engine would, but is no engine: it loads nothing, fills nothing and
//! trusts nothing it read before. The only writes are the doctor's, on names of its own, removed after.
//!
//! 1. [`desk`] where the tool asks
//! 2. [`probe`] what this Redis allows (`doctor`) · [`dryrun`] our scripts on names of their own · [`pushes`] ·
//!    [`reach`] the way to the server · [`masters`] of a cluster · [`needs`] the commands that are needed, and the ACL of them
//! 3. [`listing`] all entries (`ls`) · [`entry`] one of them (`get`, `inspect`) · [`sample`] the server (`top`)
//! 4. [`judge`] what an entry is worth · [`dependency`] why · [`visit`] a connection to a master · [`connect`] · [`facts`] replies

pub mod connect;
pub mod dependency;
pub mod desk;
pub mod dryrun;
pub mod entry;
pub mod facts;
pub mod judge;
pub mod listing;
pub mod masters;
pub mod needs;
pub mod probe;
pub mod pushes;
pub mod reach;
pub mod sample;
pub mod visit;
