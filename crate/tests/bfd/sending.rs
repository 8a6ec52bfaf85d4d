//! When packets leave (RFC 5880 §6.8.3, §6.8.7).

use route_liveness::protocol::bfd::options::BfdOptions;
use route_liveness::protocol::state::State;

use crate::peer::{Bench, MS, gaps, timers, usual_path};

#[test]
fn a_session_that_is_not_up_sends_and_says_at_least_a_second() {
    let mut bench = Bench::new(BfdOptions::default());
    let sent = bench.run(30_000 * MS);
    assert!(gaps(&sent).iter().all(|us| (750 * MS..=1_000 * MS).contains(us)), "{:?}", gaps(&sent));
    assert!(sent.len() >= 30 && sent.iter().all(|(_, packet)| packet.header.desired_min_tx_us == 1_000_000));
    // The first packet of Init announces the state; the others keep to the slow interval, whatever the peer requires.
    let mut packet = bench.packet(State::Down);
    packet.header.required_min_rx_us = 500_000;
    let sent = bench.run_with(10_000 * MS, packet);
    assert_eq!(bench.state(), State::Init);
    assert!(gaps(&sent).iter().all(|us| (750 * MS..=1_000 * MS).contains(us)), "{:?}", gaps(&sent));
    assert!(sent.iter().all(|(_, packet)| packet.header.desired_min_tx_us == 1_000_000));
    let due = bench.session().next_tx();
    bench.hear(bench.packet(State::Down));
    assert_eq!(bench.session().next_tx(), due, "the peer cannot hasten a packet");
}

#[test]
fn jitter_takes_up_to_a_quarter_of_the_interval_and_at_least_a_tenth_where_our_multiplier_is_1() {
    for (detect_mult, most) in [(3, 50_000), (1, 45_000)] {
        let mut bench = Bench::with(BfdOptions::default(), usual_path(), None, timers(50, detect_mult));
        bench.come_up();
        bench.run_with(100 * MS, bench.packet(State::Up));
        let sent = bench.run_with(20_000 * MS, bench.packet(State::Up));
        let gaps = gaps(&sent);
        assert!(gaps.iter().all(|us| (37_500..=most).contains(us)), "multiplier {detect_mult}");
        assert!(
            gaps.iter().any(|us| *us < 38_500) && gaps.iter().any(|us| *us > most - 1_000),
            "all of the room is used"
        );
    }
}

#[test]
fn a_peer_that_wants_fewer_packets_than_our_ceiling_gives_gets_as_few() {
    let mut bench = Bench::up();
    let mut packet = bench.packet(State::Up);
    packet.header.required_min_rx_us = 4_000_000;
    bench.run_with(5_000 * MS, packet);
    let sent = bench.run_with(40_000 * MS, packet);
    assert!(gaps(&sent).iter().all(|us| (3_000 * MS..=4_000 * MS).contains(us)), "{:?}", gaps(&sent));
}

#[test]
fn a_peer_that_changes_our_state_with_each_packet_does_not_raise_our_rate() {
    let mut bench = Bench::up();
    let mut sent = Vec::new();
    for step in 0..2_000 {
        bench.hear(bench.packet(if step % 2 == 0 { State::Down } else { State::Init }));
        sent.extend(bench.run(MS));
    }
    assert!(gaps(&sent).iter().all(|us| *us >= 37_500), "{:?}", gaps(&sent));
}
