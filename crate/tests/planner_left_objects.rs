//! What becomes of next-hop objects on which routes were left that stay in the kernel.

#[path = "support/object_bench.rs"]
mod object_bench;
#[path = "support/planner_bench.rs"]
mod planner_bench;

use object_bench::{arm, bench, bench_of, disarm, held, run, with_backup};
use planner_bench::{Bench, DOWN, OTHER_HOP, ROUTE, SECOND, UP, answered};
use route_liveness::engine::SessionId;
use route_liveness::engine::stats::LinkId;
use route_liveness::routes::affected::AffectedRoutes;
use route_liveness::routes::armed::ArmedRoute;
use route_liveness::routes::kernel_route::{KernelRoute, Presence, RouteError, SystemError};
use route_liveness::routes::legs::Backup;
use route_liveness::routes::next_hop::ObjectRange;
use route_liveness::routes::object_request::ObjectOp;
use route_liveness::routes::outcome::RouteId;
use route_liveness::routes::tables::RequestOutcome;
use route_liveness::sim::{Kernel, KernelFaults, Notice, ObjectAct, RivalAct, rival_hop};

const FAILS: KernelFaults =
    KernelFaults { latency_us: 0, hang_ppm: 0, fail_ppm: 1_000_000, lose_ppm: 0, rival_ppm: 0, lie_ppm: 0 };

fn stays(route: &mut ArmedRoute) {
    route.no_uninstall = true;
}

/// What a registration after a withdrawal is: it has a session of its own.
fn anew(route: &mut ArmedRoute) {
    stays(route);
    (route.id, route.session) = (RouteId(route.id.0 + 100), SessionId(2));
}

fn objects(kernel: &Kernel) -> Vec<u32> {
    kernel.tables().objects().collect()
}

/// Routes with these numbers are registered, installed and withdrawn, and stay in the kernel.
fn left(count: u8) -> (Bench, Kernel) {
    let (mut bench, mut kernel) = bench();
    leave(&mut bench, &mut kernel, count);
    (bench, kernel)
}

fn leave(bench: &mut Bench, kernel: &mut Kernel, count: u8) {
    (1..=count).for_each(|number| arm(bench, number, stays, UP));
    run(bench, kernel);
    disarm(bench, 1..=count.into());
    run(bench, kernel);
    assert_eq!((held(kernel).len(), objects(kernel)), (count.into(), vec![10]));
}

/// The planner hears what others have done.
fn hear(bench: &mut Bench, kernel: &mut Kernel) {
    for notice in kernel.notices() {
        match notice {
            Notice::Gone(route) => bench.planner.lost(&route, bench.now),
            Notice::Taken(slot) => bench.planner.taken(&slot, bench.now),
            Notice::ObjectGone(object, by_rival) => bench.planner.object_lost(object, by_rival),
            Notice::AffectedRoutes(affected) => {
                let end = bench.planner.recheck(&affected, (SessionId(0), RouteId(0)), 100, bench.now);
                assert_eq!(end, None);
            }
        }
    }
}

fn numbered(number: u8) -> KernelRoute {
    KernelRoute { destination: [10, 9, 0, number].into(), ..ROUTE }
}

#[test]
fn an_object_goes_when_the_route_that_was_left_on_it_is_registered_again() {
    let (mut bench, mut kernel) = left(1);
    for (register, hop) in [(11, ROUTE), (12, OTHER_HOP)] {
        let again = |route: &mut ArmedRoute| {
            anew(route);
            route.id = RouteId(register);
            route.session = SessionId(register);
            route.route.next_hop = hop.next_hop;
        };
        arm(&mut bench, 1, again, UP);
        run(&mut bench, &mut kernel);
        assert_eq!(
            (held(&kernel), objects(&kernel)),
            (vec![KernelRoute { next_hop: hop.next_hop, ..numbered(1) }], vec![register])
        );
        disarm(&mut bench, register..=register);
        run(&mut bench, &mut kernel);
        assert_eq!((held(&kernel).len(), objects(&kernel)), (1, vec![register]), "it stays, with its object");
    }
}

#[test]
fn an_object_stays_while_one_of_the_routes_that_were_left_on_it_does() {
    let (mut bench, mut kernel) = left(2);
    arm(&mut bench, 1, anew, UP);
    run(&mut bench, &mut kernel);
    assert_eq!((held(&kernel), objects(&kernel)), (vec![numbered(1), numbered(2)], vec![10, 11]));
    arm(&mut bench, 2, anew, UP);
    run(&mut bench, &mut kernel);
    assert_eq!((held(&kernel), objects(&kernel)), (vec![numbered(1), numbered(2)], vec![11]));
}

#[test]
fn a_route_that_was_left_stays_with_its_object_while_the_session_of_its_next_registration_is_not_up() {
    let (mut bench, mut kernel) = left(1);
    arm(&mut bench, 1, anew, DOWN);
    run(&mut bench, &mut kernel);
    assert_eq!((held(&kernel), objects(&kernel)), (vec![numbered(1)], vec![10]));
}

#[test]
fn an_object_goes_although_the_route_on_it_that_may_have_stayed_had_gone_before() {
    let (mut bench, mut kernel) = bench();
    arm(&mut bench, 2, |_| {}, UP);
    run(&mut bench, &mut kernel);
    let (next_hop, session) = (OTHER_HOP.next_hop, Some(SessionId(9)));
    let backup = Backup { next_hop, interface: 8, link: LinkId(2), session, is_up: false };
    let of_unwatched = |route: &mut ArmedRoute| (route.no_uninstall, route.backup) = (true, Some(backup));
    arm(&mut bench, 1, of_unwatched, UP);
    let addition = bench.ask();
    // It is to lead over its backup by the time of the answer, which does not say whether it is on its primary.
    bench.planner.session_changed(SessionId(9), UP, bench.now);
    bench.session(DOWN);
    bench.answer(addition, Err(RouteError::Conflict(4)), Presence::Unknown);
    bench.planner.session_changed(SessionId(9), DOWN, bench.now);
    disarm(&mut bench, 1..=2);
    run(&mut bench, &mut kernel);
    assert_eq!((held(&kernel), objects(&kernel)), (vec![], vec![]));
}

#[test]
fn an_object_goes_that_the_kernel_had_refused_to_move_before_routes_were_left_on_it() {
    let (mut bench, mut kernel) = bench();
    let stays_with_backup = |route: &mut ArmedRoute| {
        stays(route);
        with_backup(route);
    };
    (1..=2).for_each(|number| arm(&mut bench, number, stays_with_backup, UP));
    run(&mut bench, &mut kernel);
    kernel.set_faults(FAILS);
    bench.session(DOWN);
    kernel.run(&mut bench.planner, bench.now);
    disarm(&mut bench, 1..=2);
    kernel.run(&mut bench.planner, bench.now);
    kernel.set_faults(KernelFaults::default());
    run(&mut bench, &mut kernel);
    assert_eq!(held(&kernel), [numbered(1), numbered(2)]);
    let left = objects(&kernel);
    (1..=2).for_each(|number| arm(&mut bench, number, anew, UP));
    run(&mut bench, &mut kernel);
    assert_eq!((held(&kernel), objects(&kernel).len()), (vec![numbered(1), numbered(2)], 1));
    assert!(!left.contains(&objects(&kernel)[0]));
}

#[test]
fn a_route_that_was_left_stays_when_its_object_goes_down_before_its_next_registration_was_carried_out() {
    let (mut bench, mut kernel) = bench();
    (1..=3).for_each(|number| arm(&mut bench, number, |_| {}, UP));
    arm(&mut bench, 1, stays, UP);
    run(&mut bench, &mut kernel);
    disarm(&mut bench, 1..=1);
    run(&mut bench, &mut kernel);
    kernel.set_faults(FAILS);
    arm(&mut bench, 1, stays, UP);
    (0..3).for_each(|_| drop(kernel.run(&mut bench.planner, bench.now)));
    kernel.set_faults(KernelFaults::default());
    bench.session(DOWN);
    (0..6).for_each(|_| drop(kernel.run(&mut bench.planner, bench.now)));
    assert_eq!(held(&kernel), [numbered(1)]);
}

#[test]
fn an_object_goes_when_somebody_else_deletes_the_route_that_was_left_on_it_or_puts_another_in_its_place() {
    for act in [RivalAct::Take, RivalAct::Claim] {
        let (mut bench, mut kernel) = left(1);
        let on_object = *kernel.tables().routes().next().expect("it has stayed");
        kernel.act(&on_object, act);
        hear(&mut bench, &mut kernel);
        run(&mut bench, &mut kernel);
        assert_eq!((objects(&kernel), kernel.harmed()), (vec![], 0), "{act:?}");
        assert!(held(&kernel).iter().all(|route| route.next_hop == rival_hop(route)));
    }
}

#[test]
fn an_object_goes_when_somebody_else_deletes_the_route_that_was_left_on_it_after_the_kernel_has_refused_that_to_us() {
    let (mut bench, mut kernel) = left(1);
    let on_object = *kernel.tables().routes().next().expect("it has stayed");
    arm(&mut bench, 2, anew, UP);
    run(&mut bench, &mut kernel);
    arm(&mut bench, 1, anew, UP);
    let (op, addition) = bench.ask();
    let beside = RequestOutcome { replaced: Some(on_object), ..answered(Ok(()), Presence::Present) };
    bench.planner.report(op, &[addition], [beside], bench.now);
    let deletion = bench.ask();
    assert_eq!(deletion.1.route, on_object);
    bench.answer(deletion, Err(RouteError::System(SystemError(1))), Presence::Present);
    kernel.list(&mut bench.planner, bench.now);
    assert_eq!(objects(&kernel), [10, 11]);
    kernel.act(&on_object, RivalAct::Take);
    hear(&mut bench, &mut kernel);
    run(&mut bench, &mut kernel);
    assert_eq!(objects(&kernel), [11]);
}

#[test]
fn an_object_goes_when_the_kernel_drops_the_route_that_was_left_on_it_without_a_notice() {
    let (mut bench, mut kernel) = left(1);
    kernel.flush(AffectedRoutes { sources: vec![ROUTE.source], ..AffectedRoutes::default() });
    assert_eq!((held(&kernel), objects(&kernel)), (vec![], vec![10]));
    hear(&mut bench, &mut kernel);
    run(&mut bench, &mut kernel);
    assert_eq!(objects(&kernel), []);
}

#[test]
fn an_object_stays_on_which_somebody_else_has_put_a_route() {
    let (mut bench, mut kernel) = left(1);
    let theirs = KernelRoute { protocol: 4, object: 10, ..numbered(77) };
    kernel.leave(&theirs);
    arm(&mut bench, 1, anew, UP);
    run(&mut bench, &mut kernel);
    assert_eq!((held(&kernel).len(), objects(&kernel), kernel.harmed()), (2, vec![10, 11], 0));
}

#[test]
fn an_object_that_somebody_else_has_made_his_own_stays() {
    let (mut bench, mut kernel) = left(1);
    kernel.act_on_object(10, ObjectAct::Replace);
    hear(&mut bench, &mut kernel);
    arm(&mut bench, 1, anew, UP);
    run(&mut bench, &mut kernel);
    assert!(objects(&kernel).contains(&10));
    assert_eq!(kernel.harmed(), 0);
}

#[test]
fn an_object_that_could_not_be_deleted_at_once_is_deleted_later() {
    let (mut bench, mut kernel) = left(1);
    arm(&mut bench, 1, anew, UP);
    for _ in 0..10 {
        kernel.run(&mut bench.planner, bench.now);
    }
    assert_eq!(objects(&kernel), [10, 11], "nobody has listed the objects yet");
    kernel.set_faults(FAILS);
    kernel.list(&mut bench.planner, bench.now);
    kernel.set_faults(KernelFaults::default());
    bench.after(SECOND);
    kernel.list(&mut bench.planner, bench.now);
    assert_eq!(objects(&kernel), [10, 11], "it is tried again after a while");
    run(&mut bench, &mut kernel);
    assert_eq!((objects(&kernel), bench.planner.poll_deadline()), (vec![11], None));
}

#[test]
fn a_route_that_stays_does_not_go_with_those_of_another_session_though_there_is_no_other_number() {
    let mut bench = bench_of(ObjectRange { first: 10, last: 10 }.into());
    let mut kernel = object_bench::bench().1;
    leave(&mut bench, &mut kernel, 1);
    let of_other = |route: &mut ArmedRoute| route.session = SessionId(2);
    (2..=3).for_each(|number| arm(&mut bench, number, of_other, UP));
    run(&mut bench, &mut kernel);
    assert_eq!(held(&kernel), [numbered(1)], "the number of its object is given to no other");
    bench.planner.session_changed(SessionId(2), DOWN, bench.now);
    run(&mut bench, &mut kernel);
    assert_eq!((held(&kernel), objects(&kernel)), (vec![numbered(1)], vec![10]));
}

#[test]
fn the_number_of_an_object_that_was_left_is_free_when_somebody_else_has_deleted_it() {
    let mut bench = bench_of(ObjectRange { first: 10, last: 10 }.into());
    let mut kernel = object_bench::bench().1;
    leave(&mut bench, &mut kernel, 1);
    kernel.act_on_object(10, ObjectAct::Delete);
    hear(&mut bench, &mut kernel);
    run(&mut bench, &mut kernel);
    arm(&mut bench, 2, |_| {}, UP);
    run(&mut bench, &mut kernel);
    assert_eq!((held(&kernel), objects(&kernel)), (vec![numbered(2)], vec![10]));
}

#[test]
fn routes_go_with_their_object_again_when_the_one_among_them_that_was_left_is_registered_again() {
    let (mut bench, mut kernel) = bench();
    (1..=3).for_each(|number| arm(&mut bench, number, stays, UP));
    run(&mut bench, &mut kernel);
    disarm(&mut bench, 1..=1);
    run(&mut bench, &mut kernel);
    (1..=3).for_each(|number| arm(&mut bench, number, |_| {}, UP));
    run(&mut bench, &mut kernel);
    assert_eq!((held(&kernel).len(), objects(&kernel)), (3, vec![10]));
    bench.session(DOWN);
    let batch = bench.planner.pick(bench.now);
    let asked: Vec<(ObjectOp, u32)> = batch.objects.iter().map(|request| (request.op, request.id)).collect();
    assert_eq!((asked, batch.deletes.len()), (vec![(ObjectOp::Delete, 10)], 0));
}

#[test]
fn routes_go_one_by_one_while_a_route_that_was_left_may_be_on_their_object() {
    let (mut bench, mut kernel) = bench();
    arm(&mut bench, 1, stays, UP);
    (2..=3).for_each(|number| arm(&mut bench, number, |_| {}, UP));
    run(&mut bench, &mut kernel);
    disarm(&mut bench, 1..=1);
    run(&mut bench, &mut kernel);
    bench.session(DOWN);
    run(&mut bench, &mut kernel);
    assert_eq!((held(&kernel), objects(&kernel)), (vec![numbered(1)], vec![10]));
}
