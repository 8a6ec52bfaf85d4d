//! What every thread needs of the host: clocks, locks, scheduling, and the messages of netlink.

pub mod clock;
pub mod netlink;
pub mod panics;
pub mod realtime;
pub mod sync;
