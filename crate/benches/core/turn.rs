//! An engine whose sessions are all Up: receiving one packet, and a turn of one millisecond.

use std::net::{IpAddr, Ipv4Addr};

use criterion::{BenchmarkId, Criterion, Throughput};
use route_liveness::engine::stats::LinkId;
use route_liveness::engine::{Datagram, Engine, Path, SessionId, SessionSpec};
use route_liveness::protocol::Protocol;
use route_liveness::protocol::liveness::Liveness;
use route_liveness::protocol::liveness::packet::ControlPacket;
use route_liveness::protocol::policy::Policy;
use route_liveness::protocol::rules::ROBUST;
use route_liveness::protocol::state::State;
use route_liveness::protocol::time::Time;
use route_liveness::protocol::timers::Timers;

use crate::codec::packet;

const INTERVAL_US: u32 = 100_000;
const TURN_US: u64 = 1_000;
/// The offset of the peers' discriminators from ours.
const PEER_BIT: u32 = 1 << 31;

pub(crate) fn benches(criterion: &mut Criterion) {
    receive(criterion);
    turn(criterion);
}

fn receive(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("engine/receive");
    for sessions in [1_000, 100_000] {
        let (mut engine, now) = all_up(sessions);
        let mut numbers = (1..=sessions).cycle();
        group.bench_function(BenchmarkId::from_parameter(sessions), |bencher| {
            bencher.iter(|| hear(&mut engine, now, numbers.next().expect("a cycle never ends"), State::Up));
        });
    }
    group.finish();
}

/// A turn of one millisecond with the packets of the peers: each session receives a packet after it has sent one.
fn turn(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("engine/turn");
    for sessions in [1_000, 100_000] {
        let (mut engine, mut now) = all_up(sessions);
        group.throughput(Throughput::Elements(u64::from(sessions) * TURN_US / u64::from(INTERVAL_US)));
        group.bench_function(BenchmarkId::from_parameter(sessions), |bencher| {
            bencher.iter(|| {
                now = now.plus(TURN_US);
                engine.handle_timeout(now, now);
                engine.transmit_ahead(now);
                while let Some(transmit) = engine.poll_transmit() {
                    let sent = ControlPacket::unmarshal(&transmit.bytes).expect("an engine sends valid packets");
                    hear(&mut engine, now, sent.local_discr, State::Up);
                }
                engine.put_back_detections(now.plus(TURN_US));
            });
        });
        assert!(engine.poll_event().is_none(), "every session stays Up");
    }
    group.finish();
}

/// An engine whose sessions have ids and discriminators from 1.
fn all_up(sessions: u32) -> (Engine, Time) {
    let policy = Policy {
        rules: &ROBUST,
        min_tx_floor_us: 50_000,
        max_tx_ceil_us: 1_000_000,
        backoff_max_us: 1_000_000,
        require_discriminator: false,
        min_ttl: 0,
        identity: None,
    };
    let mut engine = Engine::new(policy, sessions as usize, 1).with_slack(1_000);
    let now = Time::from_micros(1_000_000);
    for number in 1..=sessions {
        let timers = Timers { tx_min_us: INTERVAL_US, rx_min_us: INTERVAL_US, detect_mult: 3 };
        let spec =
            SessionSpec { id: SessionId(number), path: path(number), peer_port: Liveness::PORT, timers, min_ttl: None };
        engine.add_session(now, spec, number).expect("the engine has room");
        hear(&mut engine, now, number, State::Init);
    }
    while engine.poll_event().is_some() {}
    (engine, now)
}

fn hear(engine: &mut Engine, now: Time, number: u32, state: State) {
    let said = ControlPacket { state, local_discr: number | PEER_BIT, peer_discr: number, ..packet() };
    let bytes = said.marshal();
    engine.handle_datagram(now, Datagram { arrival: now, path: path(number), ttl: None, min_ttl: 0, bytes: &bytes });
}

fn path(number: u32) -> Path {
    Path {
        link: LinkId(1),
        local: IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1)),
        peer: IpAddr::V4(Ipv4Addr::from(0x0B00_0000 + number)),
    }
}
