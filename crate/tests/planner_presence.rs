//! What the planner does when it is not certain whether the kernel holds a route: notices, looks and listings.

#[path = "support/planner_bench.rs"]
mod planner_bench;

use std::net::{IpAddr, Ipv4Addr};

use planner_bench::{Bench, DOWN, NOW, OTHER_HOP, ROUTE, SCOPE, SECOND, UP, answered};
use route_liveness::engine::SessionId;
use route_liveness::routes::affected::AffectedRoutes;
use route_liveness::routes::armed::{ArmedRoute, ArmingPolicy};
use route_liveness::routes::damping::Damping;
use route_liveness::routes::kernel_route::{KernelRoute, Occupant, Presence, RouteError};
use route_liveness::routes::outcome::{RouteId, RouteOp};
use route_liveness::routes::planner::RoutePlanner;

#[test]
fn a_route_that_another_process_deleted_is_restored_while_its_session_is_up() {
    for (view, expected) in [(UP, vec!["look", "add"]), (DOWN, vec!["look"])] {
        let mut bench = Bench::installed();
        bench.session(view);
        bench.planner.lost(&ROUTE, NOW);
        let (asked, outcomes) = bench.run_with(Presence::Absent);
        assert_eq!(asked, expected);
        assert!(
            outcomes.iter().any(|outcome| outcome.op == RouteOp::None && !outcome.installed),
            "and its loss is told"
        );
        assert_eq!(bench.count(|counters| counters.restored), u64::from(view.up));
        assert_eq!(bench.count(|counters| counters.installed), u64::from(view.up));
    }
}

#[test]
fn a_route_that_is_deleted_before_the_answer_to_its_addition_is_restored_too() {
    for is_replaced in [false, true] {
        let mut bench = Bench::new();
        bench.arm(|_| {}, UP);
        let addition = bench.ask();
        if is_replaced {
            bench.planner.taken(&ROUTE.slot(), NOW);
        } else {
            bench.planner.lost(&ROUTE, NOW);
        }
        assert!(!bench.planner.has_work(), "nothing is asked twice at once");
        bench.answer(addition, Ok(()), Presence::Present);
        assert_eq!(bench.run_with(Presence::Absent).0, ["look", "add"]);
        assert_eq!(bench.count(|counters| counters.restored), 1);
    }
}

#[test]
fn a_route_that_is_deleted_while_it_is_looked_for_is_looked_for_again() {
    let mut bench = Bench::installed();
    bench.planner.taken(&ROUTE.slot(), NOW);
    let look = bench.ask();
    bench.planner.lost(&ROUTE, NOW);
    assert!(bench.answer(look, Ok(()), Presence::Present).is_empty());
    assert_eq!(bench.run_with(Presence::Absent).0, ["look", "add"]);
}

#[test]
fn a_slot_that_another_process_changes_is_looked_at_and_a_route_that_is_still_there_is_deleted_when_its_session_goes_down()
 {
    let mut bench = Bench::installed();
    bench.planner.taken(&ROUTE.slot(), NOW);
    assert_eq!(bench.run(), ["look"], "it is there: somebody put theirs beside it");
    bench.session(DOWN);
    assert_eq!(bench.run(), ["delete"]);
}

#[test]
fn the_loss_of_a_route_that_differs_from_ours_is_ignored() {
    let mut bench = Bench::installed();
    for other in [
        KernelRoute { protocol: 42, ..ROUTE },
        KernelRoute { interface: 8, ..ROUTE },
        KernelRoute { priority: 7, ..ROUTE },
        OTHER_HOP,
    ] {
        bench.planner.lost(&other, NOW);
    }
    assert!(!bench.planner.has_work());
}

#[test]
fn a_route_that_is_deleted_again_and_again_is_restored_with_growing_delays_until_it_stays() {
    let mut bench = Bench::installed();
    let mut delays = Vec::new();
    for _ in 0..9 {
        bench.planner.lost(&ROUTE, bench.now);
        let (_, outcomes) = bench.run_with(Presence::Absent);
        let lost = outcomes.iter().find(|outcome| outcome.op == RouteOp::None).expect("an outcome reports the loss");
        let restore_at = lost.restore_at;
        delays.push(restore_at.map_or(0, |at| at.since(bench.now)) / SECOND);
        if let Some(at) = restore_at {
            assert_eq!(bench.planner.poll_deadline(), Some(at));
            bench.after(at.since(bench.now) - 1);
            assert!(bench.run().is_empty(), "not before");
            bench.after(1);
            assert_eq!(bench.run(), ["add"]);
        }
    }
    assert_eq!(delays, [0, 1, 2, 4, 8, 16, 32, 60, 60]);
    assert_eq!((bench.count(|counters| counters.restored), bench.count(|counters| counters.restores_delayed)), (9, 8));
    bench.after(121 * SECOND);
    bench.planner.lost(&ROUTE, bench.now);
    assert_eq!(bench.run_with(Presence::Absent).0, ["look", "add"], "after some peace at once again");
}

#[test]
fn routes_that_a_link_takes_along_are_restored_at_once_however_often() {
    let mut bench = Bench::installed();
    for _ in 0..5 {
        let affected = AffectedRoutes { interfaces: vec![ROUTE.interface], ..AffectedRoutes::default() };
        bench.planner.recheck(&affected, (SessionId(0), RouteId(0)), 10, bench.now);
        assert_eq!(bench.run_with(Presence::Absent).0, ["look", "add"]);
    }
    let elsewhere = AffectedRoutes { interfaces: vec![99], ..AffectedRoutes::default() };
    bench.planner.recheck(&elsewhere, (SessionId(0), RouteId(0)), 10, bench.now);
    assert!(bench.run().is_empty(), "another link's routes are not looked at");
}

#[test]
fn affected_routes_are_rechecked_in_portions() {
    let mut planner =
        RoutePlanner::new(ArmingPolicy { take_over: false, honor_peer_passive: false, mass_down: None, objects: None });
    for id in 0..10 {
        let route = KernelRoute { destination: IpAddr::V4(Ipv4Addr::from(0x0A09_0000 + id)), ..ROUTE };
        let (id, session) = (RouteId(id), SessionId(id));
        let armed = ArmedRoute {
            id,
            session,
            generation: 1,
            route,
            no_uninstall: false,
            admin_down: false,
            keep_on_peer_admin_down: false,
            damping: Damping::default(),
            adopted: false,
            backup: None,
        };
        planner.arm(armed, SCOPE, UP, NOW);
    }
    let batch = planner.pick(NOW);
    planner.report(RouteOp::Add, &batch.adds, vec![answered(Ok(()), Presence::Present); 10], NOW);
    let all = AffectedRoutes { all: true, ..AffectedRoutes::default() };
    let mut from = Some((SessionId(0), RouteId(0)));
    let mut calls = 0;
    while let Some(start) = from {
        from = planner.recheck(&all, start, 4, NOW);
        calls += 1;
    }
    assert_eq!(calls, 3);
    assert_eq!(planner.pick(NOW).looks.len(), 10);
}

#[test]
fn a_listing_decides_where_a_look_cannot() {
    for (is_there, expected) in [(true, vec![]), (false, vec!["add"])] {
        let mut bench = Bench::installed();
        bench.planner.taken(&ROUTE.slot(), NOW);
        let look = bench.ask();
        bench.answer(look, Ok(()), Presence::Unknown);
        let question = bench.planner.questions().remove(0);
        assert!(!question.of_slot && !bench.planner.has_questions(), "each is asked once");
        bench.planner.listed(&question, is_there, Occupant::Unknown, NOW);
        assert_eq!(bench.run(), expected);
    }
}

#[test]
fn a_listing_that_is_older_than_a_notice_proves_nothing() {
    let mut bench = Bench::installed();
    bench.planner.taken(&ROUTE.slot(), NOW);
    let look = bench.ask();
    bench.answer(look, Ok(()), Presence::Unknown);
    let question = bench.planner.questions().remove(0);
    bench.planner.lost(&ROUTE, NOW);
    assert!(bench.planner.listed(&question, true, Occupant::Unknown, NOW).is_none());
    assert_eq!(bench.run_with(Presence::Absent).0, ["look", "add"]);
}

#[test]
fn an_unknown_route_with_a_priority_is_deleted_and_one_without_is_looked_for() {
    for (priority, expected) in [(5, vec!["delete"]), (0, vec!["look", "delete"])] {
        let mut bench = Bench::new();
        bench.arm(|route| route.route.priority = priority, UP);
        bench.run();
        bench.planner.taken(&KernelRoute { priority, ..ROUTE }.slot(), NOW);
        bench.session(DOWN);
        assert_eq!(bench.run(), expected);
    }
}

#[test]
fn a_late_notice_of_a_loss_does_not_make_the_planner_forget_a_previous_route() {
    let mut bench = Bench::installed();
    bench.arm(|route| route.route = OTHER_HOP, UP);
    bench.planner.lost(&ROUTE, NOW);
    assert_eq!(bench.run(), ["add", "delete"]);
}

#[test]
fn an_answer_to_a_request_that_was_overtaken_twice_is_looked_into() {
    let mut bench = Bench::new();
    bench.arm(|_| {}, UP);
    let addition = bench.ask();
    bench.arm(|route| route.route = OTHER_HOP, UP);
    bench.planner.lost(&ROUTE, NOW);
    bench.arm(|_| {}, UP);
    bench.answer(addition, Ok(()), Presence::Present);
    assert_eq!(bench.run_with(Presence::Absent).0, ["look", "add"]);
}

#[test]
fn after_a_deletion_without_a_priority_the_equal_route_that_has_one_is_looked_at() {
    let mut bench = Bench::installed();
    let with_priority = KernelRoute { priority: 5, ..ROUTE };
    bench.arm(|route| (route.id, route.session, route.route) = (RouteId(2), SessionId(2), with_priority), UP);
    assert_eq!(bench.run(), ["add"]);
    bench.session(DOWN);
    assert_eq!(bench.run_with(Presence::Absent).0, ["delete", "look", "add"]);
}

#[test]
fn a_listing_of_an_occupied_slot_that_is_older_than_a_notice_does_not_say_that_the_route_is_there() {
    let mut bench = Bench::new();
    bench.arm(|_| {}, UP);
    let addition = bench.ask();
    bench.answer(addition, Err(RouteError::Occupied), Presence::Absent);
    let question = bench.planner.questions().remove(0);
    bench.planner.lost(&ROUTE, NOW);
    assert!(bench.planner.listed(&question, true, Occupant::Ours(ROUTE), NOW).is_none());
    let (op, request) = bench.ask();
    assert_eq!((op, request.route), (RouteOp::Add, ROUTE));
}
