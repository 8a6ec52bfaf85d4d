//! What every thread needs of the host: clocks, locks, scheduling, and the messages of netlink.

pub mod big_blocks;
pub(crate) mod bpf;
pub mod clock;
pub mod doorbell;
pub(crate) mod netlink;
pub(crate) mod packet_program;
pub(crate) mod panics;
pub mod problem;
pub mod realtime;
pub(crate) mod socket_option;
pub mod state_file;
pub(crate) mod sync;
