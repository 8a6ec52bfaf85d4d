//! What can be done to the hosts of a scenario, their sessions, their routes and the network.

use crate::protocol::timers::Timers;
use crate::sim::faulty_tables::KernelFaults;
use crate::sim::network::{HostId, Quality};
use crate::sim::rival::{ObjectAct, RivalAct};
use crate::sim::scene::PairId;
use crate::sim::simulated_protocol::SimulatedProtocol;
use crate::sim::world::World;

/// A fault and its time.
#[derive(Clone, Debug, PartialEq)]
pub struct Timed {
    /// When the fault is injected, in microseconds from the beginning of the scenario.
    pub at_us: u64,
    /// The fault.
    pub fault: Fault,
}

/// What is done to the hosts, their sessions, their routes and the network.
#[derive(Clone, Debug, PartialEq)]
pub enum Fault {
    /// Packets of one host no longer reach another.
    Cut {
        /// The sender.
        from: usize,
        /// The receiver.
        to: usize,
    },
    /// Packets between two hosts are lost in both directions.
    CutBoth {
        /// The two hosts.
        hosts: [usize; 2],
    },
    /// Packets between some hosts and all others are lost.
    Partition {
        /// The hosts on one side of the partition.
        part: Vec<usize>,
    },
    /// Every cut ends.
    HealAll,
    /// The quality of one path changes.
    Quality {
        /// The sender.
        from: usize,
        /// The receiver.
        to: usize,
        /// The new quality.
        quality: Quality,
    },
    /// The process of a host ends, and another starts.
    Restart {
        /// The host.
        host: usize,
        /// How long after the end of the first process the second starts, in microseconds.
        pause_us: u64,
        /// The new process adopts the routes that the previous one left; otherwise it deletes them.
        adopts: bool,
    },
    /// The process of a host ends at any moment, and another goes on with its state file.
    RestartWithState {
        /// The host.
        host: usize,
        /// How long after the end of the first process the second starts, in microseconds.
        pause_us: u64,
    },
    /// The thread of a host does not run.
    Stall {
        /// The host.
        host: usize,
        /// For how long, in microseconds.
        us: u64,
    },
    /// A session is taken out of service.
    AdminDown {
        /// The pair.
        pair: usize,
        /// The side of the pair, 0 or 1.
        side: usize,
    },
    /// A session is put back in service.
    AdminUp {
        /// The pair.
        pair: usize,
        /// The side of the pair, 0 or 1.
        side: usize,
    },
    /// One route of a host is taken out of service, or put back. Without such a route, nothing happens.
    AdminRoute {
        /// The host.
        host: usize,
        /// The position of the route, in the order in which routes were added.
        route: usize,
        /// Whether the route is taken out of service.
        down: bool,
    },
    /// Another process changes the slot of a host's route. Without such a route, nothing happens.
    Route {
        /// The host.
        host: usize,
        /// The position of the route, in the order in which routes were added.
        route: usize,
        /// What the other process does.
        change: RivalAct,
    },
    /// A link of a host goes down and up, and the kernel drops the routes over it.
    Flush {
        /// The host.
        host: usize,
        /// The number of the link, which is that of the pair, from 1.
        link: u32,
    },
    /// Another process does something to the number of a next-hop object of a host. Without objects, nothing happens.
    Object {
        /// The host.
        host: usize,
        /// The position of the number in the range of the host.
        object: u32,
        /// What the other process does.
        act: ObjectAct,
    },
    /// A link of a host is removed, or comes back. With it go its routes and next-hop objects.
    Link {
        /// The host.
        host: usize,
        /// The number of the link, which is that of the pair, from 1, or of no pair.
        link: u32,
        /// Whether it is there from now on.
        is_there: bool,
    },
    /// A session gets other timers.
    Timers {
        /// The pair.
        pair: usize,
        /// The side of the pair, 0 or 1.
        side: usize,
        /// The new timers.
        timers: Timers,
    },
    /// The kernel of a host fails in other ways than before.
    Kernel {
        /// The host.
        host: usize,
        /// The new faults.
        faults: KernelFaults,
    },
}

impl Fault {
    pub(super) fn apply<P: SimulatedProtocol>(&self, world: &mut World<P>) {
        match *self {
            Fault::Cut { from, to } => world.cut(host_id(from), host_id(to)),
            Fault::CutBoth { hosts: [first, second] } => world.cut_both(host_id(first), host_id(second)),
            Fault::Partition { ref part } => {
                let part: Vec<HostId> = part.iter().copied().map(host_id).collect();
                world.partition(&part);
            }
            Fault::HealAll => world.heal_all(),
            Fault::Quality { from, to, quality } => world.set_quality(host_id(from), host_id(to), quality),
            Fault::Restart { host, pause_us, adopts } => world.restart(host_id(host), pause_us, adopts),
            Fault::RestartWithState { host, pause_us } => world.restart_with_state(host_id(host), pause_us),
            Fault::Route { host, route, change } => world.change_route(host_id(host), route, change),
            Fault::Flush { host, link } => world.flush(host_id(host), link),
            Fault::Object { host, object, act } => world.change_object(host_id(host), object, act),
            Fault::Link { host, link, is_there: false } => world.remove_link(host_id(host), link),
            Fault::Link { host, link, is_there: true } => world.restore_link(host_id(host), link),
            Fault::Stall { host, us } => world.stall(host_id(host), us),
            Fault::AdminDown { pair, side } => world.admin(pair_id(pair), side, true),
            Fault::AdminUp { pair, side } => world.admin(pair_id(pair), side, false),
            Fault::AdminRoute { host, route, down } => world.admin_route(host_id(host), route, down),
            Fault::Timers { pair, side, timers } => world.set_timers(pair_id(pair), side, timers),
            Fault::Kernel { host, faults } => world.set_kernel_faults(host_id(host), faults),
        }
    }
}

pub(super) fn host_id(index: usize) -> HostId {
    HostId(index as u8 + 1)
}

fn pair_id(index: usize) -> PairId {
    PairId(index as u32 + 1)
}
