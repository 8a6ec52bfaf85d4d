//! What becomes of the routes of one session that hang on several next-hop objects, since one object carries at most so many.

#[path = "support/object_bench.rs"]
mod object_bench;
#[path = "support/planner_bench.rs"]
mod planner_bench;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use object_bench::{arm, bench_in_parts, disarm, held, run, with_backup};
use planner_bench::{Bench, DOWN, OTHER_HOP, ROUTE, UP};
use route_liveness::engine::SessionId;
use route_liveness::routes::armed::ArmedRoute;
use route_liveness::routes::object_request::ObjectOp;
use route_liveness::routes::parts::ROUTES_PER_OBJECT;
use route_liveness::sim::Kernel;

/// How many routes hang on each object that has some.
fn per_object(kernel: &Kernel) -> Vec<usize> {
    let mut counts: BTreeMap<u32, usize> = BTreeMap::new();
    kernel.tables().routes().for_each(|route| *counts.entry(route.object).or_default() += 1);
    counts.into_values().collect()
}

/// The numbers of the routes over a next hop.
fn numbers_over(kernel: &Kernel, hop: IpAddr) -> Vec<u8> {
    let over = held(kernel).into_iter().filter(|route| route.next_hop == hop);
    let last_byte = |address: IpAddr| if let IpAddr::V4(address) = address { address.octets()[3] } else { 0 };
    over.map(|route| last_byte(route.destination)).collect()
}

/// What is asked about objects next, and of how many routes each.
fn asked(bench: &mut Bench) -> Vec<(ObjectOp, usize)> {
    bench.planner.pick(bench.now).objects.iter().map(|request| (request.op, request.routes.len())).collect()
}

fn adopted(route: &mut ArmedRoute) {
    route.adopted = true;
}

fn adopted_with_backup(route: &mut ArmedRoute) {
    with_backup(route);
    route.adopted = true;
}

#[test]
fn routes_of_one_session_hang_on_as_many_objects_as_it_takes_and_each_of_these_is_deleted_when_the_session_falls() {
    let (mut bench, mut kernel) = bench_in_parts(2);
    (1..=6).for_each(|number| arm(&mut bench, number, |_| {}, UP));
    run(&mut bench, &mut kernel);
    assert_eq!(per_object(&kernel), [2, 2, 2]);
    bench.session(DOWN);
    assert_eq!(asked(&mut bench), [(ObjectOp::Delete, 2); 3]);
}

#[test]
fn all_routes_of_several_objects_go_with_their_session_and_come_back_and_no_object_is_left_after_them() {
    let (mut bench, mut kernel) = bench_in_parts(2);
    (1..=5).for_each(|number| arm(&mut bench, number, |_| {}, UP));
    run(&mut bench, &mut kernel);
    bench.session(DOWN);
    run(&mut bench, &mut kernel);
    assert_eq!(per_object(&kernel), []);
    bench.session(UP);
    run(&mut bench, &mut kernel);
    assert_eq!(per_object(&kernel), [2, 2, 1]);
    disarm(&mut bench, 1..=5);
    run(&mut bench, &mut kernel);
    assert_eq!((held(&kernel), kernel.tables().objects().count()), (vec![], 0));
}

#[test]
fn all_routes_of_several_objects_move_to_their_backup_and_back_with_one_request_for_each_object() {
    let (mut bench, mut kernel) = bench_in_parts(2);
    (1..=6).for_each(|number| arm(&mut bench, number, with_backup, UP));
    run(&mut bench, &mut kernel);
    for (view, hop) in [(DOWN, OTHER_HOP.next_hop), (UP, ROUTE.next_hop)] {
        bench.session(view);
        run(&mut bench, &mut kernel);
        assert_eq!((numbers_over(&kernel, hop), per_object(&kernel)), (vec![1, 2, 3, 4, 5, 6], vec![2, 2, 2]));
    }
    bench.session(DOWN);
    assert_eq!(asked(&mut bench), [(ObjectOp::Move, 2); 3]);
}

#[test]
fn one_route_that_stays_keeps_its_own_object_alone_from_being_deleted() {
    let (mut bench, mut kernel) = bench_in_parts(2);
    (1..=4).for_each(|number| arm(&mut bench, number, |route| route.no_uninstall = number == 3, UP));
    run(&mut bench, &mut kernel);
    bench.session(DOWN);
    assert_eq!(asked(&mut bench), [(ObjectOp::Delete, 2)]);
}

#[test]
fn a_route_takes_the_place_of_one_that_has_left_its_object() {
    let (mut bench, mut kernel) = bench_in_parts(2);
    (1..=4).for_each(|number| arm(&mut bench, number, |_| {}, UP));
    run(&mut bench, &mut kernel);
    disarm(&mut bench, 1..=1);
    run(&mut bench, &mut kernel);
    arm(&mut bench, 5, |_| {}, UP);
    run(&mut bench, &mut kernel);
    assert_eq!(per_object(&kernel), [2, 2]);
}

#[test]
fn a_route_that_follows_another_session_hangs_on_an_object_of_that_one_and_leaves_room_behind() {
    let (mut bench, mut kernel) = bench_in_parts(2);
    (1..=2).for_each(|number| arm(&mut bench, number, |_| {}, UP));
    run(&mut bench, &mut kernel);
    arm(&mut bench, 2, |route| route.session = SessionId(2), UP);
    run(&mut bench, &mut kernel);
    assert_eq!(per_object(&kernel), [1, 1]);
    arm(&mut bench, 3, |_| {}, UP);
    run(&mut bench, &mut kernel);
    assert_eq!(per_object(&kernel), [2, 1]);
    bench.planner.session_changed(SessionId(2), DOWN, bench.now);
    run(&mut bench, &mut kernel);
    assert_eq!(numbers_over(&kernel, ROUTE.next_hop), [1, 3]);
}

#[test]
fn routes_that_a_predecessor_left_on_other_objects_of_their_session_count_as_installed_and_move_to_those_of_ours() {
    let (mut predecessor, mut kernel) = bench_in_parts(2);
    (1..=4).for_each(|number| arm(&mut predecessor, number, |_| {}, UP));
    run(&mut predecessor, &mut kernel);
    let (mut bench, _) = bench_in_parts(2);
    [4, 1, 3, 2].into_iter().for_each(|number| arm(&mut bench, number, adopted, UP));
    let mut told = Vec::new();
    for _ in 0..20 {
        told.extend(kernel.run(&mut bench.planner, bench.now));
        told.extend(kernel.list(&mut bench.planner, bench.now));
        let there: BTreeSet<u8> = numbers_over(&kernel, ROUTE.next_hop).into_iter().collect();
        assert_eq!(there.len(), 4, "there is no moment without one of them");
    }
    assert!(!told.is_empty() && told.iter().all(|outcome| outcome.installed && outcome.result.is_ok()), "{told:?}");
    run(&mut bench, &mut kernel);
    assert_eq!(per_object(&kernel), [2, 2]);
    assert_eq!(numbers_over(&kernel, ROUTE.next_hop), [1, 2, 3, 4]);
    bench.session(DOWN);
    run(&mut bench, &mut kernel);
    assert_eq!(per_object(&kernel), []);
}

/// A successor that has found two routes, and registers a third, which its predecessor left on the object of these two.
fn with_a_late_one(first: fn(&mut ArmedRoute), late: fn(&mut ArmedRoute)) -> (Bench, Kernel) {
    let (mut predecessor, mut kernel) = bench_in_parts(2);
    [1, 2, 3].into_iter().for_each(|number| arm(&mut predecessor, number, first, UP));
    run(&mut predecessor, &mut kernel);
    let (mut bench, _) = bench_in_parts(2);
    [1, 3].into_iter().for_each(|number| arm(&mut bench, number, first, UP));
    run(&mut bench, &mut kernel);
    arm(&mut bench, 2, late, UP);
    (bench, kernel)
}

#[test]
fn a_route_that_is_looked_for_does_not_move_with_others_of_its_session_whose_object_it_was_left_on() {
    let (mut bench, mut kernel) = with_a_late_one(adopted_with_backup, adopted);
    bench.session(DOWN);
    run(&mut bench, &mut kernel);
    assert_eq!(numbers_over(&kernel, OTHER_HOP.next_hop), [1, 3], "the other one has no backup");
}

#[test]
fn a_route_that_is_looked_for_and_is_to_stay_does_not_go_with_others_of_its_session_whose_object_it_was_left_on() {
    let stays = |route: &mut ArmedRoute| (route.adopted, route.no_uninstall) = (true, true);
    let (mut bench, mut kernel) = with_a_late_one(adopted, stays);
    bench.session(DOWN);
    run(&mut bench, &mut kernel);
    assert_eq!(numbers_over(&kernel, ROUTE.next_hop), [2]);
}

#[test]
fn an_object_that_no_route_needs_any_more_stays_while_a_route_is_looked_for_that_may_hang_on_it() {
    let (mut bench, mut kernel) = with_a_late_one(adopted, adopted);
    disarm(&mut bench, 1..=1);
    disarm(&mut bench, 3..=3);
    for _ in 0..20 {
        kernel.run(&mut bench.planner, bench.now);
        assert!(numbers_over(&kernel, ROUTE.next_hop).contains(&2), "there is no moment without it");
    }
    run(&mut bench, &mut kernel);
    assert_eq!((numbers_over(&kernel, ROUTE.next_hop), kernel.tables().objects().count()), (vec![2], 1));
}

#[test]
fn an_object_carries_at_most_4096_routes_and_the_next_one_hangs_on_another() {
    let (mut bench, mut kernel) = bench_in_parts(ROUTES_PER_OBJECT);
    for number in 0..=ROUTES_PER_OBJECT {
        let priority = 100 + number;
        bench.arm(|armed| (armed.id.0, armed.route.priority) = (number, priority), UP);
    }
    for _ in 0..ROUTES_PER_OBJECT {
        kernel.run(&mut bench.planner, bench.now);
    }
    run(&mut bench, &mut kernel);
    assert_eq!(per_object(&kernel), [4_096, 1]);
}
