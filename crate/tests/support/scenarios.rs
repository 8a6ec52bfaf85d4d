//! Random scenarios, and their reduction after a failure.

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use route_liveness::protocol::bfd::Bfd;
use route_liveness::protocol::bfd::authentication::key::{Key, Kind, Variant};
use route_liveness::protocol::bfd::options::{BfdOptions, Role};
use route_liveness::protocol::bfd::rules::RFC5880;
use route_liveness::protocol::rules::{REFERENCE, ROBUST};
use route_liveness::protocol::timers::Timers;
use route_liveness::routes::armed::ObjectPolicy;
use route_liveness::routes::damping::Damping;
use route_liveness::routes::next_hop::ObjectRange;
use route_liveness::routes::parts::ROUTES_PER_OBJECT;
use route_liveness::sim::{
    BackupKind, Fault, HostSpec, KernelFaults, ObjectAct, PairSpec, Quality, RivalAct, RouteKind, RunError, Scenario,
    Timed, Totals, Violation,
};

const MS: u64 = 1_000;
const SECOND: u64 = 1_000_000;

/// The most runs for the reduction of a failing scenario.
const SHRINKS: usize = 2_000;

/// The size of scenarios.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Size {
    pub(crate) duration_us: u64,
    pub(crate) faults: usize,
}

/// The protocol that the hosts of a scenario speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    Liveness,
    Bfd,
}

impl Dialect {
    /// The name in the command line.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Dialect::Liveness => "liveness",
            Dialect::Bfd => "bfd",
        }
    }

    fn run(self, scenario: &Scenario) -> Result<Totals, RunError> {
        match self {
            Dialect::Liveness => scenario.run(),
            Dialect::Bfd => scenario.run_as::<Bfd>(),
        }
    }
}

/// Runs the scenario of a seed.
///
/// # Errors
/// The failure, the smallest failing scenario that was found, and the command that repeats the run.
pub(crate) fn run_seed(seed: u64, size: Size, dialect: Dialect) -> Result<Totals, String> {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    let scenario = scenarios(seed, size, dialect).new_tree(&mut runner).map_err(|reason| reason.to_string())?.current();
    let violation = match dialect.run(&scenario) {
        Ok(totals) => return Ok(totals),
        Err(RunError::Violation(violation)) => violation,
        Err(error) => return Err(format!("seed {seed}: {error}")),
    };
    let (smallest, its_violation) = shrink(scenario, violation.clone(), dialect);
    let minutes = size.duration_us / (60 * SECOND);
    Err(format!(
        "seed {seed}: {violation}\n\nthe smallest like it: {its_violation}\n{smallest:#?}\n\nagain: cargo run --release \
         --manifest-path crate/Cargo.toml --example simulate -- --protocol {} --seed {seed} --minutes {minutes} --faults {}\n",
        dialect.name(),
        size.faults
    ))
}

/// Removes parts of a scenario, one at a time, for as long as it fails.
fn shrink(scenario: Scenario, violation: Violation, dialect: Dialect) -> (Scenario, Violation) {
    let (mut smallest, mut its_violation) = (scenario, violation);
    let mut runs = 0;
    loop {
        let before = runs;
        let mut attempt = |candidate: Scenario, smallest: &mut Scenario| {
            runs += 1;
            match dialect.run(&candidate) {
                Err(RunError::Violation(violation)) if runs < SHRINKS => {
                    (*smallest, its_violation) = (candidate, violation);
                    true
                }
                _ => false,
            }
        };
        let mut shrunk = false;
        for at in (0..smallest.faults.len()).rev() {
            let mut candidate = smallest.clone();
            candidate.faults.remove(at);
            shrunk |= attempt(candidate, &mut smallest);
        }
        for at in (0..smallest.pairs.len()).rev() {
            shrunk |= without_pair(&smallest, at).is_some_and(|candidate| attempt(candidate, &mut smallest));
        }
        for change in PLAINER {
            let mut candidate = smallest.clone();
            change(&mut candidate);
            shrunk |= candidate != smallest && attempt(candidate, &mut smallest);
        }
        if !shrunk || runs == before || runs >= SHRINKS {
            return (smallest, its_violation);
        }
    }
}

fn without_pair(scenario: &Scenario, at: usize) -> Option<Scenario> {
    let mut candidate = scenario.clone();
    candidate.pairs.remove(at);
    for Timed { fault, .. } in &mut candidate.faults {
        if let Fault::AdminDown { pair, .. } | Fault::AdminUp { pair, .. } | Fault::Timers { pair, .. } = fault {
            if *pair == at {
                return None;
            }
            *pair -= usize::from(*pair > at);
        }
    }
    let link = at as u32 + 1;
    let kinds = candidate.pairs.iter_mut().flat_map(|pair| &mut pair.routes).flatten();
    for kind in kinds {
        kind.backup = kind.backup.filter(|backup| backup.link != link).map(|backup| BackupKind {
            link: backup.link - u32::from(backup.link > link && backup.link < UNWATCHED_LINK),
            ..backup
        });
    }
    Some(candidate)
}

/// Simpler variants of a scenario.
const PLAINER: [fn(&mut Scenario); 15] = [
    |scenario| kinds(scenario).for_each(|kind| kind.backup = None),
    |scenario| kinds(scenario).for_each(|kind| *kind = RouteKind { backup: kind.backup, ..RouteKind::default() }),
    |scenario| scenario.hosts.iter_mut().for_each(|host| host.objects = None),
    |scenario| scenario.duration_us = scenario.faults.iter().map(|timed| timed.at_us).max().unwrap_or(0),
    |scenario| scenario.quality = Quality { delay_us: MS, ..Quality::default() },
    |scenario| scenario.pairs.iter_mut().for_each(|pair| pair.routes = [Vec::new(), Vec::new()]),
    |scenario| scenario.hosts.iter_mut().for_each(|host| host.kernel = KernelFaults::default()),
    |scenario| scenario.hosts.iter_mut().for_each(|host| host.damping = Damping::default()),
    |scenario| scenario.hosts.iter_mut().for_each(|host| host.clock_ppm = 0),
    |scenario| scenario.hosts.iter_mut().for_each(|host| (host.lateness_us, host.tx_slack_us) = (0, 0)),
    |scenario| scenario.hosts.iter_mut().for_each(|host| (host.socket_room, host.read_budget) = (1_024, 1_024)),
    |scenario| scenario.hosts.iter_mut().for_each(|host| host.send_room = 4_096),
    |scenario| scenario.hosts.iter_mut().for_each(|host| (host.passive, host.honor_peer_passive) = (false, false)),
    |scenario| scenario.hosts.iter_mut().for_each(|host| host.require_discriminator = false),
    |scenario| scenario.pairs.iter_mut().for_each(|pair| pair.bfd = <[BfdOptions; 2]>::default()),
];

fn kinds(scenario: &mut Scenario) -> impl Iterator<Item = &mut RouteKind> {
    scenario.pairs.iter_mut().flat_map(|pair| &mut pair.routes).flatten()
}

/// The first link that no session uses.
const UNWATCHED_LINK: u32 = 100;

/// Has each backup lead over what there is: `link` was any number until now.
fn place_backups(pairs: &mut [PairSpec]) {
    let hosts: Vec<[usize; 2]> = pairs.iter().map(|pair| pair.hosts).collect();
    for (at, pair) in pairs.iter_mut().enumerate() {
        for (host, kinds) in pair.hosts.into_iter().zip(&mut pair.routes) {
            let others: Vec<usize> =
                (0..hosts.len()).filter(|other| *other != at && hosts[*other].contains(&host)).collect();
            for backup in kinds.iter_mut().filter_map(|kind| kind.backup.as_mut()) {
                let number = backup.link as usize;
                *backup = match others.get(number % (others.len() + 2)) {
                    Some(other) => {
                        let peer = hosts[*other].into_iter().find(|one| *one != host).expect("a pair has two hosts");
                        BackupKind { link: *other as u32 + 1, gateway: peer as u8 + 1, ..*backup }
                    }
                    // Another gateway on the same link.
                    None if number.is_multiple_of(2) => {
                        BackupKind { link: at as u32 + 1, gateway: 240, is_watched: false }
                    }
                    None => BackupKind { link: UNWATCHED_LINK + number as u32 % 2, gateway: 241, is_watched: false },
                };
            }
        }
    }
}

pub(crate) fn scenarios(seed: u64, size: Size, dialect: Dialect) -> impl Strategy<Value = Scenario> {
    let hosts = proptest::collection::vec(hosts(dialect), 2..=4);
    hosts.prop_flat_map(move |hosts| {
        let count = hosts.len();
        let pairs = proptest::collection::vec(pairs(count, dialect), 1..=4).prop_map(|mut pairs| {
            place_backups(&mut pairs);
            pairs
        });
        (Just(hosts), pairs, qualities(), Just(size.duration_us)).prop_flat_map(
            move |(hosts, pairs, quality, duration_us)| {
                let faults = proptest::collection::vec(timed(count, pairs.len(), duration_us), 0..=size.faults);
                (Just(hosts), Just(pairs), Just(quality), faults, Just(duration_us)).prop_map(
                    move |(hosts, pairs, quality, faults, duration_us)| Scenario {
                        seed,
                        hosts,
                        pairs,
                        quality,
                        duration_us,
                        faults,
                    },
                )
            },
        )
    })
}

fn hosts(dialect: Dialect) -> impl Strategy<Value = HostSpec> {
    let rules = match dialect {
        Dialect::Liveness => prop_oneof![7 => Just(&ROBUST), 3 => Just(&REFERENCE)].boxed(),
        Dialect::Bfd => Just(&RFC5880).boxed(),
    };
    // BFD has no passive flag and always accepts a Down that names nobody.
    let (is_passive, is_strict) = if dialect == Dialect::Bfd { (0.0, 0.0) } else { (0.15, 0.25) };
    let ceil_us = prop_oneof![3 => Just(1_000_000u32), 1 => Just(3_000_000u32)];
    let backoff_us = prop_oneof![3 => Just(1_000_000u32), 1 => Just(60_000_000u32)];
    let socket = (
        prop_oneof![3 => Just(1_024usize), 1 => 1usize..5],
        prop_oneof![3 => Just(1_024usize), 1 => 4usize..16],
        prop_oneof![3 => Just(0u64), 1 => 0..20 * MS],
        prop_oneof![1 => Just(0u16), 2 => Just(1_000u16), 1 => Just(3_000u16)],
        prop_oneof![3 => Just(4_096usize), 1 => 512usize..1_024],
    );
    let flags = (prop::bool::weighted(is_passive), prop::bool::weighted(0.4), prop::bool::weighted(is_strict));
    let routes_per_object = prop_oneof![1 => Just(ROUTES_PER_OBJECT), 1 => 1u32..=3];
    let objects = routes_per_object.prop_map(|routes_per_object| ObjectPolicy {
        range: ObjectRange { first: 1_000, last: 1_999 },
        routes_per_object,
    });
    let objects = prop::option::weighted(0.5, objects);
    (rules, ceil_us, backoff_us, flags, -200i32..=200, socket, kernels(), (dampings(), objects)).prop_map(
        |(rules, max_tx_ceil_us, backoff_max_us, flags, clock_ppm, socket, kernel, (damping, objects))| HostSpec {
            rules,
            min_tx_floor_us: 10_000,
            max_tx_ceil_us,
            backoff_max_us,
            passive: flags.0,
            honor_peer_passive: flags.1,
            require_discriminator: flags.2,
            damping,
            objects,
            clock_ppm,
            // Half of the hosts. Not drawn, so that seeds keep their scenarios.
            filters_repeats: clock_ppm % 2 != 0,
            lateness_us: socket.2,
            tx_slack_us: socket.3,
            read_budget: socket.0,
            socket_room: socket.1,
            send_room: socket.4,
            kernel,
        },
    )
}

fn dampings() -> impl Strategy<Value = Damping> {
    let rfc2439 = Damping {
        penalty: 1_000,
        suppress_above: 2_000,
        reuse_below: 750,
        half_life_ms: 5_000,
        max_suppress_ms: 20_000,
        ..Damping::default()
    };
    let hold_ups = || 1u32..10_000;
    prop_oneof![
        4 => Just(Damping::default()),
        1 => hold_ups().prop_map(|hold_up_ms| Damping { hold_up_ms, ..Damping::default() }),
        1 => Just(rfc2439),
        1 => hold_ups().prop_map(move |hold_up_ms| Damping { hold_up_ms, ..rfc2439 }),
    ]
}

fn kernels() -> impl Strategy<Value = KernelFaults> {
    let rivals = prop_oneof![2 => Just(0u32), 1 => 0u32..200_000];
    let bad = (0..50 * MS, 0u32..200_000, 0u32..400_000, 0u32..200_000, rivals).prop_map(
        |(latency_us, hang_ppm, fail_ppm, lose_ppm, rival_ppm)| KernelFaults {
            latency_us,
            hang_ppm,
            fail_ppm,
            lose_ppm,
            rival_ppm,
            lie_ppm: 0,
        },
    );
    prop_oneof![2 => Just(KernelFaults { latency_us: MS, ..KernelFaults::default() }), 1 => bad]
}

fn pairs(hosts: usize, dialect: Dialect) -> impl Strategy<Value = PairSpec> {
    let two = (0..hosts, 1..hosts).prop_map(move |(one, step)| [one, (one + step) % hosts]);
    let backup = (0u32..12, any::<bool>()).prop_map(|(link, is_watched)| BackupKind { link, gateway: 0, is_watched });
    let backup = prop::option::weighted(0.5, backup);
    let kind = (prop::bool::weighted(0.2), prop::bool::weighted(0.2), prop::bool::weighted(0.1), backup).prop_map(
        |(no_uninstall, keep_on_peer_admin_down, conflict, backup)| RouteKind {
            no_uninstall,
            keep_on_peer_admin_down,
            conflict,
            backup,
        },
    );
    let kinds = proptest::collection::vec(kind, 0..4);
    let bfd = match dialect {
        Dialect::Liveness => Just(<[BfdOptions; 2]>::default()).boxed(),
        Dialect::Bfd => bfd_options().boxed(),
    };
    (two, timers(), timers(), kinds.clone(), kinds, bfd).prop_map(|(hosts, one, two, first, second, bfd)| PairSpec {
        hosts,
        timers: [one, two],
        routes: [first, second],
        bfd,
    })
}

/// Roles, and keys that both sides have in any order, or not.
fn bfd_options() -> impl Strategy<Value = [BfdOptions; 2]> {
    let role = || prop_oneof![4 => Just(Role::Active), 1 => Just(Role::Passive)];
    let kinds = prop_oneof![Just(Vec::new()), proptest::collection::vec(0..Kind::ALL.len(), 1..=3)];
    (role(), role(), kinds, any::<bool>()).prop_map(|(one, two, kinds, are_reversed)| {
        let key =
            |(id, kind): (u8, usize)| Key::new(id, Kind::ALL[kind], Variant::Rfc, b"sesame").expect("a short key");
        let keys: Vec<Key> = (1..).zip(kinds).map(key).collect();
        let mut others = keys.clone();
        if are_reversed {
            others.reverse();
        }
        [
            BfdOptions { role: one, keys: keys.into(), source_port: 0 },
            BfdOptions { role: two, keys: others.into(), source_port: 0 },
        ]
    })
}

fn timers() -> impl Strategy<Value = Timers> {
    let interval_ms = || prop_oneof![Just(50u32), Just(100), Just(300), Just(1_000), Just(2_500), 20u32..1_000];
    let mult = prop_oneof![5 => Just(3u8), 2 => 2u8..6, 1 => Just(1u8), 1 => 1u8..=20];
    (interval_ms(), interval_ms(), mult).prop_map(|(tx_ms, rx_ms, detect_mult)| Timers {
        tx_min_us: tx_ms * 1_000,
        rx_min_us: rx_ms * 1_000,
        detect_mult,
    })
}

fn qualities() -> impl Strategy<Value = Quality> {
    let rarely = |most: u32| prop_oneof![2 => Just(0u32), 1 => 0..most];
    (0..30 * MS, 0..10 * MS, rarely(20_000), rarely(20_000)).prop_map(
        |(delay_us, jitter_us, duplicate_ppm, reorder_ppm)| Quality {
            delay_us,
            jitter_us,
            duplicate_ppm,
            reorder_ppm,
            ..Quality::default()
        },
    )
}

fn bad_qualities() -> impl Strategy<Value = Quality> {
    let often = || prop_oneof![2 => Just(0u32), 1 => 0..800_000u32];
    (0..400 * MS, 0..200 * MS, often(), often(), often(), prop_oneof![3 => Just(0u32), 1 => 0..300_000u32]).prop_map(
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

fn rival_acts() -> impl Strategy<Value = RivalAct> {
    prop_oneof![
        3 => Just(RivalAct::Take),
        1 => Just(RivalAct::Occupy),
        1 => Just(RivalAct::Prepend),
        1 => Just(RivalAct::Append),
        1 => Just(RivalAct::Tos),
        1 => Just(RivalAct::Claim),
        2 => Just(RivalAct::Vacate),
    ]
}

fn object_acts() -> impl Strategy<Value = ObjectAct> {
    prop_oneof![
        2 => Just(ObjectAct::Delete),
        2 => Just(ObjectAct::Replace),
        1 => Just(ObjectAct::Occupy),
        1 => Just(ObjectAct::Vacate),
    ]
}

/// Links of sessions, and those of none.
fn links() -> impl Strategy<Value = u32> {
    prop_oneof![3 => 1u32..=4, 1 => UNWATCHED_LINK..UNWATCHED_LINK + 2]
}

fn timed(hosts: usize, pairs: usize, duration_us: u64) -> impl Strategy<Value = Timed> {
    (0..=duration_us, faults(hosts, pairs)).prop_map(|(at_us, fault)| Timed { at_us, fault })
}

fn faults(hosts: usize, pairs: usize) -> impl Strategy<Value = Fault> {
    let host = move || 0..hosts;
    let two = move || (0..hosts, 1..hosts).prop_map(move |(one, step)| [one, (one + step) % hosts]);
    let end = move || (0..pairs, 0usize..2);
    prop_oneof![
        3 => two().prop_map(|[from, to]| Fault::Cut { from, to }),
        1 => two().prop_map(|hosts| Fault::CutBoth { hosts }),
        1 => proptest::collection::vec(host(), 1..hosts).prop_map(|part| Fault::Partition { part }),
        5 => Just(Fault::HealAll),
        1 => (two(), bad_qualities()).prop_map(|([from, to], quality)| Fault::Quality { from, to, quality }),
        2 => (two(), qualities()).prop_map(|([from, to], quality)| Fault::Quality { from, to, quality }),
        3 => (host(), prop_oneof![Just(0), 0..2 * SECOND, 0..90 * SECOND], any::<bool>())
            .prop_map(|(host, pause_us, adopts)| Fault::Restart { host, pause_us, adopts }),
        3 => (host(), prop_oneof![0..SECOND / 4, 0..SECOND, 0..20 * SECOND])
            .prop_map(|(host, pause_us)| Fault::RestartWithState { host, pause_us }),
        1 => (host(), links()).prop_map(|(host, link)| Fault::Flush { host, link }),
        3 => (host(), 0usize..4, rival_acts())
            .prop_map(|(host, route, change)| Fault::Route { host, route, change }),
        2 => (host(), 0u32..8, object_acts()).prop_map(|(host, object, act)| Fault::Object { host, object, act }),
        2 => (host(), links(), any::<bool>()).prop_map(|(host, link, is_there)| Fault::Link { host, link, is_there }),
        2 => (host(), prop_oneof![0..SECOND, 0..20 * SECOND]).prop_map(|(host, us)| Fault::Stall { host, us }),
        1 => end().prop_map(|(pair, side)| Fault::AdminDown { pair, side }),
        2 => end().prop_map(|(pair, side)| Fault::AdminUp { pair, side }),
        1 => (host(), 0usize..4, any::<bool>()).prop_map(|(host, route, down)| Fault::AdminRoute { host, route, down }),
        1 => (end(), timers()).prop_map(|((pair, side), timers)| Fault::Timers { pair, side, timers }),
        1 => (host(), kernels()).prop_map(|(host, faults)| Fault::Kernel { host, faults }),
    ]
}
