//! What the kernel is asked for each armed route, in effects: orders go in, requests come out, answers and notices go in.

use std::net::{IpAddr, Ipv4Addr};

use route_liveness::engine::SessionId;
use route_liveness::engine::stats::{LinkId, LocalEndpoint};
use route_liveness::protocol::time::Time;
use route_liveness::routes::armed::{AffectedRoutes, ArmedRoute, ArmingPolicy, HOLD_US, RouteRequest, SessionView};
use route_liveness::routes::kernel_route::{KernelRoute, Occupant, Presence, Result, RouteError, SystemError};
use route_liveness::routes::outcome::{RouteId, RouteOp, RouteOutcome};
use route_liveness::routes::planner::RoutePlanner;
use route_liveness::routes::tables::RequestOutcome;

const NOW: Time = Time::from_micros(1);
const SECOND: u64 = 1_000_000;
const UP: SessionView = SessionView { up: true, peer_passive: false, conv_start: None };
const DOWN: SessionView = SessionView { up: false, peer_passive: false, conv_start: None };
const DOWN_PASSIVE: SessionView = SessionView { up: false, peer_passive: true, conv_start: None };
const SCOPE: LocalEndpoint = LocalEndpoint { link: LinkId(1), local: IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1)) };
const ROUTE: KernelRoute = KernelRoute {
    table: 254,
    destination: IpAddr::V4(Ipv4Addr::new(10, 9, 0, 7)),
    prefix_length: 32,
    source: IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1)),
    next_hop: IpAddr::V4(Ipv4Addr::new(10, 0, 0, 2)),
    interface: 7,
    protocol: 186,
    priority: 0,
};
const OTHER_HOP: KernelRoute = KernelRoute { next_hop: IpAddr::V4(Ipv4Addr::new(10, 0, 0, 3)), ..ROUTE };

/// Orders, and a kernel that does what it is asked.
struct Bench {
    planner: RoutePlanner,
    generation: u32,
    now: Time,
}

impl Bench {
    fn new() -> Self {
        let policy = ArmingPolicy { take_over: false, honor_peer_passive: true };
        Self { planner: RoutePlanner::new(policy), generation: 0, now: NOW }
    }

    /// With a route that is installed and whose session is Up.
    fn installed() -> Self {
        let mut bench = Self::new();
        bench.arm(|_| {}, UP);
        assert_eq!(bench.run(), ["add"]);
        bench
    }

    fn arm(&mut self, change: impl FnOnce(&mut ArmedRoute), session: SessionView) {
        self.generation += 1;
        let mut armed = ArmedRoute {
            id: RouteId(1),
            session: SessionId(1),
            generation: self.generation,
            route: ROUTE,
            no_uninstall: false,
            admin_down: false,
            adopted: false,
        };
        change(&mut armed);
        self.planner.arm(armed, SCOPE, session, self.now);
    }

    fn disarm(&mut self, remove: bool) {
        self.generation += 1;
        self.planner.disarm(RouteId(1), self.generation, remove, self.now);
    }

    fn session(&mut self, view: SessionView) {
        self.planner.session_changed(SessionId(1), view, self.now);
    }

    fn after(&mut self, us: u64) {
        self.now = self.now.plus(us);
        self.planner.handle_timeout(self.now);
    }

    /// What is asked until nothing is; the kernel does it, and what is looked for is there.
    fn run(&mut self) -> Vec<&'static str> {
        self.run_with(Presence::Present).0
    }

    fn run_with(&mut self, seen: Presence) -> (Vec<&'static str>, Vec<RouteOutcome>) {
        let (mut asked, mut outcomes) = (Vec::new(), Vec::new());
        for _ in 0..20 {
            if !self.planner.has_work() {
                break;
            }
            let batch = self.planner.pick(self.now);
            outcomes.extend(batch.idle);
            let parts = [
                (RouteOp::Delete, "delete", batch.deletes, answered(Ok(()), Presence::Absent)),
                (RouteOp::None, "look", batch.looks, answered(Ok(()), seen)),
                (RouteOp::Add, "add", batch.adds, answered(Ok(()), Presence::Present)),
            ];
            for (op, name, requests, answer) in parts {
                asked.extend(requests.iter().map(|_| name));
                outcomes.extend(self.planner.report(op, &requests, vec![answer; requests.len()], self.now));
            }
        }
        assert!(!self.planner.has_work(), "it comes to an end");
        (asked, outcomes)
    }

    /// Takes the one request there is, and leaves it unanswered.
    fn ask(&mut self) -> (RouteOp, RouteRequest) {
        let batch = self.planner.pick(self.now);
        let mut requests: Vec<(RouteOp, RouteRequest)> =
            batch.deletes.iter().map(|request| (RouteOp::Delete, *request)).collect();
        requests.extend(batch.looks.iter().map(|request| (RouteOp::None, *request)));
        requests.extend(batch.adds.iter().map(|request| (RouteOp::Add, *request)));
        assert_eq!(requests.len(), 1);
        requests.remove(0)
    }

    fn answer(
        &mut self,
        (op, request): (RouteOp, RouteRequest),
        result: Result<()>,
        presence: Presence,
    ) -> Vec<RouteOutcome> {
        self.planner.report(op, &[request], [answered(result, presence)], self.now)
    }

    fn count(&self, pick: fn(&route_liveness::routes::stats::RouteCounters) -> u64) -> u64 {
        self.planner.stats().iter().map(|(_, counters)| pick(counters)).sum()
    }
}

fn answered(result: Result<()>, presence: Presence) -> RequestOutcome {
    RequestOutcome { result, presence, replaced: None }
}

#[test]
fn a_route_is_there_while_its_session_is_up_and_only_then() {
    let mut bench = Bench::new();
    bench.arm(|_| {}, DOWN);
    assert!(bench.run().is_empty());
    bench.session(UP);
    assert_eq!(bench.run(), ["add"]);
    bench.session(DOWN);
    assert_eq!(bench.run(), ["delete"]);
    assert_eq!(bench.count(|counters| counters.installed), 0);
}

#[test]
fn a_route_in_admin_down_is_absent_whatever_its_session_is() {
    let mut bench = Bench::installed();
    bench.arm(|route| route.admin_down = true, UP);
    assert_eq!(bench.run(), ["delete"]);
    bench.session(DOWN);
    bench.session(UP);
    assert!(bench.run().is_empty());
    bench.arm(|_| {}, UP);
    assert_eq!(bench.run(), ["add"]);
}

#[test]
fn a_route_that_must_stay_is_added_and_never_deleted() {
    let mut bench = Bench::new();
    bench.arm(|route| route.no_uninstall = true, UP);
    assert_eq!(bench.run(), ["add"]);
    bench.session(DOWN);
    bench.arm(|route| (route.no_uninstall, route.admin_down) = (true, true), UP);
    bench.disarm(true);
    let (asked, outcomes) = bench.run_with(Presence::Present);
    assert!(asked.is_empty() && outcomes.iter().any(|outcome| outcome.gone));
}

#[test]
fn a_passive_peer_keeps_its_route_through_a_down_until_it_is_withdrawn_or_the_flag_clears() {
    let mut bench = Bench::installed();
    bench.session(DOWN_PASSIVE);
    assert!(bench.run().is_empty());
    bench.session(DOWN);
    assert_eq!(bench.run(), ["delete"]);
    bench.session(DOWN_PASSIVE);
    assert!(bench.run().is_empty(), "what was not there is not added");
    let mut bench = Bench::installed();
    bench.session(DOWN_PASSIVE);
    bench.disarm(true);
    assert_eq!(bench.run(), ["delete"]);
}

#[test]
fn deletes_go_before_looks_and_looks_before_adds_also_where_an_add_was_queued_first() {
    let mut planner = RoutePlanner::new(ArmingPolicy { take_over: false, honor_peer_passive: false });
    let arm = |planner: &mut RoutePlanner, id: u32, generation, session, view, adopted| {
        let route = KernelRoute { destination: IpAddr::V4(Ipv4Addr::from(0x0A09_0000 + id)), ..ROUTE };
        let (id, session) = (RouteId(id), SessionId(session));
        let armed = ArmedRoute { id, session, generation, route, no_uninstall: false, admin_down: false, adopted };
        planner.arm(armed, SCOPE, view, NOW);
    };
    arm(&mut planner, 1, 1, 1, UP, false);
    let batch = planner.pick(NOW);
    planner.report(RouteOp::Add, &batch.adds, [answered(Ok(()), Presence::Present)], NOW);
    // It waits for its removal behind other additions: an admin down of a route whose session is Up, for example.
    for id in 2..100 {
        arm(&mut planner, id, 1, 2, UP, false);
    }
    arm(&mut planner, 100, 1, 3, DOWN, true);
    planner.disarm(RouteId(1), 2, true, NOW);
    let batch = planner.pick(NOW);
    assert_eq!(batch.deletes.iter().map(|request| request.id).collect::<Vec<_>>(), [RouteId(1)]);
    assert_eq!(batch.looks.iter().map(|request| request.id).collect::<Vec<_>>(), [RouteId(100)]);
    assert!(batch.adds.len() < 98, "a deletion that comes now does not wait for all of them");
}

#[test]
fn a_route_whose_session_falls_while_its_addition_waits_is_not_added() {
    let mut bench = Bench::new();
    bench.arm(|_| {}, UP);
    bench.session(DOWN);
    assert!(bench.run().is_empty());
}

#[test]
fn a_command_of_an_older_generation_changes_nothing() {
    let mut bench = Bench::installed();
    bench.generation -= 1;
    bench.arm(|route| route.admin_down = true, UP);
    bench.generation -= 1;
    bench.disarm(true);
    assert!(bench.run().is_empty());
}

#[test]
fn a_route_that_is_armed_again_while_it_leaves_stays() {
    let mut bench = Bench::installed();
    bench.disarm(true);
    let deletion = bench.ask();
    bench.arm(|_| {}, UP);
    let outcomes = bench.answer(deletion, Ok(()), Presence::Absent);
    assert!(!outcomes[0].gone);
    assert_eq!(bench.run(), ["add"]);
}

#[test]
fn a_route_that_is_armed_again_for_another_session_follows_that_one() {
    let mut bench = Bench::installed();
    bench.arm(|route| route.session = SessionId(2), UP);
    bench.session(DOWN);
    assert!(bench.run().is_empty());
    bench.planner.session_changed(SessionId(2), DOWN, NOW);
    assert_eq!(bench.run(), ["delete"]);
}

#[test]
fn only_a_change_of_the_session_has_a_convergence_time() {
    let started = |view: SessionView| SessionView { conv_start: Some(NOW), ..view };
    let mut bench = Bench::new();
    bench.arm(|_| {}, started(UP));
    bench.run();
    assert_eq!(bench.count(|counters| counters.convergence_to_up.counts().iter().sum()), 1);
    bench.session(started(DOWN));
    bench.run();
    assert_eq!(bench.count(|counters| counters.convergence_to_down.counts().iter().sum()), 1);
    let mut bench = Bench::installed();
    bench.arm(|route| route.admin_down = true, started(UP));
    bench.run();
    assert_eq!(bench.count(|counters| counters.convergence_to_down.counts().iter().sum()), 0);
}

#[test]
fn a_failed_deletion_leaves_the_route_installed_and_is_retried_on_request() {
    let mut bench = Bench::installed();
    bench.session(DOWN);
    let deletion = bench.ask();
    let outcomes = bench.answer(deletion, Err(RouteError::System(SystemError(1))), Presence::Present);
    assert!(outcomes[0].installed && outcomes[0].result.is_err());
    assert!(!bench.planner.has_work(), "whoever retries says when");
    bench.planner.retry(RouteId(1), bench.generation, NOW);
    assert_eq!(bench.run(), ["delete"]);
}

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
        let lost = outcomes.iter().find(|outcome| outcome.op == RouteOp::None).expect("the loss is told");
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
    let mut planner = RoutePlanner::new(ArmingPolicy { take_over: false, honor_peer_passive: false });
    for id in 0..10 {
        let route = KernelRoute { destination: IpAddr::V4(Ipv4Addr::from(0x0A09_0000 + id)), ..ROUTE };
        let (id, session) = (RouteId(id), SessionId(id));
        let armed =
            ArmedRoute { id, session, generation: 1, route, no_uninstall: false, admin_down: false, adopted: false };
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
fn an_occupied_slot_is_a_conflict_or_a_replacement_as_a_listing_says() {
    let mut bench = Bench::new();
    bench.arm(|_| {}, UP);
    let addition = bench.ask();
    bench.answer(addition, Err(RouteError::Occupied), Presence::Absent);
    let question = bench.planner.questions().remove(0);
    let outcome = bench.planner.listed(&question, false, Occupant::Foreign(42), NOW).expect("told");
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
fn a_route_that_had_no_interface_is_not_deleted_when_it_has_one() {
    let mut bench = Bench::new();
    bench.arm(|route| route.route.interface = 0, UP);
    let addition = bench.ask();
    bench.planner.link_changed(SCOPE.link, 8, NOW);
    bench.answer(addition, Err(RouteError::System(SystemError::NO_DEVICE)), Presence::Absent);
    assert_eq!(bench.run(), ["add"], "a deletion without an interface would fit the new one");
}

#[test]
fn a_refused_deletion_of_an_unknown_route_changes_nothing_and_waits_for_a_retry() {
    let mut bench = Bench::installed();
    bench.session(DOWN);
    let deletion = bench.ask();
    let outcomes = bench.answer(deletion, Err(RouteError::System(SystemError(1))), Presence::Unknown);
    assert!(outcomes[0].installed);
    assert!(!bench.planner.has_work());
    bench.planner.retry(RouteId(1), bench.generation, NOW);
    assert_eq!(bench.run(), ["delete"]);
}

#[test]
fn a_route_that_is_gone_leaves_no_timer_behind() {
    let mut bench = Bench::new();
    bench.arm(|route| route.adopted = true, DOWN);
    bench.run();
    bench.disarm(true);
    assert_eq!((bench.run(), bench.planner.poll_deadline()), (vec!["delete"], None));

    let mut bench = Bench::installed();
    for _ in 0..2 {
        bench.planner.lost(&ROUTE, bench.now);
        bench.run_with(Presence::Absent);
    }
    assert!(bench.planner.poll_deadline().is_some());
    bench.disarm(true);
    bench.run();
    assert_eq!(bench.planner.poll_deadline(), None);
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
