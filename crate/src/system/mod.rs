//! What every thread needs of the host: clocks, locks, scheduling, and the messages of netlink.

pub mod clock;
pub mod doorbell;
pub mod netlink;
pub mod panics;
pub mod problem;
pub mod realtime;
pub mod sync;
