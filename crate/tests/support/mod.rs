//! Helpers of several tests: short constructors, and a pair of hosts in a simulated world.
#![allow(dead_code, reason = "each test binary uses its own part of it")]

use std::net::{IpAddr, Ipv4Addr};

use route_liveness::engine::stats::LinkId;
use route_liveness::engine::{Engine, Event, Path, SessionId, SessionSpec, Transition};
use route_liveness::protocol::Protocol;
use route_liveness::protocol::liveness::Liveness;
use route_liveness::protocol::liveness::packet::ControlPacket;
use route_liveness::protocol::policy::Policy;
use route_liveness::protocol::rules::{ROBUST, Rules};
use route_liveness::protocol::state::State;
use route_liveness::protocol::time::Time;
use route_liveness::protocol::timers::Timers;
use route_liveness::sim::{Host, HostId, HostSpec, Quality, World};

pub(crate) const MS: u64 = 1_000;
pub(crate) const SECOND: u64 = 1_000_000;
pub(crate) const LINK: LinkId = LinkId(1);

pub(crate) fn at(us: u64) -> Time {
    Time::from_micros(us)
}

pub(crate) fn policy(rules: &'static Rules) -> Policy {
    Policy {
        rules,
        min_tx_floor_us: 10_000,
        max_tx_ceil_us: 1_000_000,
        backoff_max_us: 1_000_000,
        require_discriminator: false,
        min_ttl: 0,
        identity: None,
    }
}

pub(crate) fn timers(interval_ms: u32, detect_mult: u8) -> Timers {
    Timers { tx_min_us: interval_ms * 1_000, rx_min_us: interval_ms * 1_000, detect_mult }
}

pub(crate) fn host(number: u8) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(10, 0, 0, number))
}

pub(crate) fn path(local: u8, peer: u8) -> Path {
    Path { link: LINK, local: host(local), peer: host(peer) }
}

pub(crate) fn spec(id: u32, path: Path, timers: Timers) -> SessionSpec {
    SessionSpec { id: SessionId(id), path, peer_port: Liveness::PORT, timers, min_ttl: None }
}

pub(crate) fn transitions(engine: &mut Engine) -> Vec<Transition> {
    std::iter::from_fn(|| engine.poll_event())
        .filter_map(|event| if let Event::Transition(transition) = event { Some(transition) } else { None })
        .collect()
}

/// A simulated world of two hosts, 1 and 2, under the robust rules, with a pair of sessions. A violated invariant fails the
/// test.
pub(crate) struct Network {
    pub(crate) world: World,
}

impl Network {
    pub(crate) fn pair(timers: Timers) -> Self {
        Self::pair_with(timers, [&ROBUST, &ROBUST])
    }

    pub(crate) fn pair_with(timers: Timers, rules: [&'static Rules; 2]) -> Self {
        Self::pair_over(MS, timers, rules)
    }

    pub(crate) fn pair_over(delay_us: u64, timers: Timers, rules: [&'static Rules; 2]) -> Self {
        let mut world = World::new(1, Quality { delay_us, ..Quality::default() }).watched();
        let hosts = rules.map(|rules| world.add_host(HostSpec { rules, ..HostSpec::default() }));
        world.add_pair(hosts, [timers; 2], [&[], &[]]);
        Self { world }
    }

    pub(crate) fn host(&mut self, number: u8) -> &mut Host {
        self.world.host_mut(HostId(number))
    }

    pub(crate) fn run(&mut self, us: u64) {
        self.world.run(us).expect("no invariant is violated");
    }

    pub(crate) fn run_until(&mut self, at_most_us: u64, holds: impl FnMut(&World) -> bool) -> Option<u64> {
        self.world.run_until(at_most_us, holds).expect("no invariant is violated")
    }

    pub(crate) fn cut(&mut self, from: u8, to: u8) {
        self.world.cut(HostId(from), HostId(to));
    }

    pub(crate) fn cut_both(&mut self) {
        self.world.cut_both(HostId(1), HostId(2));
    }

    pub(crate) fn heal(&mut self) {
        self.world.heal_all();
    }

    pub(crate) fn kill(&mut self, number: u8) {
        self.world.kill(HostId(number));
    }

    pub(crate) fn restart(&mut self, number: u8) {
        self.world.restart(HostId(number), 0, false);
    }

    /// Takes the recorded transitions of both hosts.
    pub(crate) fn take_transitions(&mut self) -> Vec<Transition> {
        self.world.take_transitions()
    }
}

/// A packet of a peer that is Up.
pub(crate) fn up_packet(local_discr: u32, peer_discr: u32) -> ControlPacket {
    ControlPacket {
        state: State::Up,
        detect_mult: 3,
        local_discr,
        peer_discr,
        desired_min_tx_us: 100_000,
        required_min_rx_us: 100_000,
        passive: false,
        client_version: [0; 4],
    }
}

/// A pair that has been Up for a second.
pub(crate) fn up_pair() -> Network {
    let mut network = Network::pair(timers(100, 3));
    network.run_until(2 * SECOND, |world| world.all_up()).expect("a pair comes up");
    network.run(SECOND);
    network.take_transitions();
    network
}
