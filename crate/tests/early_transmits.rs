//! Packets that leave early, together with others, stay within their jitter.

mod support;

use route_liveness::engine::{Datagram, Engine, Path};
use route_liveness::protocol::liveness::packet::ControlPacket;
use route_liveness::protocol::rules::ROBUST;
use route_liveness::protocol::state::State;
use route_liveness::protocol::time::Time;
use support::{MS, SECOND, at, path, policy, spec, timers, up_packet};

/// An engine with this many sessions that are Up. Packets may leave one millisecond early.
fn many_up(sessions: u32) -> Engine {
    let mut engine = Engine::new(policy(&ROBUST), 1_000, 1).with_slack(1_000);
    for id in 1..=sessions {
        let path = Path { peer: std::net::IpAddr::V4(std::net::Ipv4Addr::from(0x0A01_0000 + id)), ..path(1, 2) };
        engine.add_session(at(SECOND), spec(id, path, timers(100, 100)), id).unwrap();
        let packet = up_packet(1_000 + id, id);
        let datagram = Datagram { arrival: at(SECOND), path, ttl: None, min_ttl: 0, bytes: &packet.marshal() };
        engine.handle_datagram(at(SECOND), datagram);
    }
    engine
}

#[test]
fn packets_that_are_due_at_nearly_the_same_time_leave_together_and_never_late_or_out_of_their_jitter() {
    let mut engine = many_up(1_000);
    let mut last_sent = std::collections::HashMap::new();
    let mut now = at(SECOND);
    let (mut turns, mut sent) = (0, 0);
    while now < at(4 * SECOND) {
        engine.put_back_detections(at(u64::MAX));
        let deadline = engine.poll_deadline().unwrap();
        assert!(deadline >= now, "a turn leaves no deadline in the past");
        now = deadline;
        engine.handle_timeout(now, at(1));
        engine.transmit_ahead(now);
        turns += 1;
        while let Some(transmit) = engine.poll_transmit() {
            let gap_us = last_sent.insert(transmit.path.peer, now).map(|before: Time| now.since(before));
            // In the first second, sessions are announced and paced.
            if let Some(gap_us) = gap_us.filter(|_| now > at(2 * SECOND)) {
                assert!((90 * MS..=110 * MS).contains(&gap_us), "{gap_us}");
            }
            sent += 1;
        }
        while engine.poll_event().is_some() {}
    }
    assert!(sent > 8 * turns, "{sent} packets in {turns} turns");
}

#[test]
fn a_packet_that_may_not_leave_early_leaves_when_it_is_due() {
    // An announcement during backoff is due one interval after the previous packet, not sooner.
    let mut engine = Engine::new(policy(&ROBUST), 10, 1).with_slack(1_000);
    engine.add_session(at(SECOND), spec(1, path(1, 2), timers(100, 3)), 1).unwrap();
    engine.handle_timeout(at(SECOND), at(SECOND));
    let last_tx = engine.poll_deadline().unwrap();
    engine.handle_timeout(last_tx, last_tx);
    while engine.poll_transmit().is_some() {}
    let packet = ControlPacket { state: State::Down, ..up_packet(2, 0) };
    let arrival = last_tx.plus(1);
    engine.handle_datagram(
        arrival,
        Datagram { arrival, path: path(1, 2), ttl: None, min_ttl: 0, bytes: &packet.marshal() },
    );
    let due = engine.poll_deadline().unwrap();
    assert_eq!(due, last_tx.plus(100 * MS));
    engine.transmit_ahead(due.minus(1));
    assert!(engine.poll_transmit().is_none());
    engine.handle_timeout(due, due);
    assert!(engine.poll_transmit().is_some());
}
