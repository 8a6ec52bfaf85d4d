//! Which requests the planner makes for an armed route as its session, its registration and its settings change.

#[path = "support/planner_bench.rs"]
mod planner_bench;

use std::net::{IpAddr, Ipv4Addr};

use planner_bench::{Bench, DOWN, DOWN_BY_PEER, DOWN_PASSIVE, NOW, OTHER_HOP, ROUTE, SCOPE, UP, answered};
use route_liveness::engine::SessionId;
use route_liveness::routes::armed::{ArmedRoute, ArmingPolicy, SessionView};
use route_liveness::routes::damping::Damping;
use route_liveness::routes::kernel_route::{KernelRoute, Occupant, Presence, RouteError, SystemError};
use route_liveness::routes::mass_down::{MassDown, MassDownReport};
use route_liveness::routes::outcome::{RouteId, RouteOp};
use route_liveness::routes::planner::RoutePlanner;

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
fn a_route_that_is_kept_on_an_admin_down_of_the_peer_stays_until_its_session_goes_down_for_another_reason() {
    let keep = |route: &mut ArmedRoute| route.keep_on_peer_admin_down = true;
    let mut bench = Bench::new();
    bench.arm(keep, DOWN_BY_PEER);
    assert!(bench.run().is_empty(), "what was not there is not added");
    bench.arm(keep, UP);
    assert_eq!(bench.run(), ["add"]);
    bench.session(DOWN_BY_PEER);
    assert!(bench.run().is_empty());
    bench.session(DOWN);
    assert_eq!(bench.run(), ["delete"]);
    let mut bench = Bench::installed();
    bench.session(DOWN_BY_PEER);
    assert_eq!(bench.run(), ["delete"]);
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
fn in_maintenance_a_route_stays_through_a_down_and_is_withdrawn_at_the_end_of_it() {
    for sessions in [None, Some([SessionId(1)].as_slice())] {
        let mut bench = Bench::installed();
        bench.planner.set_maintenance(sessions, true, NOW);
        bench.session(DOWN);
        bench.arm(|_| {}, DOWN);
        assert!(bench.run().is_empty(), "{sessions:?}");
        bench.planner.set_maintenance(sessions, false, NOW);
        assert_eq!(bench.run(), ["delete"], "{sessions:?}");
    }
}

#[test]
fn maintenance_concerns_its_sessions_alone_and_neither_installs_nor_keeps_what_is_taken_out_of_service() {
    let mut bench = Bench::installed();
    bench.planner.set_maintenance(Some(&[SessionId(2)]), true, NOW);
    bench.session(DOWN);
    assert_eq!(bench.run(), ["delete"]);
    bench.planner.set_maintenance(None, true, NOW);
    bench.session(DOWN);
    assert!(bench.run().is_empty(), "what was not there is not added");
    bench.session(UP);
    assert_eq!(bench.run(), ["add"]);
    bench.planner.set_maintenance(None, false, NOW);
    assert!(bench.run().is_empty(), "a session that is Up keeps its route at the end of it");
    bench.planner.set_maintenance(None, true, NOW);
    bench.arm(|route| route.admin_down = true, UP);
    assert_eq!(bench.run(), ["delete"]);
}

#[test]
fn when_nobody_watches_any_more_every_route_is_withdrawn_but_those_that_are_kept() {
    let mut bench = Bench::installed();
    assert!(bench.planner.withdraw_all(NOW), "it is not yet gone");
    assert_eq!(bench.run(), ["delete"]);
    assert!(!bench.planner.withdraw_all(NOW));
    let mut bench = Bench::installed();
    bench.arm(|route| route.no_uninstall = true, UP);
    assert!(!bench.planner.withdraw_all(NOW) && bench.run().is_empty(), "what is never deleted");
    let mut bench = Bench::installed();
    bench.planner.set_maintenance(None, true, NOW);
    assert!(!bench.planner.withdraw_all(NOW) && bench.run().is_empty(), "what is in maintenance");
}

#[test]
fn when_nobody_watches_any_more_a_route_that_waits_for_its_session_is_withdrawn_at_once() {
    let mut bench = Bench::new();
    bench.arm(|route| route.adopted = true, DOWN);
    bench.run();
    assert!(bench.planner.withdraw_all(NOW));
    assert_eq!(bench.run(), ["delete"]);
}

#[test]
fn when_nobody_watches_any_more_a_route_that_was_about_to_be_replaced_counts_as_there_until_it_is_deleted() {
    let mut bench = Bench::installed();
    bench.arm(|route| route.route = OTHER_HOP, UP);
    assert!(bench.planner.withdraw_all(NOW));
    assert_eq!(bench.run(), ["delete"]);
    assert!(!bench.planner.withdraw_all(NOW));
}

#[test]
fn a_route_to_be_replaced_goes_at_once_where_a_listing_shows_others_in_the_slot_after_its_session_went_down() {
    let mut bench = Bench::installed();
    bench.arm(|route| route.route = OTHER_HOP, UP);
    let asked = bench.ask();
    bench.session(DOWN);
    bench.answer(asked, Err(RouteError::Occupied), Presence::Absent);
    let questions = bench.planner.questions();
    assert_eq!(questions.len(), 1);
    let told = bench.planner.listed(&questions[0], false, Occupant::Foreign(4), bench.now);
    assert!(told.is_some_and(|outcome| outcome.result.is_err()));
    assert_eq!(bench.run(), ["delete"]);
}

#[test]
fn a_withdrawal_that_fails_is_tried_again_as_often_as_it_is_asked_for() {
    let mut bench = Bench::installed();
    assert!(bench.planner.withdraw_all(NOW));
    let deletion = bench.ask();
    assert!(bench.planner.withdraw_all(NOW), "the answer is under way");
    bench.answer(deletion, Err(RouteError::System(SystemError(105))), Presence::Present);
    assert!(bench.planner.withdraw_all(NOW));
    assert_eq!(bench.run(), ["delete"]);
}

const HOLD_UP: Damping =
    Damping { hold_up_ms: 300, penalty: 0, suppress_above: 0, reuse_below: 0, half_life_ms: 0, max_suppress_ms: 0 };

#[test]
fn a_route_whose_session_comes_up_again_is_installed_only_after_it_has_stayed_up_and_says_so() {
    let mut bench = Bench::new();
    bench.arm(|route| route.damping = HOLD_UP, UP);
    assert_eq!(bench.run(), ["add"], "the first Up is not delayed");
    bench.session(DOWN);
    assert_eq!(bench.run(), ["delete"], "nor is a withdrawal");
    bench.session(UP);
    let (asked, outcomes) = bench.run_with(Presence::Present);
    assert!(asked.is_empty());
    assert_eq!(outcomes.iter().map(|told| told.suppressed_until).collect::<Vec<_>>(), [Some(NOW.plus(300_000))]);
    bench.arm(|route| route.damping = HOLD_UP, UP);
    bench.after(299_999);
    assert!(bench.run().is_empty(), "also where it is registered again meanwhile");
    bench.after(1);
    let (asked, outcomes) = bench.run_with(Presence::Present);
    assert_eq!(asked, ["add"]);
    assert_eq!(outcomes.last().unwrap().suppressed_until, None);
}

#[test]
fn a_down_ends_the_wait_of_a_route_and_the_next_up_begins_another() {
    let mut bench = Bench::new();
    bench.arm(|route| route.damping = HOLD_UP, UP);
    bench.run();
    for _ in 0..3 {
        bench.session(DOWN);
        bench.run();
        bench.after(100_000);
        bench.session(UP);
        bench.after(200_000);
        bench.run();
    }
    assert!(!bench.planner.has_work());
    bench.session(DOWN);
    let (asked, outcomes) = bench.run_with(Presence::Present);
    assert!(asked.is_empty(), "it was not there");
    assert_eq!(outcomes.iter().map(|told| told.suppressed_until).collect::<Vec<_>>(), [None]);
    assert_eq!(bench.planner.poll_deadline(), None);
}

#[test]
fn a_route_that_is_taken_out_of_service_or_is_damped_no_longer_waits_for_nothing() {
    for (admin_down, damping) in [(true, HOLD_UP), (false, Damping::default())] {
        let mut bench = Bench::new();
        bench.arm(|route| route.damping = HOLD_UP, UP);
        bench.session(DOWN);
        bench.session(UP);
        bench.arm(|route| (route.admin_down, route.damping) = (admin_down, damping), UP);
        bench.arm(|route| route.damping = damping, UP);
        assert_eq!(bench.run().last(), Some(&"add"));
        assert_eq!(bench.planner.poll_deadline(), None);
    }
}

#[test]
fn a_route_that_is_registered_while_its_session_is_down_after_an_up_waits_as_well() {
    let flapped = |view: SessionView| SessionView { flapped: true, ..view };
    let mut bench = Bench::new();
    bench.arm(|route| route.damping = HOLD_UP, flapped(DOWN));
    bench.session(flapped(UP));
    assert!(bench.run().is_empty());
    bench.after(300_000);
    assert_eq!(bench.run(), ["add"]);
}

#[test]
fn a_route_that_is_to_be_replaced_by_a_suppressed_one_goes_since_nobody_watches_its_path() {
    let mut bench = Bench::new();
    bench.arm(|route| route.damping = HOLD_UP, UP);
    bench.run();
    bench.arm(|route| (route.damping, route.route) = (HOLD_UP, OTHER_HOP), UP);
    bench.session(DOWN);
    bench.session(UP);
    assert_eq!(bench.run(), ["delete"]);
    bench.after(300_000);
    assert_eq!(bench.run(), ["add"]);
}

#[test]
fn a_route_that_is_there_stays_while_it_is_suppressed() {
    let mut bench = Bench::new();
    bench.arm(|route| route.damping = HOLD_UP, UP);
    bench.run();
    bench.planner.set_maintenance(None, true, NOW);
    bench.session(DOWN);
    bench.session(UP);
    bench.run();
    bench.planner.set_maintenance(None, false, NOW);
    assert!(!bench.run().contains(&"delete"));
    bench.disarm(true);
    assert_eq!(bench.run(), ["delete"]);
}

#[test]
fn the_routes_of_a_mass_of_sessions_that_fall_wait_and_then_go_unless_their_sessions_are_up_again() {
    let mass_down = Some(MassDown { share: 0.5, within_us: 100_000, hold_us: 1_000_000 });
    let policy = ArmingPolicy { take_over: false, honor_peer_passive: false, mass_down, objects: None };
    let mut bench = Bench { planner: RoutePlanner::new(policy), ..Bench::new() };
    for number in 1..=4 {
        let number_of = |route: &mut ArmedRoute| {
            (route.id, route.session) = (RouteId(number), SessionId(number));
            route.route.destination = IpAddr::V4(Ipv4Addr::from(0x0A09_0000 + number));
        };
        bench.arm(number_of, UP);
    }
    bench.run();
    let fall = |numbers: &[u32]| numbers.iter().map(|number| (SessionId(*number), DOWN)).collect::<Vec<_>>();
    assert_eq!(bench.planner.sessions_changed(fall(&[1]), bench.now), None);
    assert_eq!(bench.run(), ["delete"], "one of four");
    bench.after(200_000);
    let report = bench.planner.sessions_changed(fall(&[2, 3]), bench.now);
    assert_eq!(report, Some(MassDownReport { fallen: 2, of: 3, hold_us: 1_000_000 }));
    assert!(bench.run().is_empty());
    bench.after(500_000);
    bench.planner.sessions_changed([(SessionId(2), UP)], bench.now);
    bench.planner.sessions_changed(fall(&[4]), bench.now);
    assert!(bench.run().is_empty(), "what falls meanwhile waits, too");
    bench.after(500_000);
    assert_eq!(bench.run(), ["delete", "delete"], "those of 3 and 4");
}

#[test]
fn sessions_that_their_peers_take_out_of_service_are_no_mass() {
    let mass_down = Some(MassDown { share: 0.1, within_us: 100_000, hold_us: 1_000_000 });
    let policy = ArmingPolicy { take_over: false, honor_peer_passive: false, mass_down, objects: None };
    let mut bench = Bench { planner: RoutePlanner::new(policy), ..Bench::new() };
    bench.arm(|_| {}, UP);
    bench.run();
    assert_eq!(bench.planner.sessions_changed([(SessionId(1), DOWN_BY_PEER)], bench.now), None);
    assert_eq!(bench.run(), ["delete"]);
}

#[test]
fn deletes_go_before_looks_and_looks_before_adds_also_where_an_add_was_queued_first() {
    let mut planner =
        RoutePlanner::new(ArmingPolicy { take_over: false, honor_peer_passive: false, mass_down: None, objects: None });
    let arm = |planner: &mut RoutePlanner, id: u32, generation, session, view, adopted| {
        let route = KernelRoute { destination: IpAddr::V4(Ipv4Addr::from(0x0A09_0000 + id)), ..ROUTE };
        let (id, session) = (RouteId(id), SessionId(session));
        let armed = ArmedRoute {
            id,
            session,
            generation,
            route,
            no_uninstall: false,
            admin_down: false,
            keep_on_peer_admin_down: false,
            damping: Damping::default(),
            adopted,
            backup: None,
        };
        planner.arm(armed, SCOPE, view, NOW);
    };
    arm(&mut planner, 1, 1, 1, UP, false);
    let batch = planner.pick(NOW);
    planner.report(RouteOp::Add, &batch.adds, [answered(Ok(()), Presence::Present)], NOW);
    // A route whose session is Up is taken out of service while other additions wait.
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
