//! What becomes of routes whose object the kernel refuses to move, or does not delete them from.

#[path = "support/object_bench.rs"]
mod object_bench;
#[path = "support/planner_bench.rs"]
mod planner_bench;

use object_bench::{arm, bench, hear, held, on_primary, run, with_backup};
use planner_bench::{Bench, DOWN, OTHER_HOP, UP, answered};
use route_liveness::routes::armed::{ArmedRoute, SessionView};
use route_liveness::routes::damping::Damping;
use route_liveness::routes::kernel_route::{Presence, RouteError, SystemError};
use route_liveness::routes::object_request::ObjectAnswer;
use route_liveness::routes::outcome::{RouteId, RouteOp};
use route_liveness::sim::{Kernel, ObjectAct};

/// Two routes on their primary, whose session goes Down: the kernel refuses to move their object to their backup.
fn refused_move(change: impl Fn(&mut ArmedRoute)) -> (Bench, Kernel) {
    let (mut bench, mut kernel) = bench();
    refuse_move(&mut bench, &mut kernel, change, |_, _, _| ());
    (bench, kernel)
}

/// As `refused_move`; something else happens before the kernel answers.
fn refuse_move(
    bench: &mut Bench,
    kernel: &mut Kernel,
    change: impl Fn(&mut ArmedRoute),
    meanwhile: impl FnOnce(&mut Bench, &mut Kernel, u32),
) {
    for number in [1, 2] {
        let changed = |route: &mut ArmedRoute| {
            with_backup(route);
            change(route);
        };
        arm(bench, number, changed, UP);
    }
    run(bench, kernel);
    assert_eq!(on_primary(kernel), 2);
    bench.session(DOWN);
    let batch = bench.planner.pick(bench.now);
    let [request] = &batch.objects[..] else { panic!("{batch:?}") };
    meanwhile(bench, kernel, request.id);
    let answer = ObjectAnswer::Failed(RouteError::System(SystemError::NO_DEVICE));
    let concerned = bench.planner.object_answered(request, answer, bench.now);
    let some = concerned.portions(10).next().unwrap_or_else(|| panic!("{batch:?}"));
    let told = bench.planner.object_routes_answered(request, answer, some, bench.now);
    assert!(told.iter().all(|outcome| outcome.result.is_err()));
}

#[test]
fn an_object_that_could_not_be_moved_is_moved_although_the_next_that_is_told_of_its_route_is_no_failure() {
    let damping = Damping { hold_up_ms: 600_000, ..Damping::default() };
    let (mut bench, mut kernel) = refused_move(|route| route.damping = damping);
    // The session comes Up and is suppressed: that is told, and ends the wait for another attempt.
    bench.session(SessionView { flapped: true, ..UP });
    run(&mut bench, &mut kernel);
    assert_eq!(held(&kernel).iter().map(|route| route.next_hop).collect::<Vec<_>>(), [OTHER_HOP.next_hop; 2]);
}

#[test]
fn an_object_that_could_not_be_moved_is_moved_when_its_route_is_armed_again() {
    let (mut bench, mut kernel) = refused_move(|_| ());
    // Another attempt, which keeps to the generation that failed, changes nothing any more.
    arm(&mut bench, 1, with_backup, DOWN);
    run(&mut bench, &mut kernel);
    assert_eq!(held(&kernel).iter().map(|route| route.next_hop).collect::<Vec<_>>(), [OTHER_HOP.next_hop; 2]);
}

#[test]
fn an_object_that_somebody_makes_his_own_while_the_kernel_is_asked_to_move_it_is_not_moved() {
    let (mut bench, mut kernel) = bench();
    let mut theirs = None;
    let make_his_own = |bench: &mut Bench, kernel: &mut Kernel, object: u32| {
        kernel.act_on_object(object, ObjectAct::Replace);
        hear(bench, kernel);
        theirs = Some((object, kernel.tables().object(object)));
    };
    refuse_move(&mut bench, &mut kernel, |_| (), make_his_own);
    bench.planner.retry(RouteId(1), 1, bench.now);
    run(&mut bench, &mut kernel);
    let (object, made) = theirs.expect("somebody made it");
    assert_eq!(kernel.tables().object(object), made);
    let on_backup = held(&kernel).into_iter().filter(|route| route.next_hop == OTHER_HOP.next_hop);
    assert_eq!(on_backup.count(), 2, "on another object");
}

#[test]
fn a_route_whose_deletion_failed_while_its_object_was_to_be_moved_is_deleted_when_that_has_moved() {
    let (mut bench, mut kernel) = refused_move(|_| ());
    let out_of_service = |route: &mut ArmedRoute| {
        with_backup(route);
        route.admin_down = true;
    };
    for number in [1, 2] {
        arm(&mut bench, number, out_of_service, DOWN);
    }
    let moves = bench.planner.pick(bench.now).objects;
    let deletes = bench.planner.pick(bench.now).deletes;
    assert_eq!((moves.len(), deletes.len()), (1, 2));
    let failed = answered(Err(RouteError::Unanswered), Presence::Present);
    bench.planner.report(RouteOp::Delete, &deletes, [failed, failed], bench.now);
    // That it has moved is told, and ends the wait for another attempt to delete.
    let concerned = bench.planner.object_answered(&moves[0], ObjectAnswer::Done, bench.now);
    for some in concerned.portions(10) {
        bench.planner.object_routes_answered(&moves[0], ObjectAnswer::Done, some, bench.now);
    }
    run(&mut bench, &mut kernel);
    assert_eq!(held(&kernel), []);
}
