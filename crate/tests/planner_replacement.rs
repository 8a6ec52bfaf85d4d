//! How the planner replaces a route, adopts one, and follows an interface to another index.

#[path = "support/planner_bench.rs"]
mod planner_bench;

use std::net::{IpAddr, Ipv4Addr};

use planner_bench::{Bench, DOWN, NOW, OTHER_HOP, ROUTE, SCOPE, UP, answered};
use route_liveness::engine::SessionId;
use route_liveness::routes::armed::HOLD_US;
use route_liveness::routes::kernel_route::{KernelRoute, Occupant, Presence, RouteError, SystemError};
use route_liveness::routes::outcome::{RouteId, RouteOp};
use route_liveness::routes::tables::RequestOutcome;

#[test]
fn an_occupied_slot_is_a_conflict_or_a_replacement_as_a_listing_says() {
    let mut bench = Bench::new();
    bench.arm(|_| {}, UP);
    let addition = bench.ask();
    bench.answer(addition, Err(RouteError::Occupied), Presence::Absent);
    let question = bench.planner.questions().remove(0);
    let outcome = bench.planner.listed(&question, false, Occupant::Foreign(42), NOW).expect("an outcome");
    assert_eq!((outcome.op, outcome.result), (RouteOp::Add, Err(RouteError::Conflict(42))));
    assert!(!bench.planner.has_work());

    bench.planner.retry(RouteId(1), bench.generation, NOW);
    let addition = bench.ask();
    bench.answer(addition, Err(RouteError::Occupied), Presence::Absent);
    let question = bench.planner.questions().remove(0);
    bench.planner.listed(&question, false, Occupant::Ours(OTHER_HOP), NOW);
    let (op, request) = bench.ask();
    assert_eq!((op, request.replaces), (RouteOp::Add, Some(OTHER_HOP)));
    bench.answer((op, request), Ok(()), Presence::Present);
    let (op, request) = bench.ask();
    assert_eq!((op, request.route), (RouteOp::Delete, OTHER_HOP), "what it replaced goes afterwards");
}

#[test]
fn another_next_hop_replaces_the_route_of_a_session_that_is_up_without_a_gap() {
    let mut bench = Bench::installed();
    bench.arm(|route| route.route = OTHER_HOP, UP);
    let (op, request) = bench.ask();
    assert_eq!((op, request.route, request.replaces), (RouteOp::Add, OTHER_HOP, Some(ROUTE)));
    bench.answer((op, request), Ok(()), Presence::Present);
    let (op, request) = bench.ask();
    assert_eq!((op, request.route), (RouteOp::Delete, ROUTE));
    assert!(bench.answer((op, request), Ok(()), Presence::Absent).is_empty(), "that is no withdrawal");
    assert_eq!(bench.count(|counters| counters.installed), 1);
}

#[test]
fn a_replaced_route_waits_for_its_new_session_and_goes_where_that_does_not_come_up() {
    for comes_up in [true, false] {
        let mut bench = Bench::installed();
        bench.arm(|route| (route.route, route.session) = (OTHER_HOP, SessionId(2)), DOWN);
        assert!(bench.run().is_empty(), "the former one stays meanwhile");
        if comes_up {
            bench.planner.session_changed(SessionId(2), UP, bench.now);
            assert_eq!(bench.run(), ["add", "delete"]);
        } else {
            bench.after(HOLD_US);
            assert_eq!(bench.run(), ["delete"]);
        }
    }
}

#[test]
fn replacements_that_follow_each_other_leave_nothing_behind() {
    let third = KernelRoute { next_hop: IpAddr::V4(Ipv4Addr::new(10, 0, 0, 4)), ..ROUTE };
    let mut bench = Bench::new();
    bench.arm(|_| {}, UP);
    let addition = bench.ask();
    bench.arm(|route| route.route = OTHER_HOP, UP);
    bench.arm(|route| route.route = third, UP);
    bench.answer(addition, Ok(()), Presence::Present);
    assert_eq!(bench.run(), ["add", "delete"], "the first was added, the second never was");
    bench.session(DOWN);
    assert_eq!(bench.run(), ["delete"]);
}

#[test]
fn an_interface_with_a_new_index_gets_the_route_and_the_previous_index_loses_it() {
    let mut bench = Bench::installed();
    bench.planner.link_changed(SCOPE.link, 8, NOW);
    let (op, request) = bench.ask();
    assert_eq!((op, request.route.interface), (RouteOp::Add, 8));
    bench.answer((op, request), Ok(()), Presence::Present);
    let (op, request) = bench.ask();
    assert_eq!((op, request.route.interface), (RouteOp::Delete, 7));
}

#[test]
fn an_adopted_route_is_looked_for_and_one_that_has_vanished_is_not_installed() {
    for (seen, installed) in [(Presence::Present, true), (Presence::Absent, false)] {
        let mut bench = Bench::new();
        bench.arm(|route| route.adopted = true, DOWN);
        let (asked, outcomes) = bench.run_with(seen);
        assert_eq!(asked, ["look"]);
        assert_eq!((outcomes[0].op, outcomes[0].installed), (RouteOp::None, installed));
        assert_eq!(bench.count(|counters| counters.installed), u64::from(installed));
    }
}

#[test]
fn a_route_that_is_adopted_when_it_is_there_or_being_added_is_looked_for_too() {
    let mut bench = Bench::installed();
    bench.arm(|route| route.adopted = true, UP);
    let (asked, outcomes) = bench.run_with(Presence::Present);
    assert_eq!((asked, outcomes.len()), (vec!["look"], 1), "whoever adopts it waits for the outcome");

    let mut bench = Bench::new();
    bench.arm(|_| {}, UP);
    let addition = bench.ask();
    bench.arm(|route| route.adopted = true, UP);
    assert_eq!(bench.answer(addition, Ok(()), Presence::Present)[0].generation, 2);
    assert_eq!(bench.run(), ["look"]);
}

#[test]
fn an_adopted_route_waits_for_its_session_and_goes_where_that_does_not_come_up() {
    let mut bench = Bench::new();
    bench.arm(|route| route.adopted = true, DOWN);
    bench.run();
    bench.after(HOLD_US - 1);
    assert!(bench.run().is_empty());
    bench.after(1);
    assert_eq!(bench.run(), ["delete"]);

    let mut bench = Bench::new();
    bench.arm(|route| route.adopted = true, DOWN);
    bench.run();
    bench.session(UP);
    bench.after(HOLD_US);
    assert!(bench.run().is_empty(), "its session came Up: it is as if we had installed it");
    bench.session(DOWN);
    assert_eq!(bench.run(), ["delete"], "and is not held a second time");
}

#[test]
fn an_adopted_route_has_an_outcome_also_where_it_is_armed_again_or_its_link_changes_meanwhile() {
    let overtake: [fn(&mut Bench); 3] = [
        |bench| bench.arm(|_| {}, DOWN),
        |bench| bench.arm(|route| route.route = OTHER_HOP, DOWN),
        |bench| bench.planner.link_changed(SCOPE.link, 0, NOW),
    ];
    for overtake in overtake {
        let mut bench = Bench::new();
        bench.arm(|route| route.adopted = true, DOWN);
        let look = bench.ask();
        overtake(&mut bench);
        let mut outcomes = bench.answer(look, Ok(()), Presence::Absent);
        outcomes.extend(bench.run_with(Presence::Absent).1);
        assert_eq!(outcomes.iter().filter(|outcome| outcome.op == RouteOp::None && !outcome.installed).count(), 1);
    }
}

#[test]
fn a_route_whose_replacement_waits_for_its_session_is_reported_as_not_installed() {
    let mut bench = Bench::installed();
    bench.arm(|route| route.route = OTHER_HOP, DOWN);
    let (asked, outcomes) = bench.run_with(Presence::Absent);
    assert!(asked.is_empty());
    assert_eq!(outcomes.iter().map(|outcome| outcome.installed).collect::<Vec<_>>(), [false]);
    assert_eq!(bench.count(|counters| counters.installed), 0);
}

#[test]
fn a_route_whose_link_changes_while_its_session_is_down_is_deleted_at_once() {
    let mut bench = Bench::installed();
    bench.session(DOWN);
    let deletion = bench.ask();
    bench.answer(deletion, Err(RouteError::System(SystemError(1))), Presence::Present);
    bench.planner.link_changed(SCOPE.link, 8, NOW);
    let (op, request) = bench.ask();
    assert_eq!((op, request.route.interface), (RouteOp::Delete, 7));
}

#[test]
fn a_route_that_had_no_interface_is_not_deleted_when_it_has_one() {
    let mut bench = Bench::new();
    bench.arm(|route| route.route.interface = 0, UP);
    let addition = bench.ask();
    bench.planner.link_changed(SCOPE.link, 8, NOW);
    bench.answer(addition, Err(RouteError::System(SystemError::NO_DEVICE)), Presence::Absent);
    assert_eq!(bench.run(), ["add"], "a deletion without an interface would fit the new one");
}

#[test]
fn what_an_addition_was_appended_beside_is_deleted() {
    let mut bench = Bench::new();
    bench.arm(|_| {}, UP);
    let (op, request) = bench.ask();
    let beside = RequestOutcome { replaced: Some(OTHER_HOP), ..answered(Ok(()), Presence::Present) };
    bench.planner.report(op, &[request], [beside], NOW);
    let (op, request) = bench.ask();
    assert_eq!((op, request.route), (RouteOp::Delete, OTHER_HOP));
}
