//! What becomes of next-hop objects that a predecessor has made, on which routes of other sessions may be.

#[path = "support/object_bench.rs"]
mod object_bench;
#[path = "support/planner_bench.rs"]
mod planner_bench;

use object_bench::{arm, bench, bench_from, disarm, held, run, with_backup};
use planner_bench::{Bench, DOWN, OTHER_HOP, ROUTE, UP};
use route_liveness::engine::SessionId;
use route_liveness::engine::stats::LinkId;
use route_liveness::routes::armed::{ArmedRoute, SessionView};
use route_liveness::routes::kernel_route::KernelRoute;
use route_liveness::routes::legs::Backup;
use route_liveness::routes::object_request::ObjectOp;
use route_liveness::sim::{Kernel, KernelFaults, Notice, RivalAct};

const ONE: SessionId = SessionId(1);
const TWO: SessionId = SessionId(2);

fn numbered(number: u8) -> KernelRoute {
    KernelRoute { destination: [10, 9, 0, number].into(), ..ROUTE }
}

fn of(session: SessionId, adopted: bool) -> impl Fn(&mut ArmedRoute) {
    move |route| {
        with_backup(route);
        (route.session, route.adopted) = (session, adopted);
    }
}

fn change(bench: &mut Bench, session: SessionId, view: SessionView) {
    bench.planner.session_changed(session, view, bench.now);
}

/// A successor, and what its predecessor has left: two routes of each of two sessions with one next hop, on an object of each session.
fn left() -> (Bench, Kernel) {
    let (mut predecessor, mut kernel) = bench();
    (1..=2).for_each(|number| arm(&mut predecessor, number, of(ONE, false), UP));
    (3..=4).for_each(|number| arm(&mut predecessor, number, of(TWO, false), UP));
    run(&mut predecessor, &mut kernel);
    let objects: Vec<u32> = kernel.tables().routes().map(|route| route.object).collect();
    assert!(objects[0] == objects[1] && objects[2] == objects[3] && objects[0] != objects[2]);
    (bench().0, kernel)
}

/// Answers what is asked of the kernel without delay, and lists nothing.
fn ask(bench: &mut Bench, kernel: &mut Kernel) {
    (0..20).for_each(|_| drop(kernel.run(&mut bench.planner, bench.now)));
}

/// The second session is registered first, and is given the object of the other one. What is on that is listed, or not yet.
fn registered_in_another_order(register: impl Fn(&mut ArmedRoute), is_listed: bool) -> (Bench, Kernel) {
    let (mut bench, mut kernel) = left();
    (3..=4).for_each(|number| arm(&mut bench, number, &register, UP));
    ask(&mut bench, &mut kernel);
    assert_eq!(held(&kernel), [numbered(1), numbered(2), numbered(3), numbered(4)]);
    let mut objects: Vec<u32> = kernel.tables().routes().map(|route| route.object).collect();
    objects.dedup();
    assert_eq!(objects.len(), 1);
    if is_listed {
        run(&mut bench, &mut kernel);
    }
    (bench, kernel)
}

/// What the planner asks about objects when a session goes Down.
fn asked_at_down(bench: &mut Bench, session: SessionId) -> Vec<ObjectOp> {
    change(bench, session, DOWN);
    bench.planner.pick(bench.now).objects.iter().map(|request| request.op).collect()
}

#[test]
fn routes_do_not_move_with_those_of_another_session_that_was_given_their_object() {
    for is_listed in [false, true] {
        let (mut bench, mut kernel) = registered_in_another_order(of(TWO, false), is_listed);
        change(&mut bench, TWO, DOWN);
        ask(&mut bench, &mut kernel);
        assert_eq!(held(&kernel)[..2], [numbered(1), numbered(2)]);
        assert!(held(&kernel)[2..].iter().all(|route| route.next_hop != ROUTE.next_hop), "they are on their backup");
    }
}

#[test]
fn routes_do_not_go_with_those_of_another_session_that_was_given_their_object() {
    for is_listed in [false, true] {
        let (mut bench, mut kernel) = registered_in_another_order(|route| route.session = TWO, is_listed);
        change(&mut bench, TWO, DOWN);
        ask(&mut bench, &mut kernel);
        assert_eq!(held(&kernel), [numbered(1), numbered(2)]);
    }
}

#[test]
fn routes_stay_when_those_of_another_session_that_was_given_their_object_are_withdrawn() {
    for is_listed in [false, true] {
        let (mut bench, mut kernel) = registered_in_another_order(of(TWO, false), is_listed);
        disarm(&mut bench, 3..=4);
        ask(&mut bench, &mut kernel);
        assert_eq!(held(&kernel), [numbered(1), numbered(2)]);
        run(&mut bench, &mut kernel);
        assert_eq!(held(&kernel), [numbered(1), numbered(2)]);
    }
}

#[test]
fn routes_that_have_moved_to_their_own_object_during_the_listing_do_not_keep_others_from_moving_as_one() {
    let (mut bench, mut kernel) = left();
    let listed: Vec<KernelRoute> = kernel.tables().routes().copied().collect();
    (3..=4).for_each(|number| arm(&mut bench, number, of(TWO, false), UP));
    (1..=2).for_each(|number| arm(&mut bench, number, of(ONE, false), UP));
    (0..2).for_each(|_| drop(kernel.run(&mut bench.planner, bench.now)));
    let objects = bench.planner.inherited_objects();
    assert_eq!((objects.len(), listed.len()), (2, 4));
    ask(&mut bench, &mut kernel);
    bench.planner.inherited_routes_listed(&listed);
    bench.planner.inherited_objects_listed(&objects, Ok(()), bench.now);
    for session in [ONE, TWO] {
        assert_eq!(asked_at_down(&mut bench, session), [ObjectOp::Move]);
    }
}

#[test]
fn routes_go_and_move_as_one_again_when_those_of_the_other_session_are_on_their_own_object() {
    let (mut bench, mut kernel) = registered_in_another_order(of(TWO, false), true);
    (1..=2).for_each(|number| arm(&mut bench, number, of(ONE, true), UP));
    run(&mut bench, &mut kernel);
    assert_eq!(held(&kernel), [numbered(1), numbered(2), numbered(3), numbered(4)]);
    assert_eq!(asked_at_down(&mut bench, TWO), [ObjectOp::Move]);
}

#[test]
fn routes_that_were_registered_in_the_same_order_move_as_one_once_a_listing_has_shown_what_is_on_their_object() {
    let (mut bench, mut kernel) = left();
    (1..=2).for_each(|number| arm(&mut bench, number, of(ONE, true), UP));
    for _ in 0..10 {
        kernel.run(&mut bench.planner, bench.now);
        kernel.list(&mut bench.planner, bench.now);
    }
    assert_eq!(asked_at_down(&mut bench, ONE), [ObjectOp::Move]);
}

#[test]
fn routes_that_were_not_looked_for_before_the_listing_go_as_one_once_they_are() {
    let (mut bench, mut kernel) = left();
    arm(&mut bench, 1, |route| (route.no_uninstall, route.admin_down) = (true, true), UP);
    arm(&mut bench, 2, |_| {}, UP);
    run(&mut bench, &mut kernel);
    arm(&mut bench, 1, |route| route.adopted = true, UP);
    run(&mut bench, &mut kernel);
    assert_eq!(held(&kernel).len(), 4);
    assert_eq!(asked_at_down(&mut bench, ONE), [ObjectOp::Delete]);
}

#[test]
fn a_route_that_is_never_deleted_and_was_not_looked_for_does_not_go_with_others_of_its_session() {
    let (mut predecessor, mut kernel) = bench();
    (1..=3).for_each(|number| arm(&mut predecessor, number, |_| {}, UP));
    run(&mut predecessor, &mut kernel);
    let (mut bench, _) = bench();
    arm(&mut bench, 1, |route| (route.no_uninstall, route.admin_down) = (true, true), UP);
    (2..=3).for_each(|number| arm(&mut bench, number, |_| {}, UP));
    run(&mut bench, &mut kernel);
    change(&mut bench, ONE, DOWN);
    run(&mut bench, &mut kernel);
    assert_eq!(held(&kernel), [numbered(1)]);
}

#[test]
fn routes_on_an_object_that_is_being_taken_over_do_not_move_when_those_of_another_session_are_to_move_to_it() {
    let (mut predecessor, mut kernel) = bench();
    (1..=2).for_each(|number| arm(&mut predecessor, number, |route| route.route.next_hop = OTHER_HOP.next_hop, UP));
    run(&mut predecessor, &mut kernel);
    let mut bench = bench_from(9);
    let to_other = |route: &mut ArmedRoute| {
        route.session = TWO;
        route.backup =
            Some(Backup { next_hop: OTHER_HOP.next_hop, interface: 7, link: LinkId(1), session: None, is_up: false });
    };
    (3..=4).for_each(|number| arm(&mut bench, number, to_other, UP));
    run(&mut bench, &mut kernel);
    // One whose session flaps waits on its backup, whose object is asked for.
    let damped = |route: &mut ArmedRoute| {
        to_other(route);
        route.damping.hold_up_ms = 3_000;
    };
    arm(&mut bench, 5, damped, DOWN);
    change(&mut bench, TWO, SessionView { flapped: true, ..UP });
    kernel.run(&mut bench.planner, bench.now);
    change(&mut bench, TWO, DOWN);
    ask(&mut bench, &mut kernel);
    change(&mut bench, TWO, UP);
    run(&mut bench, &mut kernel);
    assert_eq!(held(&kernel).iter().filter(|route| route.next_hop == OTHER_HOP.next_hop).count(), 2);
    assert!(held(&kernel)[..2].iter().all(|route| route.next_hop == OTHER_HOP.next_hop), "{:?}", held(&kernel));
}

#[test]
fn routes_that_nobody_has_registered_stay_on_the_object_of_others_and_these_move_as_one_when_they_were_deleted() {
    for is_swept in [false, true] {
        let (mut predecessor, mut kernel) = bench();
        (1..=3).for_each(|number| arm(&mut predecessor, number, of(ONE, false), UP));
        run(&mut predecessor, &mut kernel);
        let (mut bench, _) = bench();
        (1..=2).for_each(|number| arm(&mut bench, number, of(ONE, true), UP));
        run(&mut bench, &mut kernel);
        if is_swept {
            let unwanted = *kernel.tables().routes().nth(2).expect("nobody has registered it");
            kernel.act(&unwanted, RivalAct::Take);
            let notices = kernel.notices();
            let [Notice::Gone(gone)] = notices[..] else { panic!("{notices:?}") };
            bench.planner.lost(&gone, bench.now);
            assert_eq!(asked_at_down(&mut bench, ONE), [ObjectOp::Move]);
        } else {
            change(&mut bench, ONE, DOWN);
            run(&mut bench, &mut kernel);
            assert!(held(&kernel)[..2].iter().all(|route| route.next_hop != ROUTE.next_hop));
            assert_eq!(held(&kernel)[2..], [numbered(3)]);
        }
    }
}

#[test]
fn what_is_on_an_object_is_listed_again_where_the_listing_failed() {
    let (mut bench, mut kernel) = left();
    (1..=2).for_each(|number| arm(&mut bench, number, of(ONE, false), UP));
    (0..10).for_each(|_| drop(kernel.run(&mut bench.planner, bench.now)));
    kernel.set_faults(KernelFaults { fail_ppm: 1_000_000, ..KernelFaults::default() });
    kernel.list(&mut bench.planner, bench.now);
    kernel.set_faults(KernelFaults::default());
    assert!(!bench.planner.has_questions());
    run(&mut bench, &mut kernel);
    assert_eq!((asked_at_down(&mut bench, ONE), bench.planner.poll_deadline()), (vec![ObjectOp::Move], None));
}
