//! Which requests the planner makes for an armed route that has a backup.

#[path = "support/planner_bench.rs"]
mod planner_bench;

use std::net::{IpAddr, Ipv4Addr};

use planner_bench::{Bench, DOWN, DOWN_BY_PEER, SECOND, UP, answered};
use route_liveness::engine::SessionId;
use route_liveness::engine::stats::LinkId;
use route_liveness::protocol::time::Time;
use route_liveness::routes::armed::{ArmedRoute, HOLD_US, SessionView};
use route_liveness::routes::damping::Damping;
use route_liveness::routes::kernel_route::{KernelRoute, Presence, RouteError};
use route_liveness::routes::legs::{Backup, Leg};
use route_liveness::routes::outcome::{RouteOp, RouteOutcome};

const WATCHER: SessionId = SessionId(2);
const PRIMARY: KernelRoute = planner_bench::ROUTE;
const BACKUP: KernelRoute = KernelRoute { next_hop: IpAddr::V4(Ipv4Addr::new(10, 0, 1, 2)), interface: 8, ..PRIMARY };

fn backup(session: Option<SessionId>) -> Backup {
    Backup { next_hop: BACKUP.next_hop, interface: BACKUP.interface, link: LinkId(2), session, is_up: false }
}

fn with_backup(session: Option<SessionId>) -> impl FnOnce(&mut ArmedRoute) {
    move |route| route.backup = Some(backup(session))
}

/// A bench with a route that is installed on its primary.
fn installed(session: Option<SessionId>) -> Bench {
    let mut bench = Bench::new();
    bench.arm(with_backup(session), UP);
    assert_eq!(requests(&mut bench), [(RouteOp::Add, PRIMARY)]);
    bench
}

/// Carries out requests until none waits. A look finds nothing.
fn run(bench: &mut Bench, present: Option<KernelRoute>) -> (Vec<(RouteOp, KernelRoute)>, Vec<RouteOutcome>) {
    let (mut asked, mut outcomes) = (Vec::new(), Vec::new());
    for _ in 0..20 {
        let batch = bench.planner.pick(bench.now);
        outcomes.extend(batch.idle);
        for (op, some) in [(RouteOp::Delete, batch.deletes), (RouteOp::None, batch.looks), (RouteOp::Add, batch.adds)] {
            for request in some {
                let is_there = op == RouteOp::Add || (op == RouteOp::None && present == Some(request.route));
                let presence = if is_there { Presence::Present } else { Presence::Absent };
                asked.push((op, request.route));
                outcomes.extend(bench.planner.report(op, &[request], [answered(Ok(()), presence)], bench.now));
            }
        }
    }
    assert!(!bench.planner.has_work());
    (asked, outcomes)
}

fn requests(bench: &mut Bench) -> Vec<(RouteOp, KernelRoute)> {
    run(bench, None).0
}

fn watcher(bench: &mut Bench, view: SessionView) {
    bench.planner.session_changed(WATCHER, view, bench.now);
}

#[test]
fn a_down_moves_the_route_to_its_backup_before_the_primary_is_deleted_and_an_up_moves_it_back() {
    let mut bench = installed(None);
    bench.session(DOWN);
    let (asked, outcomes) = run(&mut bench, None);
    assert_eq!(asked, [(RouteOp::Add, BACKUP), (RouteOp::Delete, PRIMARY)]);
    let told: Vec<(RouteOp, Leg, bool)> = outcomes.iter().map(|told| (told.op, told.leg, told.installed)).collect();
    assert_eq!(told, [(RouteOp::Add, Leg::Backup, true)]);
    bench.session(UP);
    assert_eq!(requests(&mut bench), [(RouteOp::Add, PRIMARY), (RouteOp::Delete, BACKUP)]);
    assert_eq!(bench.count(|counters| counters.installed), 1);
}

#[test]
fn a_route_that_is_new_tries_its_primary_for_as_long_as_init_may_last_and_then_takes_its_backup() {
    let mut bench = Bench::new();
    bench.arm(with_backup(None), DOWN);
    bench.after(HOLD_US - 1);
    assert!(requests(&mut bench).is_empty());
    bench.after(1);
    assert_eq!(requests(&mut bench), [(RouteOp::Add, BACKUP)]);
}

#[test]
fn a_backup_with_a_session_is_used_only_while_that_is_up() {
    let mut bench = installed(Some(WATCHER));
    bench.session(DOWN);
    assert_eq!(requests(&mut bench), [(RouteOp::Delete, PRIMARY)], "both are Down");
    watcher(&mut bench, UP);
    assert_eq!(requests(&mut bench), [(RouteOp::Add, BACKUP)]);
    watcher(&mut bench, DOWN);
    assert_eq!(requests(&mut bench), [(RouteOp::Delete, BACKUP)]);
    bench.session(UP);
    watcher(&mut bench, UP);
    assert_eq!(
        requests(&mut bench),
        [(RouteOp::Add, PRIMARY)],
        "what is Up moves nothing away from a primary that is Up"
    );
}

#[test]
fn a_backup_without_an_interface_is_of_no_use_until_it_has_one_again() {
    let mut bench = installed(None);
    bench.planner.link_changed(LinkId(2), 0, bench.now);
    bench.session(DOWN);
    assert_eq!(requests(&mut bench), [(RouteOp::Delete, PRIMARY)]);
    bench.planner.link_changed(LinkId(2), 9, bench.now);
    assert_eq!(requests(&mut bench), [(RouteOp::Add, KernelRoute { interface: 9, ..BACKUP })]);
}

#[test]
fn while_the_return_to_the_primary_waits_for_the_session_to_stay_up_the_route_stays_on_its_backup() {
    let mut bench = Bench::new();
    let damping = Damping { hold_up_ms: 1_000, ..Damping::default() };
    bench.arm(|route| (route.backup, route.damping) = (Some(backup(Some(WATCHER))), damping), UP);
    watcher(&mut bench, UP);
    requests(&mut bench);
    bench.session(DOWN);
    requests(&mut bench);
    bench.session(UP);
    assert!(requests(&mut bench).is_empty());
    watcher(&mut bench, DOWN);
    assert_eq!(requests(&mut bench), [(RouteOp::Delete, BACKUP)], "the primary is not trusted yet");
    bench.after(SECOND);
    assert_eq!(requests(&mut bench), [(RouteOp::Add, PRIMARY)]);
}

#[test]
fn maintenance_and_an_admin_down_of_the_peer_that_keeps_routes_keep_the_leg_as_well() {
    let mut bench = installed(None);
    bench.planner.set_maintenance(None, true, bench.now);
    bench.session(DOWN);
    assert!(requests(&mut bench).is_empty());
    bench.planner.set_maintenance(None, false, bench.now);
    assert_eq!(requests(&mut bench), [(RouteOp::Add, BACKUP), (RouteOp::Delete, PRIMARY)]);
    let mut bench = Bench::new();
    bench.arm(|route| (route.backup, route.keep_on_peer_admin_down) = (Some(backup(None)), true), UP);
    requests(&mut bench);
    bench.session(DOWN_BY_PEER);
    assert!(requests(&mut bench).is_empty());
}

#[test]
fn a_session_of_a_backup_that_is_in_maintenance_keeps_the_route_there() {
    let mut bench = installed(Some(WATCHER));
    watcher(&mut bench, UP);
    bench.session(DOWN);
    requests(&mut bench);
    bench.planner.set_maintenance(Some(&[WATCHER]), true, bench.now);
    watcher(&mut bench, DOWN);
    assert!(requests(&mut bench).is_empty());
    bench.planner.set_maintenance(Some(&[WATCHER]), false, bench.now);
    assert_eq!(requests(&mut bench), [(RouteOp::Delete, BACKUP)]);
}

#[test]
fn a_route_that_must_stay_moves_to_its_backup_and_is_never_deleted_from_there() {
    let mut bench = Bench::new();
    bench.arm(|route| (route.backup, route.no_uninstall) = (Some(backup(Some(WATCHER))), true), UP);
    watcher(&mut bench, UP);
    requests(&mut bench);
    bench.session(DOWN);
    assert_eq!(requests(&mut bench), [(RouteOp::Add, BACKUP), (RouteOp::Delete, PRIMARY)]);
    watcher(&mut bench, DOWN);
    assert!(requests(&mut bench).is_empty());
}

#[test]
fn an_order_about_something_else_leaves_the_route_on_its_backup_and_one_without_a_backup_takes_it_away() {
    let mut bench = installed(None);
    bench.session(DOWN);
    requests(&mut bench);
    bench.arm(|route| (route.backup, route.admin_down) = (Some(backup(None)), true), DOWN);
    assert_eq!(requests(&mut bench), [(RouteOp::Delete, BACKUP)]);
    bench.arm(with_backup(None), DOWN);
    assert_eq!(requests(&mut bench), [(RouteOp::Add, BACKUP)]);
    bench.arm(|_| {}, DOWN);
    bench.after(HOLD_US);
    assert_eq!(requests(&mut bench), [(RouteOp::Delete, BACKUP)]);
}

#[test]
fn a_route_that_a_predecessor_left_is_looked_for_on_both_legs_and_adopted_where_it_is() {
    let mut bench = Bench::new();
    bench.arm(|route| (route.backup, route.adopted) = (Some(backup(None)), true), DOWN);
    let (asked, outcomes) = run(&mut bench, Some(BACKUP));
    assert_eq!(asked, [(RouteOp::None, PRIMARY), (RouteOp::None, BACKUP)]);
    assert!(outcomes.iter().all(|told| told.installed && told.leg == Leg::Backup));
    let mut bench = Bench::new();
    bench.arm(|route| (route.backup, route.adopted) = (Some(backup(None)), true), DOWN);
    let (asked, outcomes) = run(&mut bench, None);
    assert_eq!(asked, [(RouteOp::None, PRIMARY), (RouteOp::None, BACKUP)]);
    assert!(outcomes.iter().all(|told| !told.installed && told.leg == Leg::Primary));
    let mut bench = Bench::new();
    bench.arm(|route| (route.backup, route.adopted) = (Some(backup(None)), true), DOWN);
    let (asked, _) = run(&mut bench, Some(PRIMARY));
    assert_eq!(asked, [(RouteOp::None, PRIMARY), (RouteOp::Delete, BACKUP)], "a move that was interrupted left both");
}

#[test]
fn when_nobody_watches_any_more_the_route_is_withdrawn_from_its_backup_as_well() {
    let mut bench = installed(None);
    bench.session(DOWN);
    requests(&mut bench);
    assert!(bench.planner.withdraw_all(bench.now));
    assert_eq!(requests(&mut bench), [(RouteOp::Delete, BACKUP)]);
}

#[test]
fn the_time_to_leave_a_failed_path_is_counted_once_and_not_when_the_backup_fails_later() {
    let mut bench = installed(Some(WATCHER));
    watcher(&mut bench, UP);
    let began = |bench: &Bench| SessionView { conv_start: Some(Time::from_micros(bench.now.micros())), ..DOWN };
    let view = began(&bench);
    bench.session(view);
    requests(&mut bench);
    let counted = |bench: &Bench| bench.count(|counters| counters.convergence_to_down.counts().iter().sum());
    assert_eq!(counted(&bench), 1);
    watcher(&mut bench, DOWN);
    requests(&mut bench);
    assert_eq!(counted(&bench), 1);
}

#[test]
fn a_route_whose_primary_loses_its_interface_is_on_its_backup_at_once_although_its_session_is_up_and_returns() {
    for session in [None, Some(WATCHER)] {
        let mut bench = installed(session);
        watcher(&mut bench, UP);
        bench.planner.link_changed(LinkId(1), 0, bench.now);
        assert_eq!(requests(&mut bench), [(RouteOp::Add, BACKUP), (RouteOp::Delete, PRIMARY)]);
        bench.planner.link_changed(LinkId(1), 9, bench.now);
        let back = KernelRoute { interface: 9, ..PRIMARY };
        assert_eq!(requests(&mut bench), [(RouteOp::Add, back), (RouteOp::Delete, BACKUP)]);
    }
}

#[test]
fn a_route_whose_primary_has_no_interface_waits_for_it_while_its_backup_is_down() {
    let mut bench = installed(Some(WATCHER));
    bench.planner.link_changed(LinkId(1), 0, bench.now);
    assert!(!requests(&mut bench).contains(&(RouteOp::Add, BACKUP)));
    watcher(&mut bench, UP);
    assert!(requests(&mut bench).contains(&(RouteOp::Add, BACKUP)));
}

#[test]
fn a_route_on_its_way_back_is_taken_from_a_backup_that_fails_although_the_peer_has_the_primary_kept() {
    let mut bench = Bench::new();
    let arm = |route: &mut ArmedRoute| {
        route.keep_on_peer_admin_down = true;
        route.backup = Some(backup(Some(WATCHER)));
    };
    bench.arm(arm, UP);
    requests(&mut bench);
    watcher(&mut bench, UP);
    bench.session(DOWN);
    assert_eq!(requests(&mut bench), [(RouteOp::Add, BACKUP), (RouteOp::Delete, PRIMARY)]);
    bench.session(UP);
    let asked = bench.ask();
    assert_eq!((asked.0, asked.1.route), (RouteOp::Add, PRIMARY));
    watcher(&mut bench, DOWN);
    bench.session(DOWN_BY_PEER);
    bench.answer(asked, Err(RouteError::Unanswered), Presence::Absent);
    assert_eq!(requests(&mut bench), [(RouteOp::Delete, BACKUP)]);
}
