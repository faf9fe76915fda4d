//! A discrete-event model of tidecache's protocol.
//!
//! One Redis, three processes, a network that delays, cuts, swallows and freezes, and a checker that knows more than any
//! process does. Not the code that ships: the same rules, small enough to be read in one sitting and to be tried in
//! many thousand histories. Modules from the top down; each uses only those below it.

pub mod cluster;

pub mod scenario;

pub mod weather;

pub mod callers;

pub mod write;

pub mod read;

pub mod lookup;

pub mod judge;

pub mod load;

pub mod fill;

pub mod link;

pub mod node;

pub mod faults;

pub mod network;

pub mod world;

pub mod check;

pub mod history;

pub mod process;

pub mod held;

pub mod rules;

pub mod windows;

pub mod server;

pub mod versions;

pub mod command;

pub mod names;

pub mod mutant;

pub mod sim;

pub mod rng;
