//! Passes arbitrary datagrams, signed packets, commands and steps of time to a BFD engine, under the simulator's invariant
//! checker.

use std::net::{IpAddr, Ipv4Addr};

use route_liveness::engine::stats::LinkId;
use route_liveness::engine::{Datagram, Engine, Path, SessionId, SessionSpec};
use route_liveness::protocol::bfd::Bfd;
use route_liveness::protocol::bfd::authentication::Authentication;
use route_liveness::protocol::bfd::authentication::key::{Key, Kind, Variant};
use route_liveness::protocol::bfd::options::{BfdOptions, Role};
use route_liveness::protocol::bfd::packet::BfdPacket;
use route_liveness::protocol::bfd::rules::RFC5880;
use route_liveness::protocol::diagnostic::Diagnostic;
use route_liveness::protocol::policy::Policy;
use route_liveness::protocol::state::State;
use route_liveness::protocol::time::Time;
use route_liveness::protocol::timers::Timers;
use route_liveness::protocol::{Header, Protocol};
use route_liveness::sim::InvariantChecker;

use super::script::Script;

const ID: SessionId = SessionId(1);
const DISCR: u32 = 1;

struct Run {
    engine: Engine<Bfd>,
    checker: InvariantChecker,
    now: Time,
    /// The peer's signature; `None` without keys.
    peer: Option<Authentication>,
}

/// Runs the commands in `data`.
///
/// # Panics
/// If an invariant is violated.
pub fn run(data: &[u8]) {
    let mut script = Script(data);
    let Some(flags) = script.byte() else { return };
    let policy = Policy {
        rules: &RFC5880,
        min_tx_floor_us: 10_000,
        max_tx_ceil_us: 1_000_000,
        backoff_max_us: 1_000_000,
        require_discriminator: false,
        min_ttl: 0,
        identity: None,
    };
    let options = options(flags);
    let peer = Authentication::new(options.keys.clone(), u32::from(flags));
    let now = Time::from_micros(1_000_000);
    let mut engine = Engine::<Bfd>::of_protocol(policy, 1, u32::from(flags)).with_slack(1_000);
    let spec = SessionSpec { id: ID, path: path(), peer_port: Bfd::PORT, timers: timers(50_000, 3), min_ttl: None };
    engine.add_session_with(now, spec, options, DISCR).expect("the engine has room");
    let mut checker = InvariantChecker::default();
    checker.added(&engine, ID, path());
    let mut run = Run { engine, checker, now, peer };
    while run.run_command(&mut script).is_some() {
        if let Err(violation) = run.checker.drain(&mut run.engine, run.now) {
            panic!("{violation}");
        }
    }
}

impl Run {
    /// Runs one command; `None` at the end of the script.
    fn run_command(&mut self, script: &mut Script<'_>) -> Option<()> {
        let now = self.now;
        match script.byte()? % 8 {
            0 => self.hear(script.bytes()?),
            1 => self.engine.admin_down(now, ID),
            2 => self.engine.admin_up(now, ID),
            3 => {
                let interval_us = (10_000 + script.span_us()?).min(1_000_000) as u32;
                self.engine.update_session(now, ID, timers(interval_us, script.byte()?.max(1)), Bfd::PORT);
                self.checker.touched(&self.engine, ID);
            }
            4 => {
                self.engine.update_options(now, ID, options(script.byte()?));
            }
            5 | 6 => {
                let packet = packet(script)?;
                let flipped = script.byte()?;
                let mut bytes = match &mut self.peer {
                    Some(peer) => peer.sign(packet.marshal(), now).as_ref().to_vec(),
                    None => packet.marshal().to_vec(),
                };
                // Most packets are unchanged.
                if let Some(byte) = bytes.get_mut(usize::from(flipped)) {
                    *byte ^= 1 << (flipped % 8);
                }
                self.hear(&bytes);
            }
            _ => {
                self.now = now.plus(script.span_us()? * 64);
                self.engine.handle_timeout(self.now, self.now);
            }
        }
        Some(())
    }

    fn hear(&mut self, bytes: &[u8]) {
        let datagram = Datagram { arrival: self.now, path: path(), ttl: Some(255), min_ttl: 0, bytes };
        self.engine.handle_datagram(self.now, datagram);
        self.checker.touched(&self.engine, ID);
    }
}

/// A role, and up to two keys of any type.
fn options(flags: u8) -> BfdOptions {
    let role = if flags & 1 == 0 { Role::Active } else { Role::Passive };
    let count = usize::from(flags >> 1 & 3).min(2);
    let key = |id: u8| {
        let kind = Kind::ALL[usize::from((flags >> 3).wrapping_add(id)) % Kind::ALL.len()];
        Key::new(id, kind, Variant::Rfc, b"sesame").expect("a short key")
    };
    BfdOptions { role, keys: (0..count as u8).map(key).collect(), source_port: 0 }
}

fn path() -> Path {
    let address = |last: u8| IpAddr::V4(Ipv4Addr::new(10, 0, 0, last));
    Path { link: LinkId(1), local: address(1), peer: address(2) }
}

fn timers(interval_us: u32, detect_mult: u8) -> Timers {
    Timers { tx_min_us: interval_us, rx_min_us: interval_us, detect_mult }
}

fn packet(script: &mut Script<'_>) -> Option<BfdPacket> {
    let shape = script.byte()?;
    let intervals = script.byte()?;
    // Zero, and intervals of any size.
    let interval_us = |bits: u8| if bits == 0 { 0 } else { 625u32 << bits };
    Some(BfdPacket {
        header: Header {
            state: State::ALL[usize::from(shape & 3)],
            detect_mult: 1 + (shape >> 2 & 3),
            local_discr: 99,
            peer_discr: if shape & 16 == 0 { DISCR } else { 0 },
            desired_min_tx_us: interval_us(intervals & 15),
            required_min_rx_us: interval_us(intervals >> 4),
        },
        diagnostic: Diagnostic::None,
        poll: shape & 32 != 0,
        is_final: shape & 64 != 0,
        demand: shape & 128 != 0,
        required_min_echo_rx_us: 50_000,
        authenticated: None,
    })
}
