//! Passes arbitrary datagrams, commands and steps of time to an engine, under the simulator's invariant checker.

use std::net::{IpAddr, Ipv4Addr};

use route_liveness::engine::stats::LinkId;
use route_liveness::engine::{Datagram, Engine, Path, SessionId, SessionSpec};
use route_liveness::protocol::liveness::Identity;
use route_liveness::protocol::liveness::packet::ControlPacket;
use route_liveness::protocol::policy::Policy;
use route_liveness::protocol::rules::{REFERENCE, ROBUST};
use route_liveness::protocol::state::State;
use route_liveness::protocol::time::Time;
use route_liveness::protocol::timers::Timers;
use route_liveness::sim::InvariantChecker;

use super::script::Script;

const MAX_SESSIONS: usize = 4;

struct Run {
    engine: Engine,
    checker: InvariantChecker,
    now: Time,
    discriminators: u32,
}

/// Runs the commands in `data`.
///
/// # Panics
/// If an invariant is violated.
pub fn run(data: &[u8]) {
    let mut script = Script(data);
    let Some(flags) = script.byte() else { return };
    let policy = Policy {
        require_discriminator: false,
        min_ttl: 0,
        rules: if flags & 1 == 0 { &ROBUST } else { &REFERENCE },
        min_tx_floor_us: 10_000,
        max_tx_ceil_us: 1_000_000,
        backoff_max_us: if flags & 2 == 0 { 1_000_000 } else { 60_000_000 },
        identity: (flags & 4 != 0).then_some(Identity { passive: flags & 8 != 0, version: [1, 2, 3, 4] }),
    };
    let mut run = Run {
        engine: Engine::new(policy, MAX_SESSIONS, u32::from(flags)).with_slack(if flags & 16 == 0 { 1_000 } else { 0 }),
        checker: InvariantChecker::default(),
        now: Time::from_micros(1_000_000),
        discriminators: 0,
    };
    while run.run_commands(&mut script).is_some() {
        if let Err(violation) = run.checker.drain(&mut run.engine, run.now) {
            panic!("{violation}");
        }
    }
}

impl Run {
    /// Runs one command; `None` at the end of the script.
    fn run_commands(&mut self, script: &mut Script<'_>) -> Option<()> {
        let order = script.byte()?;
        let id = SessionId(u32::from(order >> 4) % 6);
        let now = self.now;
        match order % 13 {
            0 => self.add(id, timers(script)?),
            1 => {
                self.engine.remove_session(id);
                self.checker.removed(id);
            }
            2 => self.engine.admin_down(now, id),
            3 => self.engine.admin_up(now, id),
            4 => {
                self.engine.update_session(now, id, timers(script)?, 44880);
                self.checker.touched(&self.engine, id);
            }
            5 => self.engine.note_scheduling_delay(now, script.span_us()?),
            6 => self.engine.note_socket_drops(now),
            7 => {
                let bytes = script.bytes()?;
                self.hear(id, 0, bytes);
            }
            8 | 9 => {
                let (age_us, packet) = (script.span_us()?, packet(script)?);
                self.hear(id, age_us, &packet.marshal());
            }
            10 => self.engine.transmit_ahead(now),
            11 => self.engine.put_back_detections(now.plus(script.span_us()?)),
            _ => {
                self.now = now.plus(script.span_us()?);
                let unread_us = if order & 0x10 == 0 { 0 } else { script.span_us()? };
                self.engine.handle_timeout(self.now, self.now.minus(unread_us));
            }
        }
        Some(())
    }

    fn add(&mut self, id: SessionId, timers: Timers) {
        self.discriminators += 1;
        let spec = SessionSpec { id, path: path(id), peer_port: 44880, timers, min_ttl: None };
        if self.engine.add_session(self.now, spec, self.discriminators).is_ok() {
            self.checker.added(&self.engine, id, path(id));
        }
    }

    fn hear(&mut self, id: SessionId, age_us: u64, bytes: &[u8]) {
        let datagram = Datagram { arrival: self.now.minus(age_us), path: path(id), ttl: None, min_ttl: 0, bytes };
        self.engine.handle_datagram(self.now, datagram);
        self.checker.touched(&self.engine, id);
    }
}

fn path(id: SessionId) -> Path {
    Path {
        link: LinkId(1),
        local: IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1)),
        peer: IpAddr::V4(Ipv4Addr::from(0x0A00_0002 + id.0)),
    }
}

fn timers(script: &mut Script<'_>) -> Option<Timers> {
    let interval_us = (10_000 + script.span_us()?).min(1_000_000) as u32;
    Some(Timers { tx_min_us: interval_us, rx_min_us: interval_us, detect_mult: script.byte()?.max(1) })
}

fn packet(script: &mut Script<'_>) -> Option<ControlPacket> {
    let shape = script.byte()?;
    Some(ControlPacket {
        state: State::ALL[usize::from(shape & 3)],
        detect_mult: shape >> 2 & 7,
        // The sessions have small discriminators, so that some packets name one of them.
        local_discr: u32::from(script.byte()? & 3),
        peer_discr: u32::from(script.byte()? & 15),
        desired_min_tx_us: script.word()?,
        required_min_rx_us: script.word()?,
        passive: shape & 0x80 != 0,
        client_version: [shape; 4],
    })
}
