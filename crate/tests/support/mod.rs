//! A simulated network: engines on a virtual clock, joined by links with a delay that can be cut one way or both.
#![allow(dead_code, reason = "each test binary uses its own part of it")]

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use route_liveness::engine::{Datagram, Engine, Event, Path, SessionId, SessionSpec, Transition, Transmit};
use route_liveness::packet::{ControlPacket, State};
use route_liveness::rules::{ROBUST, Rules};
use route_liveness::session::{Policy, Timers};
use route_liveness::stats::LinkId;
use route_liveness::time::Time;

pub const MS: u64 = 1_000;
pub const SECOND: u64 = 1_000_000;
pub const LINK: LinkId = LinkId(1);

pub fn at(us: u64) -> Time {
    Time::from_micros(us)
}

pub fn policy(rules: &'static Rules) -> Policy {
    Policy { rules, min_tx_floor_us: 10_000, max_tx_ceil_us: 1_000_000, backoff_max_us: 1_000_000, identity: None }
}

pub fn timers(interval_ms: u32, detect_mult: u8) -> Timers {
    Timers { tx_min_us: interval_ms * 1_000, rx_min_us: interval_ms * 1_000, detect_mult }
}

pub fn host(number: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 0, 0, number)
}

pub fn path(local: u8, peer: u8) -> Path {
    Path { link: LINK, local: host(local), peer: host(peer) }
}

pub fn spec(id: u32, path: Path, timers: Timers) -> SessionSpec {
    SessionSpec { id: SessionId(id), path, peer_port: 44880, timers }
}

pub fn transitions(engine: &mut Engine) -> Vec<Transition> {
    std::iter::from_fn(|| engine.poll_event())
        .filter_map(|event| if let Event::Transition(transition) = event { Some(transition) } else { None })
        .collect()
}

/// A packet on its way.
struct Flight {
    to: u8,
    transmit: Transmit,
}

pub struct Host {
    pub engine: Engine,
    pub transitions: Vec<Transition>,
    pub long_round_trips_us: Vec<u64>,
    /// When it sent what.
    pub sent: Vec<(Time, ControlPacket)>,
    rules: &'static Rules,
    sessions: Vec<(SessionSpec, u32)>,
    lives: u32,
}

impl Host {
    pub fn state(&self, id: u32) -> State {
        self.engine.session(SessionId(id)).expect("a session of this id").0.state()
    }
}

/// Hosts by number; each pair is joined, with one delay for all.
pub struct Network {
    pub now: Time,
    pub hosts: BTreeMap<u8, Host>,
    pub delay_us: u64,
    cut: Vec<(u8, u8)>,
    /// By time of arrival and order of sending.
    flights: BTreeMap<(Time, u64), Flight>,
    sent: u64,
}

impl Network {
    pub fn new(delay_us: u64) -> Self {
        Self { now: at(SECOND), hosts: BTreeMap::new(), delay_us, cut: Vec::new(), flights: BTreeMap::new(), sent: 0 }
    }

    /// Two robust hosts, 1 and 2, with a session each that has the id of its host.
    pub fn pair(timers: Timers) -> Self {
        Self::pair_with(timers, [&ROBUST, &ROBUST])
    }

    pub fn pair_with(timers: Timers, [one, two]: [&'static Rules; 2]) -> Self {
        let mut network = Self::new(MS);
        network.add_host(1, one);
        network.add_host(2, two);
        network.add_session(1, spec(1, path(1, 2), timers));
        network.add_session(2, spec(2, path(2, 1), timers));
        network
    }

    pub fn add_host(&mut self, number: u8, rules: &'static Rules) {
        let engine = Engine::new(policy(rules), 1_000, u32::from(number));
        let host = Host {
            engine,
            transitions: Vec::new(),
            long_round_trips_us: Vec::new(),
            sent: Vec::new(),
            rules,
            sessions: Vec::new(),
            lives: 1,
        };
        self.hosts.insert(number, host);
    }

    pub fn add_session(&mut self, number: u8, spec: SessionSpec) {
        let host = self.hosts.get_mut(&number).expect("a host of this number");
        let discr = (u32::from(number) << 24) | (host.lives << 16) | spec.id.0;
        host.engine.add_session(self.now, spec, discr).expect("room for a session");
        host.sessions.push((spec, discr));
        self.collect(number);
    }

    /// The process of a host ends and starts again: new discriminators, nothing remembered.
    pub fn restart(&mut self, number: u8) {
        self.kill(number);
        let (lives, rules, sessions) = {
            let host = &self.hosts[&number];
            (host.lives, host.rules, host.sessions.clone())
        };
        let before = self.hosts.remove(&number).expect("a host of this number");
        self.add_host(number, rules);
        let host = self.hosts.get_mut(&number).expect("just added");
        (host.lives, host.transitions, host.sent) = (lives + 1, before.transitions, before.sent);
        for (spec, _) in sessions {
            self.add_session(number, spec);
        }
    }

    /// The process of a host ends without a word.
    pub fn kill(&mut self, number: u8) {
        let host = self.hosts.get_mut(&number).expect("a host of this number");
        for (spec, _) in host.sessions.clone() {
            host.engine.remove_session(spec.id);
        }
    }

    pub fn host(&mut self, number: u8) -> &mut Host {
        self.hosts.get_mut(&number).expect("a host of this number")
    }

    pub fn cut(&mut self, from: u8, to: u8) {
        self.cut.push((from, to));
    }

    pub fn cut_both(&mut self) {
        self.cut(1, 2);
        self.cut(2, 1);
    }

    pub fn heal(&mut self) {
        self.cut.clear();
    }

    pub fn run(&mut self, us: u64) {
        let until = self.now.plus(us);
        while self.step(until) {}
        self.now = until;
    }

    /// Runs until the condition holds, for at most so long; tells how long it took.
    pub fn run_until(&mut self, at_most_us: u64, mut holds: impl FnMut(&Self) -> bool) -> Option<u64> {
        let began = self.now;
        let until = self.now.plus(at_most_us);
        loop {
            if holds(self) {
                return Some(self.now.since(began));
            }
            if !self.step(until) {
                return None;
            }
        }
    }

    pub fn all_up(&self) -> bool {
        self.hosts.values().all(|host| host.sessions.iter().all(|(spec, _)| host.state(spec.id.0) == State::Up))
    }

    /// Every transition so far, of all hosts; then none.
    pub fn take_transitions(&mut self) -> Vec<Transition> {
        self.hosts.values_mut().flat_map(|host| std::mem::take(&mut host.transitions)).collect()
    }

    /// Jumps to the next thing that happens; false where nothing does until then.
    fn step(&mut self, until: Time) -> bool {
        let arrival = self.flights.keys().next().map(|(time, _)| *time);
        let deadline = self.hosts.values().filter_map(|host| host.engine.poll_deadline()).min();
        let Some(next) = arrival.into_iter().chain(deadline).min().filter(|next| *next <= until) else {
            return false;
        };
        self.now = self.now.max(next);
        while let Some(entry) = self.flights.first_entry().filter(|entry| entry.key().0 <= self.now) {
            let Flight { to, transmit } = entry.remove();
            let path = Path { link: LINK, local: transmit.path.peer, peer: transmit.path.local };
            let datagram = Datagram { arrival: self.now, path, bytes: &transmit.bytes };
            let now = self.now;
            self.host(to).engine.handle_datagram(now, datagram);
        }
        let numbers: Vec<u8> = self.hosts.keys().copied().collect();
        for number in numbers {
            let now = self.now;
            self.host(number).engine.handle_timeout(now, now);
            self.collect(number);
        }
        true
    }

    fn collect(&mut self, number: u8) {
        let now = self.now;
        let arrives = now.plus(self.delay_us);
        let host = self.hosts.get_mut(&number).expect("a host of this number");
        while let Some(transmit) = host.engine.poll_transmit() {
            host.sent.push((now, ControlPacket::unmarshal(&transmit.bytes).expect("engines send packets")));
            let to = transmit.path.peer.octets()[3];
            if !self.cut.contains(&(number, to)) {
                self.flights.insert((arrives, self.sent), Flight { to, transmit });
                self.sent += 1;
            }
        }
        while let Some(event) = host.engine.poll_event() {
            match event {
                Event::Transition(transition) => host.transitions.push(transition),
                Event::LongRoundTrip { at_least_us, .. } => host.long_round_trips_us.push(at_least_us),
                Event::PeerPassive { .. } => {}
            }
        }
    }
}
