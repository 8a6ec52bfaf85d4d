//! What goes over the wire and what a session does with it. Pure: no I/O, no clock, no thread. Time comes in as a number.

pub mod discriminators;
pub mod jitter;
pub mod packet;
pub mod rules;
pub mod session;
pub mod time;
