//! What differs for armed routes of IPv6: a slot holds one route through a gateway and an interface, the kernel takes sources
//! away from routes, and looks alone do not show that a route is gone.

#[path = "support/planner_bench.rs"]
mod planner_bench;

use std::net::{IpAddr, Ipv6Addr};

use planner_bench::{Bench, DOWN, NOW, SECOND, UP};
use route_liveness::engine::SessionId;
use route_liveness::engine::stats::LinkId;
use route_liveness::routes::affected::AffectedRoutes;
use route_liveness::routes::kernel_route::{KernelRoute, Occupant, Presence, RouteError};
use route_liveness::routes::legs::Backup;
use route_liveness::routes::outcome::{RouteId, RouteOp};
use route_liveness::sim::{Kernel, KernelFaults, Random, RivalAct};

const fn address(last: u16) -> IpAddr {
    IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, last))
}

const ROUTE: KernelRoute = KernelRoute {
    table: 254,
    destination: address(0x900),
    prefix_length: 128,
    source: address(1),
    next_hop: address(2),
    interface: 7,
    protocol: 186,
    object: 0,
    priority: 1024,
};
const OTHER_SOURCE: KernelRoute = KernelRoute { source: address(0x11), ..ROUTE };
const OTHER_HOP: KernelRoute = KernelRoute { next_hop: address(3), ..ROUTE };

fn installed() -> Bench {
    let mut bench = Bench::new();
    bench.arm(|armed| armed.route = ROUTE, UP);
    assert_eq!(bench.run(), ["add"]);
    bench
}

/// An installed route whose source has left the host, which a look cannot tell from other doubts.
fn without_source() -> Bench {
    let mut bench = installed();
    let affected = AffectedRoutes { sources: vec![ROUTE.source], ..AffectedRoutes::default() };
    bench.planner.recheck(&affected, (SessionId(0), RouteId(0)), 10, NOW);
    let look = bench.ask();
    assert_eq!(look.0, RouteOp::None);
    assert!(bench.answer(look, Ok(()), Presence::Unknown).is_empty());
    bench
}

#[test]
fn a_route_that_differs_in_its_source_alone_replaces_the_old_one_and_no_deletion_follows() {
    let mut bench = installed();
    bench.arm(|armed| armed.route = OTHER_SOURCE, UP);
    let (op, request) = bench.ask();
    assert_eq!((op, request.route, request.replaces), (RouteOp::Add, OTHER_SOURCE, Some(ROUTE)));
    bench.answer((op, request), Ok(()), Presence::Present);
    assert!(bench.run().is_empty(), "a deletion of the old one would delete the new one");
    bench.session(DOWN);
    let (op, request) = bench.ask();
    assert_eq!((op, request.route), (RouteOp::Delete, OTHER_SOURCE));
}

#[test]
fn of_several_previous_routes_the_one_beside_which_the_kernel_does_not_take_the_new_one_is_replaced_first() {
    let mut bench = installed();
    bench.arm(|armed| armed.route = OTHER_HOP, UP);
    let addition = bench.ask();
    let route = KernelRoute { source: OTHER_SOURCE.source, ..OTHER_HOP };
    bench.arm(|armed| armed.route = route, UP);
    bench.answer(addition, Ok(()), Presence::Present);
    let (op, request) = bench.ask();
    assert_eq!((op, request.route, request.replaces), (RouteOp::Add, route, Some(OTHER_HOP)));
    bench.answer((op, request), Ok(()), Presence::Present);
    let (op, request) = bench.ask();
    assert_eq!((op, request.route), (RouteOp::Delete, ROUTE));
}

#[test]
fn a_deletion_of_a_route_of_others_in_its_slot_has_a_route_looked_at() {
    let mut bench = installed();
    bench.planner.lost(&KernelRoute { protocol: 42, ..OTHER_HOP }, NOW);
    let (op, request) = bench.ask();
    assert_eq!((op, request.route), (RouteOp::None, ROUTE));
}

#[test]
fn a_route_with_another_next_hop_replaces_the_old_one_which_is_deleted_afterwards() {
    let mut bench = installed();
    bench.arm(|armed| armed.route = OTHER_HOP, UP);
    assert_eq!(bench.run(), ["add", "delete", "look"], "its source is shown only now");
    assert_eq!(bench.count(|counters| counters.installed), 1);
}

#[test]
fn what_the_kernel_leaves_of_a_route_without_its_source_is_replaced_while_the_session_is_up() {
    let mut bench = without_source();
    let question = bench.planner.questions().remove(0);
    let left = ROUTE.of_any_source();
    let outcome = bench.planner.listed(&question, false, Occupant::Ours(left), NOW).expect("an outcome");
    assert!(!outcome.installed);
    let (op, request) = bench.ask();
    assert_eq!((op, request.route, request.replaces), (RouteOp::Add, ROUTE, Some(left)));
}

#[test]
fn what_the_kernel_leaves_of_a_route_without_its_source_is_deleted_when_the_session_goes_down() {
    let mut bench = without_source();
    let question = bench.planner.questions().remove(0);
    let left = ROUTE.of_any_source();
    bench.planner.listed(&question, false, Occupant::Ours(left), NOW);
    bench.session(DOWN);
    let (op, request) = bench.ask();
    assert_eq!((op, request.route), (RouteOp::Delete, left));
    bench.answer((op, request), Ok(()), Presence::Absent);
    assert!(bench.run().is_empty());
}

#[test]
fn a_route_of_a_predecessor_with_another_source_is_not_what_the_kernel_left_of_ours() {
    let mut bench = without_source();
    let question = bench.planner.questions().remove(0);
    bench.planner.listed(&question, false, Occupant::Ours(OTHER_SOURCE), NOW);
    bench.session(DOWN);
    assert!(bench.run().is_empty());
}

#[test]
fn a_listing_vouches_for_one_addition_in_place_of_the_route_that_it_has_shown() {
    let mut bench = Bench::new();
    bench.arm(|armed| armed.route = ROUTE, UP);
    for _ in 0..2 {
        let (op, request) = bench.ask();
        assert!(!request.desired_route().was_listed);
        bench.answer((op, request), Err(RouteError::Occupied), Presence::Unknown);
        let question = bench.planner.questions().remove(0);
        bench.planner.listed(&question, false, Occupant::Ours(OTHER_HOP), NOW);
        let (op, request) = bench.ask();
        assert_eq!((op, request.replaces, request.desired_route().was_listed), (RouteOp::Add, Some(OTHER_HOP), true));
        bench.answer((op, request), Err(RouteError::Unanswered), Presence::Absent);
        bench.planner.retry(RouteId(1), bench.generation, NOW);
    }
}

#[test]
fn an_occupant_that_a_listing_shows_to_be_the_route_itself_counts_as_installed() {
    let mut bench = Bench::new();
    bench.arm(|armed| armed.route = ROUTE, UP);
    let addition = bench.ask();
    bench.answer(addition, Err(RouteError::Occupied), Presence::Unknown);
    let question = bench.planner.questions().remove(0);
    let outcome = bench.planner.listed(&question, true, Occupant::Ours(ROUTE), NOW).expect("an outcome");
    assert!(outcome.installed && outcome.result.is_ok());
    assert!(bench.run().is_empty());
}

/// Answers everything that the planner asks within a minute.
fn run_for_a_minute(bench: &mut Bench, kernel: &mut Kernel) {
    for _ in 0..60 {
        bench.after(SECOND);
        kernel.run(&mut bench.planner, bench.now);
        kernel.list(&mut bench.planner, bench.now);
    }
}

fn held(kernel: &Kernel) -> Vec<KernelRoute> {
    kernel.tables().routes().copied().collect()
}

#[test]
fn a_route_that_lost_its_source_on_its_backup_gets_it_back_there_when_it_turns_back_in_mid_move() {
    let (mut bench, mut kernel) = (Bench::new(), Kernel::new(Random::new(1), KernelFaults::default(), 4));
    let backup = Backup { next_hop: OTHER_HOP.next_hop, interface: 7, link: LinkId(1), session: None, is_up: false };
    bench.arm(|armed| (armed.route, armed.backup) = (ROUTE, Some(backup)), DOWN);
    run_for_a_minute(&mut bench, &mut kernel);
    assert_eq!(held(&kernel), [OTHER_HOP]);
    let affected = AffectedRoutes { sources: vec![ROUTE.source], ..AffectedRoutes::default() };
    kernel.flush(affected.clone());
    bench.session(UP);
    kernel.run(&mut bench.planner, bench.now);
    assert_eq!(held(&kernel), [OTHER_HOP.of_any_source(), ROUTE], "the addition has no answer yet");
    bench.session(DOWN);
    run_for_a_minute(&mut bench, &mut kernel);
    assert_eq!(held(&kernel), [OTHER_HOP]);
    assert!(kernel.is_settled(&bench.planner));
}

#[test]
fn a_route_that_must_stay_and_is_withdrawn_before_it_is_there_leaves_one_route_and_none_beside_it() {
    let (mut bench, mut kernel) = (Bench::new(), Kernel::new(Random::new(1), KernelFaults::default(), 4));
    kernel.leave(&OTHER_HOP);
    bench.arm(|armed| armed.route = ROUTE, UP);
    kernel.run(&mut bench.planner, bench.now);
    assert_eq!(held(&kernel), [OTHER_HOP, ROUTE], "the addition has no answer yet");
    let third = KernelRoute { next_hop: address(4), ..ROUTE };
    bench.arm(|armed| (armed.route, armed.no_uninstall) = (third, true), DOWN);
    bench.disarm(true);
    run_for_a_minute(&mut bench, &mut kernel);
    assert_eq!(held(&kernel).len(), 1);
    bench.arm(|armed| (armed.id, armed.route) = (RouteId(2), third), UP);
    run_for_a_minute(&mut bench, &mut kernel);
    assert_eq!(held(&kernel), [third], "two would have been a conflict");
}

#[test]
fn a_route_that_is_found_behind_a_sibling_replaces_one_with_another_source_that_may_be_what_was_found() {
    let (mut bench, mut kernel) = (Bench::new(), Kernel::new(Random::new(1), KernelFaults::default(), 4));
    bench.arm(|armed| armed.route = ROUTE, UP);
    run_for_a_minute(&mut bench, &mut kernel);
    let rivals = KernelRoute { next_hop: address(4), protocol: 4, ..ROUTE };
    kernel.act(&rivals, RivalAct::Append);
    bench.arm(|armed| armed.route = OTHER_HOP, UP);
    run_for_a_minute(&mut bench, &mut kernel);
    assert_eq!(held(&kernel), [rivals, OTHER_HOP], "it is not the first");
    let wanted = KernelRoute { source: OTHER_SOURCE.source, ..OTHER_HOP };
    bench.arm(|armed| armed.route = wanted, UP);
    let addition = bench.ask();
    bench.arm(|armed| armed.route = ROUTE, UP);
    bench.arm(|armed| armed.route = wanted, UP);
    bench.answer(addition, Err(RouteError::Unanswered), Presence::Absent);
    run_for_a_minute(&mut bench, &mut kernel);
    assert_eq!(held(&kernel), [rivals, wanted]);
    assert_eq!(bench.count(|counters| counters.installed), 1);
}
