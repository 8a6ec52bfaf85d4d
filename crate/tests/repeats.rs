//! Repeats that a filter takes in: sessions send and report the same, at the same times, as without the filter.

mod support;

use std::sync::Arc;

use proptest::prelude::*;
use route_liveness::engine::Transition;
use route_liveness::protocol::bfd::Bfd;
use route_liveness::protocol::bfd::authentication::key::{Key, Kind, Variant};
use route_liveness::protocol::bfd::options::{BfdOptions, Role};
use route_liveness::protocol::bfd::rules::RFC5880;
use route_liveness::protocol::liveness::Liveness;
use route_liveness::protocol::rules::{REFERENCE, ROBUST, Rules};
use route_liveness::protocol::state::State;
use route_liveness::protocol::time::Time;
use route_liveness::protocol::timers::Timers;
use route_liveness::sim::{HostId, HostSpec, PairId, Quality, SimulatedProtocol, Violation, World};
use support::MS;

/// What is done to a pair of hosts.
#[derive(Clone, Debug)]
enum Act {
    Cut(u8),
    CutBoth,
    Heal,
    Timers(usize, Timers),
    Admin(usize, bool),
    Restart(u8, u64),
    /// Never drawn at random: with the filter a host wakes less often, and the delays told of a Down differ by some microseconds.
    Stall(u8, u64),
    Quality(Quality),
}

#[derive(Clone, Debug)]
struct Life {
    timers: [Timers; 2],
    rules: &'static Rules,
    options: [BfdOptions; 2],
    quality: Quality,
    acts: Vec<(u64, Act)>,
}

/// Everything that the two hosts did.
struct Record {
    sent: [Vec<(Time, String)>; 2],
    transitions: [Vec<Transition>; 2],
    worst_gaps_ms: [Option<u16>; 2],
    received: [u64; 2],
}

fn any_timers() -> impl Strategy<Value = Timers> {
    let interval = prop_oneof![Just(10_000u32), Just(50_000), Just(300_000), 10_000u32..1_000_000];
    (interval.clone(), interval, 2u8..5).prop_map(|(tx_min_us, rx_min_us, detect_mult)| Timers {
        tx_min_us,
        rx_min_us,
        detect_mult,
    })
}

fn qualities() -> impl Strategy<Value = Quality> {
    let ppm = |most: u32| prop_oneof![2 => Just(0), 1 => 0..most];
    (1u64..20_000, 1u64..10_000, ppm(200_000), ppm(100_000), ppm(50_000), ppm(50_000)).prop_map(
        |(delay_us, jitter_us, loss_ppm, duplicate_ppm, reorder_ppm, corrupt_ppm)| Quality {
            delay_us,
            jitter_us,
            loss_ppm,
            duplicate_ppm,
            reorder_ppm,
            corrupt_ppm,
        },
    )
}

fn acts() -> impl Strategy<Value = Act> {
    let (host, side) = (1u8..=2, 0usize..2);
    prop_oneof![
        1 => host.clone().prop_map(Act::Cut),
        1 => Just(Act::CutBoth),
        3 => Just(Act::Heal),
        3 => (side.clone(), any_timers()).prop_map(|(side, timers)| Act::Timers(side, timers)),
        2 => (side, any::<bool>()).prop_map(|(side, down)| Act::Admin(side, down)),
        1 => (host, 0u64..2_000_000).prop_map(|(host, us)| Act::Restart(host, us)),
        1 => qualities().prop_map(Act::Quality),
    ]
}

fn key() -> Key {
    Key::new(7, Kind::KeyedSha1, Variant::Rfc, b"sesame").expect("a short key")
}

fn bfd_options() -> impl Strategy<Value = [BfdOptions; 2]> {
    let role = prop_oneof![3 => Just(Role::Active), 1 => Just(Role::Passive)];
    (role, prop::bool::weighted(0.2)).prop_map(move |(role, has_keys)| {
        let keys: Arc<[Key]> = if has_keys { [key()].into() } else { [].into() };
        [BfdOptions { keys: keys.clone(), ..BfdOptions::default() }, BfdOptions { role, keys, ..BfdOptions::default() }]
    })
}

fn lives() -> impl Strategy<Value = Life> {
    let rules = prop_oneof![Just(&ROBUST), Just(&REFERENCE)];
    let acts = prop::collection::vec((0u64..4_000_000, acts()), 0..25);
    ([any_timers(), any_timers()], rules, bfd_options(), qualities(), acts)
        .prop_map(|(timers, rules, options, quality, acts)| Life { timers, rules, options, quality, acts })
}

fn run<P: SimulatedProtocol>(
    life: &Life,
    rules: &'static Rules,
    filters_repeats: bool,
) -> Result<(Record, u64), TestCaseError> {
    let mut world = World::<P>::of_protocol(1, life.quality);
    let spec = HostSpec { rules, filters_repeats, ..HostSpec::default() };
    let hosts = [(); 2].map(|()| world.add_host(spec));
    world.add_pair_with(hosts, life.timers, life.options.clone(), [&[], &[]]);
    let failed = |violation: Violation| TestCaseError::fail(violation.to_string());
    for (wait_us, act) in &life.acts {
        world.run(*wait_us).map_err(failed)?;
        match *act {
            Act::Cut(from) => world.cut(HostId(from), HostId(3 - from)),
            Act::CutBoth => world.cut_both(hosts[0], hosts[1]),
            Act::Heal => world.heal_all(),
            Act::Timers(side, timers) => world.set_timers(PairId(1), side, timers),
            Act::Admin(side, down) => world.admin(PairId(1), side, down),
            Act::Restart(host, pause_us) => world.restart(HostId(host), pause_us, false),
            Act::Stall(host, us) => {
                world.stall(HostId(host), us);
                world.run(us + MS).map_err(failed)?;
            }
            Act::Quality(quality) => world.set_quality(HostId(1), HostId(2), quality),
        }
    }
    world.run(5_000 * MS).map_err(failed)?;
    let each = [0, 1];
    let repeats = world.hosts_mut().iter().map(|host| host.repeats()).sum();
    let record = Record {
        sent: each.map(|at| {
            let host = &world.hosts_mut()[at];
            host.sent.iter().map(|(at, packet)| (*at, format!("{packet:?}"))).collect()
        }),
        transitions: each.map(|at| world.hosts_mut()[at].transitions.clone()),
        worst_gaps_ms: each.map(|at| {
            let engine = &mut world.hosts_mut()[at].engine;
            // The counters after it have them, too.
            engine.take_repeats_of(PairId(1).session());
            engine.session(PairId(1).session()).and_then(|(session, _)| session.worst_gap_ms())
        }),
        received: each.map(|at| world.hosts_mut()[at].engine.stats().iter().map(|(_, counters)| counters.rx).sum()),
    };
    Ok((record, repeats))
}

/// How many repeats the filters took in.
fn compare<P: SimulatedProtocol>(life: &Life, rules: &'static Rules) -> Result<u64, TestCaseError> {
    let (without, none) = run::<P>(life, rules, false)?;
    let (with, repeats) = run::<P>(life, rules, true)?;
    prop_assert_eq!(none, 0);
    for at in [0, 1] {
        prop_assert_eq!(first_difference(&with.sent[at], &without.sent[at]), None, "sent by host {}", at + 1);
        let [with, without] = [&with.transitions[at], &without.transitions[at]];
        prop_assert_eq!(first_difference(with, without), None, "of host {}", at + 1);
    }
    prop_assert_eq!((with.worst_gaps_ms, with.received), (without.worst_gaps_ms, without.received));
    Ok(repeats)
}

/// With the filter, and without.
fn first_difference<'a, T: PartialEq>(with: &'a [T], without: &'a [T]) -> Option<(Option<&'a T>, Option<&'a T>)> {
    let most = with.len().max(without.len());
    (0..most).map(|at| (with.get(at), without.get(at))).find(|(with, without)| with != without)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_filter_of_repeats_changes_nothing_that_sessions_of_the_liveness_protocol_send_and_report(life in lives()) {
        compare::<Liveness>(&life, life.rules)?;
    }

    #[test]
    fn a_filter_of_repeats_changes_nothing_that_sessions_of_bfd_send_and_report(life in lives()) {
        compare::<Bfd>(&life, &RFC5880)?;
    }
}

#[test]
fn nearly_every_packet_of_a_session_that_stays_up_is_a_repeat_unless_it_is_authenticated() {
    let timers = Timers { tx_min_us: 50_000, rx_min_us: 50_000, detect_mult: 3 };
    let quality = Quality { delay_us: 1_000, ..Quality::default() };
    let acts = vec![(60_000 * MS, Act::Heal)];
    let mut life = Life { timers: [timers; 2], rules: &ROBUST, options: <_>::default(), quality, acts };
    // 65 seconds of at least 18 packets a second from either side.
    for repeats in [compare::<Liveness>(&life, &ROBUST).unwrap(), compare::<Bfd>(&life, &RFC5880).unwrap()] {
        assert!(repeats > 2 * 60 * 18, "{repeats}");
    }
    life.options = [(); 2].map(|()| BfdOptions { keys: [key()].into(), ..BfdOptions::default() });
    assert_eq!(compare::<Bfd>(&life, &RFC5880).unwrap(), 0);
}

#[test]
fn a_session_whose_detection_time_was_extended_goes_down_a_detection_time_after_its_last_repeat() {
    let slow_sender = Timers { tx_min_us: 1_000_000, rx_min_us: 50_000, detect_mult: 3 };
    let fast_sender = Timers { tx_min_us: 50_000, rx_min_us: 1_000_000, detect_mult: 3 };
    let quality = Quality { delay_us: 1_000, ..Quality::default() };
    // The first host is stopped over the end of a silence, hears its peer again for a while, and then no more.
    let acts = vec![
        (10_000 * MS, Act::Cut(2)),
        (60 * MS, Act::Stall(1, 150 * MS)),
        (20 * MS, Act::Heal),
        (200 * MS, Act::Cut(2)),
    ];
    let life = Life { timers: [slow_sender, fast_sender], rules: &ROBUST, options: <_>::default(), quality, acts };
    let [(without, _), (with, _)] = [false, true].map(|filters| run::<Liveness>(&life, &ROBUST, filters).unwrap());
    let downs = |record: &Record| -> Vec<Time> {
        record.transitions[0].iter().filter(|it| it.from == State::Up).map(|it| it.at).collect()
    };
    assert_eq!(downs(&without).len(), 1, "the extension has kept it Up");
    assert_eq!(downs(&with), downs(&without));
}
