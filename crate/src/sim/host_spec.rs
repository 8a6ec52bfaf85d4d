//! What a simulated host is like.

use crate::protocol::rules::{ROBUST, Rules};
use crate::sim::kernel::KernelFaults;

/// What a host is like.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HostSpec {
    pub rules: &'static Rules,
    pub min_tx_floor_us: u32,
    pub max_tx_ceil_us: u32,
    pub backoff_max_us: u32,
    /// It observes only, and says so: it has no routes in its care.
    pub passive: bool,
    pub honor_peer_passive: bool,
    /// In Up it hears only packets that name it.
    pub require_discriminator: bool,
    /// By so many millionths its clock gains.
    pub clock_ppm: i32,
    /// Each turn of its thread comes up to so late.
    pub lateness_us: u64,
    /// Its packets may leave so much early, in company.
    pub tx_slack_us: u16,
    /// So many datagrams are read in one turn at most.
    pub read_budget: usize,
    /// So many datagrams wait in the socket at most.
    pub socket_room: usize,
    /// So many datagrams to hosts that do not answer wait in the socket's send buffer at most.
    pub send_room: usize,
    pub kernel: KernelFaults,
}

impl Default for HostSpec {
    fn default() -> Self {
        Self {
            rules: &ROBUST,
            min_tx_floor_us: 10_000,
            max_tx_ceil_us: 1_000_000,
            backoff_max_us: 1_000_000,
            passive: false,
            honor_peer_passive: false,
            require_discriminator: false,
            clock_ppm: 0,
            lateness_us: 0,
            tx_slack_us: 0,
            read_budget: 1_024,
            socket_room: 1_024,
            send_room: 4_096,
            kernel: KernelFaults::default(),
        }
    }
}

/// How a session's routes are to be treated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RouteKind {
    pub no_uninstall: bool,
    pub conflict: bool,
}
