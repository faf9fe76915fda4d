//! Several masters: what the model of one server says nothing of.
//!
//! Each key, tag and the namespace has a slot of its own (rules live in that of the namespace), and a slot has one master;
//! which one, a node hears of a little later than another, and a process later still. Masters die, stop and are split from
//! the others, and replicas that lag take their place; slots move; a master takes another reign. What a process reads from
//! memory meanwhile, and why that may be believed, is `proof`. Modules from the top down.

pub mod play;

pub mod check;

pub mod calls;

pub mod survey;

pub mod keeper;

pub mod weather;

pub mod wires;

pub mod world;

pub mod process;

pub mod proof;

pub mod redis;

pub mod mutant;
