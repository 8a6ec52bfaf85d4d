//! When other timers of a session count: a change causes no Down (RFC 5880 §6.8.3).

mod support;

use route_liveness::engine::stats::TransitionCause;
use route_liveness::protocol::rules::{REFERENCE, ROBUST};
use route_liveness::protocol::time::Time;
use route_liveness::protocol::timers::Timers;
use route_liveness::sim::{HostId, PairId};
use support::{MS, Network, SECOND, timers, up_pair};

#[test]
fn a_faster_receive_interval_counts_only_after_the_peer_can_have_heard_of_it() {
    for rules in [[&ROBUST, &ROBUST], [&ROBUST, &REFERENCE], [&REFERENCE, &REFERENCE]] {
        let mut network = Network::pair_over(40 * MS, timers(50, 3), rules);
        network.run_until(3 * SECOND, |world| world.all_up()).expect("the pair comes Up");
        for phase in 0..40 {
            network.world.set_timers(PairId(1), 0, Timers { rx_min_us: 1_000_000, ..timers(50, 3) });
            network.run(5 * SECOND + phase * 25 * MS);
            network.world.set_timers(PairId(1), 0, timers(50, 3));
            network.run(5 * SECOND);
            assert!(
                network.host(1).transitions.iter().all(|change| change.cause != TransitionCause::DetectTimeout),
                "{rules:?}"
            );
        }
    }
}

#[test]
fn a_slower_transmit_interval_counts_only_after_the_peer_must_have_heard_of_it() {
    let mut network = up_pair();
    network.run(SECOND);
    let sent = |network: &mut Network| network.host(1).sent.len();
    let before = (sent(&mut network), network.host(2).transitions.len());
    network.cut(1, 2);
    network.world.set_timers(PairId(1), 0, timers(1_000, 3));
    network
        .run_until(SECOND, |world| world.host(HostId(1)).sent.len() > before.0)
        .expect("the host sends its new timers");
    network.heal();
    network.run(10 * SECOND);
    assert_eq!(
        network.host(2).transitions.len(),
        before.1,
        "the peer stays Up although the first packet with the new timers was lost"
    );
    let sent: Vec<Time> = network.host(1).sent.iter().map(|(at, _)| *at).collect();
    assert!(sent.last().unwrap().since(sent[sent.len() - 2]) >= 900 * MS, "the host then sends at the new interval");
}

#[test]
fn a_slower_receive_interval_counts_at_once() {
    let mut network = up_pair();
    network.run(SECOND);
    network.world.set_timers(PairId(1), 0, Timers { rx_min_us: 1_000_000, ..timers(100, 3) });
    // The peer receives the new timers; its last packet at the shorter interval is lost.
    network.cut(2, 1);
    network.run(150 * MS);
    network.heal();
    network.run(10 * SECOND);
    assert!(network.host(1).transitions.iter().all(|change| change.cause != TransitionCause::DetectTimeout));
}

#[test]
fn a_peer_that_asks_for_a_faster_interval_gets_it_at_once() {
    let mut network = up_pair();
    network.run(SECOND);
    let slow = Timers { rx_min_us: 1_000_000, ..timers(100, 3) };
    network.world.set_timers(PairId(1), 1, slow);
    network.run(10 * SECOND);
    network.world.set_timers(PairId(1), 1, timers(100, 3));
    let asked = network.world.now;
    // One interval until the peer sends its new timers, one until the host has sent at the new interval.
    network.run(250 * MS);
    let sent = network.host(1).sent.last().unwrap().0;
    assert!(sent > asked, "the host does not wait for the end of the slow interval");
}
