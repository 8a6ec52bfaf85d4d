//! Simulated processes that end at any moment, in the middle of a write too, and whose successors go on with their state files: no
//! peer sees a change of state because of a restart that is shorter than its detection time. The world's invariants say so; here
//! there is nothing else that could be the reason for one.

use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use route_liveness::protocol::bfd::Bfd;
use route_liveness::protocol::liveness::Liveness;
use route_liveness::protocol::rules::{ROBUST, Rules};
use route_liveness::protocol::state::State;
use route_liveness::protocol::timers::Timers;
use route_liveness::sim::{HostId, HostSpec, Quality, RouteKind, SimulatedProtocol, World};

const MS: u64 = 1_000;
const SECOND: u64 = 1_000_000;

fn restart_again_and_again<P: SimulatedProtocol>(
    rules: &'static Rules,
    (seed, interval_ms, lateness_us, clock_ppm): (u64, u32, u64, i32),
    pauses: &[(u64, bool)],
) {
    let mut world =
        World::<P>::of_protocol(seed, Quality { delay_us: MS, jitter_us: MS, ..Quality::default() }).watched();
    let spec = HostSpec { rules, lateness_us, clock_ppm, ..HostSpec::default() };
    let hosts = [(); 2].map(|()| world.add_host(spec));
    let timers = Timers { tx_min_us: interval_ms * 1_000, rx_min_us: interval_ms * 1_000, detect_mult: 3 };
    let kinds = [RouteKind::default()];
    let pair = world.add_pair(hosts, [timers; 2], [&kinds, &kinds]);
    world.run(30 * SECOND).unwrap();
    let transitions = |world: &World<P>| hosts.map(|host| world.host(host).transitions.len());
    let interval_us = u64::from(interval_ms) * MS;
    let mut expected = transitions(&world);
    for (share, is_second) in pauses {
        let host = usize::from(*is_second);
        // Up to half a detection time; the rest is the interval in which the last packet left, with its jitter.
        world.restart_with_state(hosts[host], interval_us * share / 100);
        world.run(20 * SECOND).unwrap();
        // The successor hears of its own session when it registers it.
        expected[host] += 1;
        assert_eq!(transitions(&world), expected, "the peer has seen nothing");
        assert!(hosts.iter().all(|host| world.host(*host).state(pair.0) == State::Up));
    }
}

#[test]
fn no_peer_sees_a_change_of_state_because_of_a_restart_that_is_shorter_than_its_detection_time() {
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &[7; 32]);
    let mut runner =
        TestRunner::new_with_rng(Config { cases: 12, failure_persistence: None, ..Config::default() }, rng);
    let world = (any::<u64>(), prop_oneof![Just(50u32), Just(100), Just(1_000)], 0..2 * MS, -200i32..200);
    let pauses = proptest::collection::vec((0u64..150, any::<bool>()), 1..12);
    runner
        .run(&(world, pauses), |(world, pauses)| {
            restart_again_and_again::<Liveness>(&ROBUST, world, &pauses);
            restart_again_and_again::<Bfd>(&route_liveness::protocol::bfd::rules::RFC5880, world, &pauses);
            Ok(())
        })
        .unwrap();
}

#[test]
fn a_restart_that_is_longer_than_the_detection_time_begins_the_session_anew() {
    let mut world = World::new(1, Quality::default()).watched();
    let hosts = [(); 2].map(|()| world.add_host(HostSpec::default()));
    let timers = Timers { tx_min_us: 100_000, rx_min_us: 100_000, detect_mult: 3 };
    let pair = world.add_pair(hosts, [timers; 2], [&[], &[]]);
    world.run(10 * SECOND).unwrap();
    let before = world.host(HostId(2)).transitions.len();
    world.restart_with_state(hosts[0], 400 * MS);
    world.run(10 * SECOND).unwrap();
    let seen: Vec<State> = world.host(HostId(2)).transitions[before..].iter().map(|change| change.to).collect();
    assert_eq!(seen.first(), Some(&State::Down));
    assert!(hosts.iter().all(|host| world.host(*host).state(pair.0) == State::Up), "and it comes Up again");
}
