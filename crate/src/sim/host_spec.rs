//! The settings of a simulated host.

use crate::protocol::rules::{ROBUST, Rules};
use crate::routes::armed::ObjectPolicy;
use crate::routes::damping::Damping;
use crate::sim::faulty_tables::KernelFaults;

/// The settings of a host.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HostSpec {
    /// The rule set of its sessions.
    pub rules: &'static Rules,
    /// The shortest interval that it uses, in microseconds.
    pub min_tx_floor_us: u32,
    /// The longest interval that it uses, in microseconds.
    pub max_tx_ceil_us: u32,
    /// The longest interval between two packets of a session that is Down, in microseconds.
    pub backoff_max_us: u32,
    /// It only observes, and its packets say so: it installs no routes.
    pub passive: bool,
    /// Routes of a session whose peer is passive stay while the session is Down.
    pub honor_peer_passive: bool,
    /// A session that is Up accepts only packets that name its discriminator.
    pub require_discriminator: bool,
    /// When routes of sessions that flap are installed again.
    pub damping: Damping,
    /// Its routes hang on next-hop objects.
    pub objects: Option<ObjectPolicy>,
    /// A filter in its kernel takes in repeats.
    pub filters_repeats: bool,
    /// How much its clock gains, in millionths.
    pub clock_ppm: i32,
    /// How late a turn of its thread may come, in microseconds.
    pub lateness_us: u64,
    /// How much earlier than due its packets may leave together with others, in microseconds.
    pub tx_slack_us: u16,
    /// The most datagrams that are read in one turn.
    pub read_budget: usize,
    /// The most datagrams that wait in the receive buffer of the socket.
    pub socket_room: usize,
    /// The most datagrams to unreachable hosts that wait in the send buffer of the socket.
    pub send_room: usize,
    /// How its kernel fails.
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
            damping: Damping::default(),
            objects: None,
            filters_repeats: false,
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

/// The settings of a route.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RouteKind {
    /// The route stays in the kernel when the session goes Down.
    pub no_uninstall: bool,
    /// The route stays as it is while the session is not Up because its peer said AdminDown.
    pub keep_on_peer_admin_down: bool,
    /// Another process occupies the slot of the route before the route is added.
    pub conflict: bool,
    /// Where the route runs while its session is not Up.
    pub backup: Option<BackupKind>,
}

/// The settings of the backup of a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BackupKind {
    /// The number of the link that it leads over, from 1. Links with the number of a pair are those of its sessions.
    pub link: u32,
    /// The number of the host that is its gateway, whether there is such a host or not.
    pub gateway: u8,
    /// The session of the host over that link watches it; otherwise it is of use while the link is there.
    pub is_watched: bool,
}
