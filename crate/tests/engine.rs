//! The requirements that the core alone meets (`ARCHITECTURE.md`, "The twelve requirements").

mod support;

use proptest::prelude::*;
use route_liveness::engine::stats::{LinkId, TransitionCause};
use route_liveness::engine::{AddError, Datagram, Engine, Event, Path, SessionId};
use route_liveness::protocol::drop_reason::DropReason;
use route_liveness::protocol::liveness::packet::ControlPacket;
use route_liveness::protocol::policy::Policy;
use route_liveness::protocol::rules::{REFERENCE, ROBUST};
use route_liveness::protocol::state::{DownReason, State};
use route_liveness::protocol::time::Time;
use route_liveness::sim::{HostId, PairId, World};
use support::{LINK, MS, Network, SECOND, at, host, path, policy, spec, timers, transitions, up_packet, up_pair};

/// All timeouts, and those that may be this process's fault.
fn timeouts(engine: &Engine) -> (u64, u64) {
    engine
        .stats()
        .iter()
        .fold((0, 0), |(all, local), (_, counters)| (all + counters.timeouts, local + counters.local_timeouts))
}

#[test]
fn sessions_that_were_never_up_are_counted_until_they_are_or_end() {
    let never_up = |network: &mut Network, host| -> u64 {
        network.host(host).engine.stats().iter().map(|(_, counters)| counters.never_up).sum()
    };
    let mut network = Network::pair(timers(100, 3));
    assert_eq!(never_up(&mut network, 1), 1);
    let now = Time::from_micros(1);
    for (down, waits) in [(true, 0), (false, 1)] {
        let engine = &mut network.host(1).engine;
        if down {
            engine.admin_down(now, SessionId(1))
        } else {
            engine.admin_up(now, SessionId(1))
        }
        assert_eq!(never_up(&mut network, 1), waits, "what is out of service is not waited for");
    }
    network.run_until(10 * SECOND, |world| world.all_up()).expect("a pair comes up");
    assert_eq!(never_up(&mut network, 1), 0);
    let told = |network: &mut Network| -> Vec<(State, bool)> {
        network.host(1).transitions.iter().map(|change| (change.to, change.ever_up)).collect()
    };
    assert!(told(&mut network).iter().all(|(to, ever_up)| *ever_up == (*to == State::Up)), "{:?}", told(&mut network));
    network.cut_both();
    network.run(2 * SECOND);
    assert_eq!((network.host(1).state(1), never_up(&mut network, 1)), (State::Down, 0), "Down is not never Up");
    network.host(1).engine.remove_session(SessionId(1));
    assert_eq!(never_up(&mut network, 1), 0);
}

#[test]
fn a_pair_comes_up_within_two_round_trips_and_two_intervals() {
    let mut network = Network::pair(timers(100, 3));
    let took = network.run_until(10 * SECOND, |world| world.all_up()).expect("a pair comes up");
    assert!(took <= 4 * MS + 200 * MS, "took {took} us");
}

#[test]
fn silence_for_the_detection_time_is_down_with_reason_timeout() {
    let mut network = up_pair();
    network.cut_both();
    let last_heard = network.host(1).engine.session(SessionId(1)).unwrap().0.last_rx().unwrap();
    network.run(2 * SECOND);
    let first = network.host(1).transitions[0];
    assert_eq!((first.from, first.to, first.reason), (State::Up, State::Down, DownReason::Timeout));
    assert_eq!(first.cause, TransitionCause::DetectTimeout);
    // Packets that were under way when the path was cut still arrive.
    assert!(first.at.since(last_heard) >= 300 * MS && first.at.since(last_heard) <= 301 * MS + 110 * MS);
    assert_eq!(network.host(1).state(1), State::Down);
}

#[test]
fn a_change_is_announced_at_once_also_from_a_deep_backoff() {
    let mut network = Network::pair(timers(100, 3));
    network.cut_both();
    network.run(10 * SECOND);
    network.heal();
    let took = network.run_until(10 * SECOND, |world| world.all_up()).expect("the pair comes Up after the outage");
    // 1.1 × the shorter backed-off interval + 2 round trips + 2 × txInterval.
    assert!(took <= 1_100 * MS + 4 * MS + 200 * MS, "took {took} us");
}

#[test]
fn a_backoff_limit_below_the_interval_makes_no_session_faster() {
    let limits = Policy { max_tx_ceil_us: 3_000_000, backoff_max_us: 200_000, ..policy(&ROBUST) };
    let mut engine = Engine::new(limits, 10, 1);
    engine.add_session(at(SECOND), spec(1, path(1, 2), timers(1_000, 3)), 7).unwrap();
    let mut sent = Vec::new();
    while let Some(now) = engine.poll_deadline().filter(|now| *now < at(60 * SECOND)) {
        engine.handle_timeout(now, now);
        sent.extend(std::iter::from_fn(|| engine.poll_transmit()).map(|_| now));
    }
    assert!(sent.len() > 50, "it does send");
    assert!(sent.windows(2).all(|pair| pair[1].since(pair[0]) >= 900 * MS), "but not more often than it said");
}

#[test]
fn a_peer_that_flips_our_state_with_every_packet_does_not_drive_our_rate() {
    let mut engine = Engine::new(policy(&REFERENCE), 10, 1);
    engine.add_session(at(SECOND), spec(1, path(1, 2), timers(100, 3)), 7).unwrap();
    let mut sent = Vec::new();
    for tick in 0..10_000u64 {
        let now = at(SECOND + tick * MS);
        let state = if tick % 2 == 0 { State::Down } else { State::AdminDown };
        let flip = ControlPacket { state, ..up_packet(9, 0) };
        engine.handle_datagram(
            now,
            Datagram { arrival: now, path: path(1, 2), ttl: None, min_ttl: 0, bytes: &flip.marshal() },
        );
        engine.handle_timeout(now, now);
        sent.extend(std::iter::from_fn(|| engine.poll_transmit()).map(|_| now));
    }
    assert!(transitions(&mut engine).len() > 9_000, "the state did flip");
    assert!(sent.windows(2).all(|pair| pair[1].since(pair[0]) >= 90 * MS), "not sooner than the jitter allows");
    assert!(sent.len() >= 90, "and it still sends");
}

#[test]
fn a_new_session_is_probed_at_once_and_thousands_are_paced_over_a_second() {
    let mut engine = Engine::new(policy(&ROBUST), 20_000, 1);
    engine.add_session(at(SECOND), spec(0, path(1, 2), timers(100, 3)), 1).unwrap();
    assert_eq!(engine.poll_deadline(), Some(at(SECOND)));
    for id in 1..20_000 {
        let [high, low] = u16::try_from(id).unwrap().to_be_bytes();
        let path =
            Path { link: LINK, local: host(1), peer: std::net::IpAddr::V4(std::net::Ipv4Addr::new(10, 1, high, low)) };
        engine.add_session(at(SECOND), spec(id, path, timers(1_000, 3)), id + 1).unwrap();
    }
    let mut most_in_one_ms = 0;
    let mut sent = 0;
    for ms in 0..=1_000 {
        let now = at(SECOND + ms * MS);
        engine.handle_timeout(now, now);
        let count = std::iter::from_fn(|| engine.poll_transmit()).count();
        most_in_one_ms = most_in_one_ms.max(count);
        sent += count;
    }
    assert!(sent >= 20_000, "all were probed within a second");
    assert!(most_in_one_ms <= 50, "without a burst, got {most_in_one_ms} in one millisecond");
}

#[test]
fn engines_with_different_keys_draw_different_discriminators() {
    let draw = |key| Engine::new(policy(&ROBUST), 10, 1).with_key(key).draw_discriminator();
    assert_ne!(draw([1, 2, 3, 4]), draw([5, 6, 7, 8]));
}

#[test]
fn packets_of_a_session_that_is_down_are_probes_and_those_of_one_that_is_up_are_not() {
    let mut engine = Engine::new(policy(&ROBUST), 10, 1);
    engine.add_session(at(SECOND), spec(1, path(1, 2), timers(100, 3)), 7).unwrap();
    engine.handle_timeout(at(SECOND), at(SECOND));
    assert!(engine.poll_transmit().expect("the first packet").is_probe);
    let arrival = at(2 * SECOND);
    let bytes = up_packet(8, 7).marshal();
    engine.handle_datagram(arrival, Datagram { arrival, path: path(1, 2), ttl: None, min_ttl: 0, bytes: &bytes });
    engine.handle_timeout(arrival, arrival);
    assert!(!engine.poll_transmit().expect("the announcement of Up").is_probe);
}

#[test]
fn a_session_does_not_expire_before_every_packet_that_arrived_in_time_was_read() {
    let mut network = up_pair();
    let engine = &mut network.host(1).engine;
    let session = engine.session(SessionId(1)).unwrap().0;
    let deadline = session.detect_deadline().unwrap();
    let (ours, theirs) = (session.local_discr(), session.peer().discr);
    let late = deadline.plus(5 * MS);
    engine.handle_timeout(late, deadline.minus(1));
    assert!(transitions(engine).is_empty(), "its packet may still be waiting");
    assert!(engine.poll_deadline().unwrap() <= late, "and the question comes back at once");

    let packet = up_packet(theirs, ours);
    let arrival = deadline.minus(1);
    engine
        .handle_datagram(late, Datagram { arrival, path: path(1, 2), ttl: None, min_ttl: 0, bytes: &packet.marshal() });
    engine.handle_timeout(late, late);
    assert!(transitions(engine).is_empty(), "it had arrived in time");
    assert_eq!(engine.session(SessionId(1)).unwrap().0.detect_deadline(), Some(arrival.plus(300 * MS)));
}

#[test]
fn a_late_turn_extends_the_detection_time_of_a_silent_session_by_one_interval_once() {
    let mut network = up_pair();
    let engine = &mut network.host(1).engine;
    let deadline = engine.session(SessionId(1)).unwrap().0.detect_deadline().unwrap();
    let late = deadline.plus(76 * MS);
    engine.note_scheduling_delay(late, 76 * MS);
    engine.handle_timeout(late, late);
    assert!(transitions(engine).is_empty(), "a turn later than a quarter of the detection time excuses");
    assert_eq!(engine.stats().iter().map(|(_, counters)| counters.extensions).sum::<u64>(), 1);

    let again = late.plus(100 * MS);
    engine.handle_timeout(again, again);
    let down = transitions(engine);
    assert_eq!(down.len(), 1, "but only once");
    assert_eq!(down[0].reason, DownReason::Timeout);
    assert_eq!(down[0].local_stall_us, 100 * MS, "and the grace shows");
    assert_eq!(timeouts(engine), (1, 1), "it counts as one that may be our fault");
}

#[test]
fn a_down_that_the_peer_says_after_a_late_turn_tells_of_that_delay() {
    for (delay_ms, told_ms, local) in [(350, 350, 1), (76, 76, 1), (75, 75, 0), (0, 0, 0)] {
        let mut network = up_pair();
        let engine = &mut network.host(1).engine;
        let session = engine.session(SessionId(1)).unwrap().0;
        let arrival = session.last_rx().unwrap().plus(350 * MS);
        let packet = ControlPacket { state: State::Down, ..up_packet(session.peer().discr, session.local_discr()) };
        engine.note_scheduling_delay(arrival, delay_ms * MS);
        let bytes = packet.marshal();
        engine.handle_datagram(arrival, Datagram { arrival, path: path(1, 2), ttl: None, min_ttl: 0, bytes: &bytes });
        let down = transitions(engine);
        assert_eq!(down.len(), 1);
        assert_eq!(down[0].reason, DownReason::RemoteDown);
        assert_eq!(down[0].local_stall_us, told_ms * MS);
        let counted = engine.stats().iter().map(|(_, counters)| (counters.remote_downs, counters.local_remote_downs));
        let sums = counted.fold((0, 0), |(all, local), (of_one, local_of_one)| (all + of_one, local + local_of_one));
        assert_eq!(sums, (1, local), "a quarter of the peer's detection time makes it one that may be our fault");
    }
}

#[test]
fn a_turn_that_was_hardly_late_extends_no_detection_time() {
    let mut network = up_pair();
    let engine = &mut network.host(1).engine;
    let deadline = engine.session(SessionId(1)).unwrap().0.detect_deadline().unwrap();
    let late = deadline.plus(75 * MS);
    engine.note_scheduling_delay(late, 75 * MS);
    engine.handle_timeout(late, late);
    let down = transitions(engine);
    assert_eq!(down.len(), 1);
    assert_eq!(down[0].local_stall_us, 75 * MS, "but it is told");
    assert_eq!(timeouts(engine), (1, 0));
}

#[test]
fn datagrams_that_the_kernel_dropped_extend_the_detection_time_by_one_interval() {
    let mut network = up_pair();
    let engine = &mut network.host(1).engine;
    let deadline = engine.session(SessionId(1)).unwrap().0.detect_deadline().unwrap();
    engine.note_socket_drops(deadline);
    engine.handle_timeout(deadline, deadline);
    assert!(transitions(engine).is_empty());
    let again = deadline.plus(100 * MS);
    engine.handle_timeout(again, again);
    assert_eq!(transitions(engine).len(), 1);
}

#[test]
fn drops_and_delays_from_before_the_last_packet_extend_no_detection_time() {
    let mut network = up_pair();
    let engine = &mut network.host(1).engine;
    let session = engine.session(SessionId(1)).unwrap().0;
    let (last_rx, deadline) = (session.last_rx().unwrap(), session.detect_deadline().unwrap());
    engine.note_socket_drops(last_rx.minus(1));
    engine.note_scheduling_delay(last_rx.minus(1), SECOND);
    engine.handle_timeout(deadline, deadline);
    assert_eq!(transitions(engine).len(), 1);
}

#[test]
fn a_session_beyond_the_limit_is_refused_and_no_timer_of_another_session_is_lost() {
    let mut engine = Engine::new(policy(&ROBUST), 2, 1);
    engine.add_session(at(SECOND), spec(1, path(1, 2), timers(100, 3)), 1).unwrap();
    engine.add_session(at(SECOND), spec(2, path(1, 3), timers(100, 3)), 2).unwrap();
    assert_eq!(engine.add_session(at(SECOND), spec(3, path(1, 4), timers(100, 3)), 3), Err(AddError::Full(2)));
    assert_eq!(engine.queue_len(), 2);
    engine.remove_session(SessionId(1));
    assert_eq!(engine.queue_len(), 1);
    assert_eq!(engine.add_session(at(SECOND), spec(2, path(1, 5), timers(100, 3)), 4), Err(AddError::Exists));
    assert_eq!(engine.add_session(at(SECOND), spec(4, path(1, 3), timers(100, 3)), 4), Err(AddError::Exists));
    let taken = engine.add_session(at(SECOND), spec(4, path(1, 4), timers(100, 3)), 2);
    assert_eq!(taken, Err(AddError::DiscriminatorTaken), "two sessions never share a discriminator");
    engine.add_session(at(SECOND), spec(4, path(1, 4), timers(100, 3)), 1).unwrap();
}

#[test]
fn packets_of_unknown_peers_and_garbage_are_counted_never_answered_and_change_no_session() {
    let mut network = up_pair();
    let engine = &mut network.host(1).engine;
    while engine.poll_transmit().is_some() {}
    let now = engine.session(SessionId(1)).unwrap().0.last_rx().unwrap().plus(1);
    let good = ControlPacket { state: State::AdminDown, desired_min_tx_us: 1, ..up_packet(0xBAD, 0xBAD) };
    let mut send = |path: Path, bytes: &[u8]| {
        engine.handle_datagram(now, Datagram { arrival: now, path, ttl: None, min_ttl: 0, bytes })
    };
    let known = path(1, 2);
    send(known, &good.marshal()[..39]);
    for (at, value) in [(0, 0x40), (3, 41), (2, 0)] {
        let mut bytes = good.marshal();
        bytes[at] = value;
        send(known, &bytes);
    }
    send(known, &ControlPacket { local_discr: 0, ..good }.marshal());
    send(known, &ControlPacket { peer_discr: 0, state: State::Up, desired_min_tx_us: 60_000_001, ..good }.marshal());
    send(known, &good.marshal());
    // Another peer, another local address, another interface.
    let strangers = [path(1, 9), path(9, 2), Path { link: LinkId::OTHER, ..known }];
    for stranger in strangers {
        send(stranger, &good.marshal());
    }
    assert_eq!(transitions(engine), []);
    assert!(engine.poll_transmit().is_none());
    assert_eq!(engine.session(SessionId(1)).unwrap().0.state(), State::Up);
    let counted = |pick: fn(&route_liveness::engine::stats::EndpointCounters) -> u64| -> u64 {
        engine.stats().iter().map(|(_, counters)| pick(counters)).sum()
    };
    assert_eq!(counted(|c| c.rx_invalid[DropReason::Short as usize]), 1);
    assert_eq!(counted(|c| c.rx_invalid[DropReason::Version as usize]), 1);
    assert_eq!(counted(|c| c.rx_invalid[DropReason::Length as usize]), 1);
    assert_eq!(counted(|c| c.rx_invalid[DropReason::DetectMult as usize]), 1);
    assert_eq!(counted(|c| c.rx_invalid[DropReason::Discriminator as usize]), 1);
    assert_eq!(counted(|c| c.rx_invalid[DropReason::Interval as usize]), 1);
    assert_eq!(counted(|c| c.rx_invalid[DropReason::ForeignDiscriminator as usize]), 1);
    assert_eq!(counted(|c| c.unknown_peer), 3);
}

#[test]
fn a_flood_to_addresses_without_sessions_does_not_grow_the_counters() {
    let mut engine = Engine::new(policy(&ROBUST), 10, 1);
    for low in 0..=255 {
        let path = Path {
            link: LinkId::OTHER,
            local: std::net::IpAddr::V4(std::net::Ipv4Addr::new(127, 0, 9, low)),
            peer: host(9),
        };
        engine.handle_datagram(at(1), Datagram { arrival: at(1), path, ttl: None, min_ttl: 0, bytes: &[0; 80] });
    }
    assert_eq!(engine.stats().iter().count(), 1);
}

#[test]
fn admin_down_reaches_a_peer_that_misses_its_first_packet() {
    let mut network = up_pair();
    network.cut(1, 2);
    let now = network.world.now;
    network.world.admin(PairId(1), 0, true);
    let has_said_it =
        |world: &World| world.host(HostId(1)).sent.last().is_some_and(|(_, said)| said.state == State::AdminDown);
    network.run_until(SECOND, has_said_it).expect("the host sends AdminDown");
    network.heal();
    network.run(200 * MS);
    let down = network.host(2).transitions[0];
    assert_eq!((down.to, down.reason), (State::Down, DownReason::RemoteAdmin));
    network.run(10 * SECOND);
    let last = network.host(1).sent.last().unwrap().0;
    assert!(last <= now.plus(300 * MS), "after one detection time it is silent");
    network.world.admin(PairId(1), 0, false);
    network.run_until(3 * SECOND, |world| world.all_up()).expect("the session comes Up again");
}

#[test]
fn a_session_back_in_service_accepts_a_peer_that_remembers_its_previous_discriminator() {
    let mut network = Network::pair_with(timers(100, 3), [&ROBUST, &REFERENCE]);
    network.run(3 * SECOND);
    network.cut(1, 2);
    network.restart(1);
    // The session learns the peer's discriminator; the peer's packets name the previous one.
    network.run(SECOND);
    network.world.admin(PairId(1), 0, true);
    network.run(SECOND);
    network.heal();
    network.world.admin(PairId(1), 0, false);
    network
        .run_until(10 * SECOND, |world| world.all_up())
        .expect("the session accepts the packets, and the pair comes Up");
}

#[test]
fn a_restart_of_either_side_always_ends_up_again_under_robust_rules() {
    for rules in [[&ROBUST, &ROBUST], [&ROBUST, &REFERENCE], [&REFERENCE, &ROBUST]] {
        for (side, pause) in [(1, 0), (1, 150 * MS), (1, 5 * SECOND), (2, 0), (2, 150 * MS), (2, 5 * SECOND)] {
            let mut network = Network::pair_with(timers(100, 3), rules);
            network.run(3 * SECOND);
            network.kill(side);
            network.run(pause);
            network.restart(side);
            let took = network.run_until(30 * SECOND, |world| world.all_up());
            let who = (rules.map(|rules| rules.name), side, pause);
            assert!(took.is_some_and(|us| us <= 300 * MS + 3 * SECOND), "{who:?} took {took:?}");
            network.take_transitions();
            network.run(60 * SECOND);
            assert_eq!(network.take_transitions(), [], "{who:?} stays");
        }
    }
}

#[test]
fn a_one_way_cut_takes_both_sides_down_and_does_not_flap() {
    let mut network = up_pair();
    network.cut(1, 2);
    network.run(2 * SECOND);
    assert!(network.host(1).state(1) < State::Up && network.host(2).state(1) < State::Up);
    network.take_transitions();
    network.run(60 * SECOND);
    let flaps = network.take_transitions();
    let per_minute = flaps.len();
    assert!(per_minute <= 60, "{per_minute} transitions in a minute");
    assert!(flaps.iter().all(|flap| flap.to < State::Up), "and never Up");
    network.heal();
    network.run_until(3 * SECOND, |world| world.all_up()).expect("the pair comes Up again");
}

#[test]
fn a_passive_flag_that_changes_is_an_event_without_a_transition() {
    let mut network = up_pair();
    let engine = &mut network.host(1).engine;
    let session = engine.session(SessionId(1)).unwrap().0;
    let known = up_packet(session.peer().discr, session.local_discr());
    let packet = ControlPacket { passive: true, client_version: [1, 2, 3, 0], ..known };
    let now = session.last_rx().unwrap().plus(10);
    for _ in 0..2 {
        engine.handle_datagram(
            now,
            Datagram { arrival: now, path: path(1, 2), ttl: None, min_ttl: 0, bytes: &packet.marshal() },
        );
    }
    assert_eq!(engine.poll_event(), Some(Event::PeerPassive { id: SessionId(1), passive: true }));
    assert_eq!(engine.poll_event(), None, "once");
}

#[test]
fn receiving_moves_no_entry_of_the_queue_but_an_earlier_deadline_does() {
    let mut network = up_pair();
    let engine = &mut network.host(1).engine;
    let (session, before) = engine.session(SessionId(1)).unwrap();
    let packet = up_packet(session.peer().discr, session.local_discr());
    let now = session.detect_deadline().unwrap().minus(1);
    let mut hear = |packet: &ControlPacket| {
        engine.handle_datagram(
            now,
            Datagram { arrival: now, path: path(1, 2), ttl: None, min_ttl: 0, bytes: &packet.marshal() },
        );
        let (session, scheduled) = engine.session(SessionId(1)).unwrap();
        (session.detect_deadline().unwrap(), scheduled)
    };
    assert_eq!(hear(&packet), (now.plus(300 * MS), before), "the deadline is a field, the entry stays");
    let slow = ControlPacket { desired_min_tx_us: 500_000, ..packet };
    assert_eq!(hear(&slow), (now.plus(1_500 * MS), before));

    // Init allows seconds of silence; Up has a shorter detection time of its own.
    let mut engine = Engine::new(policy(&ROBUST), 4, 1);
    engine.add_session(at(SECOND), spec(1, path(1, 2), timers(100, 3)), 2).unwrap();
    for (state, peer_discr, deadline_us) in [(State::Down, 0, 3_300 * MS), (State::Init, 2, 300 * MS)] {
        let packet = ControlPacket { state, ..up_packet(9, peer_discr) };
        engine.handle_datagram(
            at(SECOND),
            Datagram { arrival: at(SECOND), path: path(1, 2), ttl: None, min_ttl: 0, bytes: &packet.marshal() },
        );
        assert_eq!(engine.session(SessionId(1)).unwrap().1, Some(at(SECOND + deadline_us)));
    }
}

#[test]
fn a_round_trip_longer_than_the_detection_time_is_an_event_and_a_shorter_one_is_not() {
    for (delay_us, is_long) in [(MS, false), (120 * MS, false), (400 * MS, true)] {
        let mut network = Network::pair_over(delay_us, timers(100, 3), [&ROBUST, &ROBUST]);
        network.run(10 * SECOND);
        let told: Vec<u64> = network.world.hosts.iter().flat_map(|host| host.long_round_trips_us.clone()).collect();
        assert_eq!(!told.is_empty(), is_long, "{delay_us} us one way: {told:?}");
        assert!(told.iter().all(|us| *us <= 2 * delay_us), "and never more than it is: {told:?}");
    }
}

#[test]
fn a_million_steps_of_a_pair_lose_no_timer() {
    let mut network = up_pair();
    network.run(3_600 * SECOND);
    assert_eq!(network.take_transitions(), []);
    let sent = network.host(1).sent.len() as u64;
    assert!((30_000..40_500).contains(&sent), "an hour at 100 ms, sent {sent}");
}

proptest! {
    #[test]
    fn no_packet_sequence_leads_out_of_the_state_table(
        packets in proptest::collection::vec(
            (0u8..4, 0u32..3, 0u32..3, 0u32..2_000_000, 1u8..5, 0u64..400_000, any::<bool>()),
            1..200,
        ),
        robust: bool,
    ) {
        let rules = if robust { &ROBUST } else { &REFERENCE };
        let mut engine = Engine::new(policy(rules), 4, 1);
        let mut now = at(SECOND);
        engine.add_session(now, spec(1, path(1, 2), timers(100, 3)), 2).unwrap();
        for (wire, local_discr, peer_discr, interval, detect_mult, later, drained) in packets {
            now = now.plus(later);
            let packet = ControlPacket {
                state: State::ALL[usize::from(wire)], detect_mult, local_discr, peer_discr,
                desired_min_tx_us: interval, required_min_rx_us: interval, passive: wire == 1, client_version: [0; 4],
            };
            engine.handle_datagram(now, Datagram { arrival: now.minus(later / 2), path: path(1, 2), ttl: None, min_ttl: 0, bytes: &packet.marshal() });
            engine.handle_timeout(now, if drained { now } else { now.minus(later) });
            while engine.poll_transmit().is_some() {}
            for change in transitions(&mut engine) {
                let allowed = match change.from {
                    State::AdminDown => change.to == State::Down,
                    State::Down => matches!(change.to, State::Init | State::Up),
                    State::Init => matches!(change.to, State::Down | State::Up),
                    State::Up => change.to == State::Down,
                };
                prop_assert!(allowed, "{:?} -> {:?}", change.from, change.to);
            }
            prop_assert!(engine.queue_len() <= 2);
            let queued: u64 = engine.stats().iter().map(|(_, counters)| counters.queued).sum();
            prop_assert_eq!(queued, engine.queue_len() as u64);
            let session = engine.session(SessionId(1)).unwrap().0;
            prop_assert_eq!(session.detect_deadline().is_some(), matches!(session.state(), State::Init | State::Up));
            let sessions: u64 = engine.stats().iter().flat_map(|(_, counters)| counters.sessions).sum();
            prop_assert_eq!(sessions, 1);
        }
    }
}

#[test]
fn a_detect_entry_of_a_session_that_received_a_packet_since_is_no_deadline() {
    let mut network = up_pair();
    let engine = &mut network.host(1).engine;
    engine.put_back_detections(at(u64::MAX));
    let (session, scheduled) = engine.session(SessionId(1)).unwrap();
    assert_eq!(scheduled, session.detect_deadline());
    let deadline = scheduled.unwrap();
    engine.put_back_detections(at(u64::MAX));
    engine.handle_timeout(deadline, deadline);
    assert_eq!(transitions(engine).len(), 1, "the entry of a session without a packet stays a deadline");
}
