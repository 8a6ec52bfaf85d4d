//! What becomes of routes on next-hop objects in a simulated kernel.

#[path = "support/planner_bench.rs"]
mod planner_bench;

use planner_bench::{Bench, DOWN, OTHER_HOP, ROUTE, UP};
use route_liveness::routes::armed::ArmingPolicy;
use route_liveness::routes::kernel_route::KernelRoute;
use route_liveness::routes::next_hop::ObjectRange;
use route_liveness::routes::planner::RoutePlanner;
use route_liveness::sim::{Kernel, KernelFaults, Random};

fn bench() -> (Bench, Kernel) {
    let objects = Some(ObjectRange { first: 10, last: 99 });
    let policy = ArmingPolicy { take_over: false, honor_peer_passive: true, mass_down: None, objects };
    let bench = Bench { planner: RoutePlanner::new(policy), ..Bench::new() };
    (bench, Kernel::new(Random::new(1), KernelFaults::default(), 4))
}

/// Answers everything that the planner asks within a minute.
fn run(bench: &mut Bench, kernel: &mut Kernel) {
    for _ in 0..60 {
        bench.after(planner_bench::SECOND);
        kernel.run(&mut bench.planner, bench.now);
        kernel.list(&mut bench.planner, bench.now);
        kernel.run(&mut bench.planner, bench.now);
    }
    assert!(!bench.planner.has_work());
}

fn held(kernel: &Kernel) -> Vec<KernelRoute> {
    kernel.tables().routes().map(|route| kernel.tables().resolved(route)).collect()
}

#[test]
fn a_route_that_must_stay_keeps_its_object_when_its_registration_ends() {
    let (mut bench, mut kernel) = bench();
    bench.arm(|route| route.no_uninstall = true, UP);
    run(&mut bench, &mut kernel);
    bench.disarm(true);
    run(&mut bench, &mut kernel);
    assert_eq!(held(&kernel), [ROUTE]);
    assert_eq!(kernel.tables().objects().count(), 1);
}

#[test]
fn an_object_goes_with_the_last_route_that_is_deleted() {
    let (mut bench, mut kernel) = bench();
    bench.arm(|_| {}, UP);
    run(&mut bench, &mut kernel);
    assert_eq!((held(&kernel), kernel.tables().objects().count()), (vec![ROUTE], 1));
    bench.disarm(true);
    run(&mut bench, &mut kernel);
    assert_eq!((held(&kernel), kernel.tables().objects().count()), (vec![], 0));
}

#[test]
fn a_replaced_route_keeps_its_object_until_the_new_one_is_there() {
    let (mut bench, mut kernel) = bench();
    bench.arm(|_| {}, UP);
    run(&mut bench, &mut kernel);
    bench.arm(|route| route.route = OTHER_HOP, DOWN);
    kernel.run(&mut bench.planner, bench.now);
    kernel.run(&mut bench.planner, bench.now);
    assert_eq!(held(&kernel), [ROUTE]);
    bench.session(UP);
    run(&mut bench, &mut kernel);
    assert_eq!((held(&kernel), kernel.tables().objects().count()), (vec![OTHER_HOP], 1));
}

#[test]
fn a_route_that_a_predecessor_left_on_no_object_is_found_and_goes_when_its_session_does_not_come_up() {
    let (mut bench, mut kernel) = bench();
    kernel.leave(&ROUTE);
    bench.arm(|route| route.adopted = true, DOWN);
    kernel.run(&mut bench.planner, bench.now);
    assert_eq!(held(&kernel), [ROUTE]);
    run(&mut bench, &mut kernel);
    assert_eq!(held(&kernel), []);
}

#[test]
fn numbers_that_are_reserved_for_a_sweep_are_those_that_no_route_has_and_no_route_gets_one_until_they_are_free() {
    let (mut bench, mut kernel) = bench();
    bench.arm(|_| {}, UP);
    run(&mut bench, &mut kernel);
    assert_eq!(kernel.tables().objects().collect::<Vec<_>>(), [10]);
    let reserved: Vec<u32> = (10..=98).collect();
    assert_eq!(bench.planner.reserve_objects(&reserved), reserved[1..]);
    bench.arm(|route| route.route = OTHER_HOP, UP);
    run(&mut bench, &mut kernel);
    assert_eq!(kernel.tables().objects().collect::<Vec<_>>(), [99]);
    bench.planner.unreserve_objects(&reserved[1..]);
    bench.arm(|_| {}, UP);
    run(&mut bench, &mut kernel);
    assert_eq!((held(&kernel), kernel.tables().objects().count()), (vec![ROUTE], 1));
}
