//! Simulated hosts whose routes have backups and hang on next-hop objects: what the scenarios are to bring about occurs, and a kernel
//! that does not do what it says is found out.

#[path = "support/scenarios.rs"]
mod scenarios;

use route_liveness::protocol::timers::Timers;
use route_liveness::routes::armed::ObjectPolicy;
use route_liveness::routes::next_hop::ObjectRange;
use route_liveness::sim::{
    BackupKind, Fault, HostSpec, KernelFaults, PairSpec, Quality, RouteCounts, RouteKind, RunError, Scenario, Timed,
};
use scenarios::{Dialect, Size, run_seed};

const SECOND: u64 = 1_000_000;

#[test]
fn random_scenarios_move_routes_between_their_legs_alone_and_with_their_objects_and_find_both_after_restarts() {
    let size = Size { duration_us: 60 * SECOND, faults: 30 };
    let mut sum = RouteCounts::default();
    for seed in 1_000..1_050 {
        let dialect = if seed % 2 == 0 { Dialect::Liveness } else { Dialect::Bfd };
        sum.add(&run_seed(seed, size, dialect).unwrap_or_else(|text| panic!("{text}")).routes);
    }
    let RouteCounts { moves_to_backup, moves_to_primary, objects_dropped, objects_moved, .. } = sum;
    let counts = [moves_to_backup, moves_to_primary, objects_dropped, objects_moved];
    assert!(counts.iter().all(|count| *count > 0), "{sum:?}");
    assert!(sum.adoptions_on_backup > 0 && sum.adoptions_on_object > 0 && sum.checks > 0, "{sum:?}");
}

/// Two hosts; the first has two routes with a backup. Its peer cannot be heard after a while, and its kernel lies from `lies_from` on.
fn with_a_lying_kernel(objects: Option<ObjectPolicy>, lies_from: u64) -> Scenario {
    let timers = Timers { tx_min_us: 100_000, rx_min_us: 100_000, detect_mult: 3 };
    let backup = Some(BackupKind { link: 100, gateway: 240, is_watched: false });
    let kinds = vec![RouteKind { backup, ..RouteKind::default() }; 2];
    let lies = KernelFaults { lie_ppm: 1_000_000, ..KernelFaults::default() };
    Scenario {
        seed: 1,
        hosts: vec![HostSpec { objects, ..HostSpec::default() }; 2],
        pairs: vec![PairSpec { hosts: [0, 1], timers: [timers; 2], routes: [kinds, Vec::new()], bfd: <_>::default() }],
        quality: Quality { delay_us: 1_000, ..Quality::default() },
        duration_us: 60 * SECOND,
        faults: vec![
            Timed { at_us: lies_from, fault: Fault::Kernel { host: 0, faults: lies } },
            Timed { at_us: 20 * SECOND, fault: Fault::CutBoth { hosts: [0, 1] } },
            Timed { at_us: 40 * SECOND, fault: Fault::HealAll },
        ],
    }
}

#[test]
fn a_kernel_that_says_it_has_done_what_it_has_not_violates_the_invariants_of_routes() {
    let objects = Some(ObjectRange { first: 10, last: 99 }.into());
    let [on_primary, on_backup] =
        ["is on its primary: true, on its backup: false", "is on its primary: false, on its backup: true"];
    let nowhere = "is on its primary: false, on its backup: false";
    for (objects, lies_from, expected) in [
        (None, 0, nowhere),
        (objects, 0, nowhere),
        (None, 10 * SECOND, on_primary),
        (objects, 10 * SECOND, on_primary),
        (None, 30 * SECOND, on_backup),
        (objects, 30 * SECOND, on_backup),
    ] {
        match with_a_lying_kernel(objects, lies_from).run() {
            Err(RunError::Violation(violation)) if violation.text.contains(expected) => {}
            other => panic!("from {lies_from} us on, with {objects:?}: {other:?}"),
        }
    }
    let honest = with_a_lying_kernel(objects, 60 * SECOND).run().unwrap();
    assert_eq!((honest.routes.moves_to_backup, honest.routes.moves_to_primary), (2, 2));
    assert_eq!((honest.routes.objects_moved, honest.routes.objects_dropped), (2, 0));
}
