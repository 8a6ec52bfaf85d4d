//! Decoding and encoding a packet.

use std::hint::black_box;

use criterion::Criterion;
use route_liveness::protocol::liveness::packet::ControlPacket;
use route_liveness::protocol::state::State;

pub(crate) fn benches(criterion: &mut Criterion) {
    let packet = packet();
    let bytes = packet.marshal();
    criterion.bench_function("codec/marshal", |bencher| bencher.iter(|| black_box(&packet).marshal()));
    criterion.bench_function("codec/unmarshal", |bencher| bencher.iter(|| ControlPacket::unmarshal(black_box(&bytes))));
}

/// A packet of a peer that is Up.
pub(crate) fn packet() -> ControlPacket {
    ControlPacket {
        state: State::Up,
        detect_mult: 3,
        local_discr: 0x8000_0001,
        peer_discr: 1,
        desired_min_tx_us: 100_000,
        required_min_rx_us: 100_000,
        passive: false,
        client_version: [0; 4],
    }
}
