//! What becomes of routes on next-hop objects in a simulated kernel.

#[path = "support/object_bench.rs"]
mod object_bench;
#[path = "support/planner_bench.rs"]
mod planner_bench;

use std::net::{IpAddr, Ipv4Addr};

use object_bench::{arm, bench, bench_from, disarm, hear, held, on_primary, run, with_backup};
use planner_bench::{Bench, DOWN, OTHER_HOP, ROUTE, UP};
use route_liveness::engine::SessionId;
use route_liveness::engine::stats::LinkId;
use route_liveness::routes::armed::{ArmedRoute, HOLD_US, Question, SessionView};
use route_liveness::routes::damping::Damping;
use route_liveness::routes::kernel_route::{KernelRoute, Occupant, Presence, RouteError, SystemError};
use route_liveness::routes::legs::Backup;
use route_liveness::routes::object_request::ObjectAnswer;
use route_liveness::routes::outcome::{RouteId, RouteOp};
use route_liveness::sim::{Kernel, KernelFaults, ObjectAct, RivalAct, rival_hop};

/// The kernel refuses the one object that the planner asks for.
fn refuse_object(bench: &mut Bench) {
    let batch = bench.planner.pick(bench.now);
    let [request] = &batch.objects[..] else { panic!("{batch:?}") };
    let answer = ObjectAnswer::Failed(RouteError::System(SystemError::NO_DEVICE));
    assert!(bench.planner.object_answered(request, answer, bench.now).routes.is_empty());
}

const ONE: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 9, 0, 1));

#[test]
fn a_route_that_must_stay_keeps_its_object_when_its_registration_ends() {
    let (mut bench, mut kernel) = bench();
    bench.arm(|route| route.no_uninstall = true, UP);
    run(&mut bench, &mut kernel);
    bench.disarm(true);
    run(&mut bench, &mut kernel);
    assert_eq!(held(&kernel), [ROUTE]);
    assert_eq!(kernel.tables().objects().count(), 1);
}

#[test]
fn an_object_goes_with_the_last_route_that_is_deleted() {
    let (mut bench, mut kernel) = bench();
    bench.arm(|_| {}, UP);
    run(&mut bench, &mut kernel);
    assert_eq!((held(&kernel), kernel.tables().objects().count()), (vec![ROUTE], 1));
    bench.disarm(true);
    run(&mut bench, &mut kernel);
    assert_eq!((held(&kernel), kernel.tables().objects().count()), (vec![], 0));
}

#[test]
fn a_replaced_route_keeps_its_object_until_the_new_one_is_there() {
    let (mut bench, mut kernel) = bench();
    bench.arm(|_| {}, UP);
    run(&mut bench, &mut kernel);
    bench.arm(|route| route.route = OTHER_HOP, DOWN);
    kernel.run(&mut bench.planner, bench.now);
    kernel.run(&mut bench.planner, bench.now);
    assert_eq!(held(&kernel), [ROUTE]);
    bench.session(UP);
    run(&mut bench, &mut kernel);
    assert_eq!((held(&kernel), kernel.tables().objects().count()), (vec![OTHER_HOP], 1));
}

#[test]
fn a_route_that_a_predecessor_left_on_no_object_is_found_and_goes_when_its_session_does_not_come_up() {
    let (mut bench, mut kernel) = bench();
    kernel.leave(&ROUTE);
    bench.arm(|route| route.adopted = true, DOWN);
    kernel.run(&mut bench.planner, bench.now);
    assert_eq!(held(&kernel), [ROUTE]);
    run(&mut bench, &mut kernel);
    assert_eq!(held(&kernel), []);
}

#[test]
fn a_route_without_a_backup_leads_its_own_way_after_the_objects_of_others_of_its_session_have_exchanged_theirs() {
    let (mut bench, mut kernel) = bench();
    arm(&mut bench, 1, |_| {}, UP);
    (2..=3).for_each(|number| arm(&mut bench, number, with_backup, UP));
    run(&mut bench, &mut kernel);
    assert_eq!((held(&kernel).len(), on_primary(&kernel)), (3, 3));
    bench.session(DOWN);
    run(&mut bench, &mut kernel);
    assert_eq!((held(&kernel).len(), on_primary(&kernel)), (2, 0), "one has no backup");
    bench.session(UP);
    run(&mut bench, &mut kernel);
    assert_eq!((held(&kernel).len(), on_primary(&kernel)), (3, 3));
    disarm(&mut bench, 1..=3);
    run(&mut bench, &mut kernel);
    assert_eq!((held(&kernel), kernel.tables().objects().count()), (vec![], 0));
}

#[test]
fn a_successor_finds_out_what_the_objects_of_its_predecessor_lead_over() {
    let (mut predecessor, mut kernel) = bench();
    (1..=2).for_each(|number| arm(&mut predecessor, number, with_backup, UP));
    run(&mut predecessor, &mut kernel);
    // They move as one, by an exchange of what two objects lead over.
    predecessor.session(DOWN);
    run(&mut predecessor, &mut kernel);
    assert_eq!((held(&kernel).len(), on_primary(&kernel)), (2, 0));
    let (mut successor, _) = bench();
    let adopted = |route: &mut ArmedRoute| {
        with_backup(route);
        route.adopted = true;
    };
    (1..=2).for_each(|number| arm(&mut successor, number, adopted, UP));
    run(&mut successor, &mut kernel);
    assert_eq!((held(&kernel).len(), on_primary(&kernel)), (2, 2), "its numbers are the same, and lead elsewhere");
}

/// Answers a question with a listing from before the object went that the route hung on: the route is made again.
fn listed_too_late(bench: &mut Bench, kernel: &mut Kernel, question: &Question) {
    kernel.run(&mut bench.planner, bench.now);
    kernel.run(&mut bench.planner, bench.now);
    bench.planner.listed(question, true, Occupant::Nobody, bench.now);
    run(bench, kernel);
    assert_eq!(held(kernel), [ROUTE]);
}

#[test]
fn a_listing_from_before_an_object_went_does_not_say_that_its_route_is_there() {
    let (mut bench, mut kernel) = bench();
    bench.arm(|_| {}, UP);
    run(&mut bench, &mut kernel);
    bench.planner.taken(&ROUTE.slot(), bench.now);
    let look = bench.ask();
    bench.answer(look, Ok(()), Presence::Unknown);
    let question = bench.planner.questions().remove(0);
    kernel.act_on_object(10, ObjectAct::Delete);
    hear(&mut bench, &mut kernel);
    listed_too_late(&mut bench, &mut kernel, &question);
}

#[test]
fn a_listing_from_before_an_object_went_does_not_say_that_a_route_is_there_whose_slot_was_occupied() {
    let (mut bench, mut kernel) = bench();
    bench.arm(|_| {}, UP);
    let batch = bench.planner.pick(bench.now);
    bench.planner.object_answered(&batch.objects[0], ObjectAnswer::Done, bench.now);
    let addition = bench.ask();
    bench.answer(addition, Err(RouteError::Occupied), Presence::Absent);
    let question = bench.planner.questions().remove(0);
    bench.planner.object_lost(10, true);
    listed_too_late(&mut bench, &mut kernel, &question);
}

#[test]
fn a_listing_from_before_an_object_was_deleted_does_not_say_that_its_routes_are_there() {
    let (mut bench, mut kernel) = bench();
    let with_priority = |route: &mut ArmedRoute| route.route.priority = 5;
    (1..=2).for_each(|number| arm(&mut bench, number, with_priority, UP));
    run(&mut bench, &mut kernel);
    let slot = KernelRoute { destination: ONE, priority: 5, ..ROUTE }.slot();
    bench.planner.taken(&slot, bench.now);
    let look = bench.ask();
    bench.answer(look, Ok(()), Presence::Unknown);
    let question = bench.planner.questions().remove(0);
    bench.session(DOWN);
    kernel.run(&mut bench.planner, bench.now);
    kernel.run(&mut bench.planner, bench.now);
    assert_eq!((held(&kernel), kernel.tables().objects().count()), (vec![], 0));
    bench.session(UP);
    assert!(bench.planner.listed(&question, true, Occupant::Nobody, bench.now).is_none());
    run(&mut bench, &mut kernel);
    assert_eq!(held(&kernel).len(), 2);
}

#[test]
fn an_object_that_somebody_else_makes_his_own_keeps_no_route_of_ours() {
    let (mut bench, mut kernel) = bench();
    bench.arm(|_| {}, UP);
    run(&mut bench, &mut kernel);
    let object = kernel.tables().objects().next().unwrap();
    kernel.act_on_object(object, ObjectAct::Replace);
    assert_ne!(held(&kernel), [ROUTE]);
    hear(&mut bench, &mut kernel);
    bench.session(DOWN);
    run(&mut bench, &mut kernel);
    assert_eq!((held(&kernel), kernel.harmed()), (vec![], 0));
    bench.session(UP);
    run(&mut bench, &mut kernel);
    assert_eq!((held(&kernel), kernel.harmed()), (vec![ROUTE], 0));
}

#[test]
fn a_route_that_is_left_on_a_higher_number_is_found_whether_the_lower_one_is_taken_or_free() {
    for is_free in [false, true] {
        let (mut predecessor, mut kernel) = bench();
        predecessor.arm(|_| {}, UP);
        run(&mut predecessor, &mut kernel);
        let object = kernel.tables().objects().next().unwrap();
        kernel.act_on_object(object, ObjectAct::Replace);
        hear(&mut predecessor, &mut kernel);
        run(&mut predecessor, &mut kernel);
        assert_eq!((held(&kernel), kernel.tables().objects().count()), (vec![ROUTE], 2));
        if is_free {
            kernel.act_on_object(object, ObjectAct::Delete);
        }
        let (mut successor, _) = bench();
        successor.arm(|route| route.adopted = true, DOWN);
        run(&mut successor, &mut kernel);
        assert_eq!((held(&kernel), kernel.harmed()), (vec![], 0), "its session has not come Up: {is_free}");
    }
}

#[test]
fn an_object_stays_while_a_route_that_moves_to_its_backup_is_not_there_yet() {
    let (mut bench, mut kernel) = bench();
    (1..=2).for_each(|number| arm(&mut bench, number, |_| {}, UP));
    arm(&mut bench, 3, with_backup, UP);
    run(&mut bench, &mut kernel);
    bench.session(DOWN);
    for _ in 0..60 {
        bench.after(planner_bench::SECOND);
        kernel.run(&mut bench.planner, bench.now);
        let number: IpAddr = [10, 9, 0, 3].into();
        assert!(held(&kernel).iter().any(|route| route.destination == number), "there is no moment without it");
    }
    assert_eq!((held(&kernel).len(), on_primary(&kernel)), (1, 0));
}

#[test]
fn a_successor_deletes_the_leg_that_its_predecessor_was_about_to_leave_whatever_number_it_hangs_on() {
    let (mut predecessor, mut kernel) = bench();
    arm(&mut predecessor, 9, |route| route.session = SessionId(9), UP);
    arm(&mut predecessor, 1, with_backup, UP);
    predecessor.planner.session_changed(SessionId(9), UP, predecessor.now);
    run(&mut predecessor, &mut kernel);
    predecessor.session(DOWN);
    let slot_of_one = |kernel: &Kernel| held(kernel).iter().filter(|route| route.destination == ONE).count();
    while slot_of_one(&kernel) < 2 {
        kernel.run(&mut predecessor.planner, predecessor.now);
    }
    kernel.abandon();
    let (mut successor, _) = bench();
    let adopted = |route: &mut ArmedRoute| {
        with_backup(route);
        route.adopted = true;
    };
    arm(&mut successor, 1, adopted, UP);
    run(&mut successor, &mut kernel);
    assert_eq!((slot_of_one(&kernel), on_primary(&kernel)), (1, 2));
}

#[test]
fn an_adopted_route_on_no_object_is_told_as_installed_and_is_on_ours_before_its_session_is_up() {
    let (mut bench, mut kernel) = bench();
    kernel.leave(&ROUTE);
    bench.arm(|route| route.adopted = true, DOWN);
    let mut told = Vec::new();
    for _ in 0..10 {
        told.extend(kernel.run(&mut bench.planner, bench.now));
        told.extend(kernel.list(&mut bench.planner, bench.now));
        assert!(held(&kernel).contains(&ROUTE), "there is no moment without it");
    }
    assert!(!told.is_empty() && told.iter().all(|outcome| outcome.installed && outcome.result.is_ok()), "{told:?}");
    let held: Vec<KernelRoute> = kernel.tables().routes().copied().collect();
    assert_eq!(held, [KernelRoute { object: 10, ..ROUTE }]);
    run(&mut bench, &mut kernel);
    assert_eq!(kernel.tables().routes().count(), 0, "its session did not come Up");
    assert_eq!(bench.count(|counters| counters.installed), 0);
}

#[test]
fn an_adopted_route_that_cannot_move_to_our_object_yet_is_told_as_installed_where_it_is_and_moves_when_it_can() {
    let (mut bench, mut kernel) = bench();
    kernel.leave(&ROUTE);
    kernel.set_faults(KernelFaults { fail_ppm: 1_000_000, ..KernelFaults::default() });
    bench.arm(|route| route.adopted = true, UP);
    let mut told = Vec::new();
    let mut turn = |bench: &mut Bench, kernel: &mut Kernel| {
        told.extend(kernel.run(&mut bench.planner, bench.now));
        kernel.set_faults(KernelFaults::default());
        told.extend(kernel.list(&mut bench.planner, bench.now));
        kernel.set_faults(KernelFaults { fail_ppm: 1_000_000, ..KernelFaults::default() });
        bench.now = bench.now.plus(1_000);
    };
    (0..20).for_each(|_| turn(&mut bench, &mut kernel));
    let failed: Vec<_> = told.iter().filter(|outcome| outcome.result.is_err()).collect();
    assert!(!failed.is_empty() && failed.iter().all(|outcome| outcome.installed), "{told:?}");
    assert_eq!(held(&kernel), [ROUTE]);
    kernel.set_faults(KernelFaults::default());
    run(&mut bench, &mut kernel);
    let held: Vec<KernelRoute> = kernel.tables().routes().copied().collect();
    assert_eq!(held, [KernelRoute { object: 10, ..ROUTE }]);
}

#[test]
fn a_route_that_is_not_there_keeps_to_its_next_hop_when_others_of_its_session_move_with_their_object() {
    let (mut bench, mut kernel) = bench();
    let hop = |last| IpAddr::from([10, 0, 0, last]);
    let backup = |last| Backup { next_hop: hop(last), interface: 7, link: LinkId(1), session: None, is_up: false };
    // Two are out of service: one with another backup, and one with none.
    for (id, last, admin_down) in [(1, Some(8), false), (2, Some(8), false), (3, Some(9), true), (4, None, true)] {
        let priority = 100 + id;
        let change = |route: &mut ArmedRoute| {
            (route.id, route.route) = (RouteId(id), KernelRoute { priority, ..ROUTE });
            (route.admin_down, route.backup) = (admin_down, last.map(backup));
        };
        bench.arm(change, UP);
    }
    run(&mut bench, &mut kernel);
    bench.session(DOWN);
    run(&mut bench, &mut kernel);
    assert!(held(&kernel).iter().all(|route| route.next_hop == hop(8)), "two have moved: {:?}", held(&kernel));
    for (id, last) in [(3, Some(9)), (4, None)] {
        let route = KernelRoute { priority: 100 + id, ..ROUTE };
        bench.arm(|armed| (armed.id, armed.route, armed.backup) = (RouteId(id), route, last.map(backup)), DOWN);
    }
    bench.session(UP);
    run(&mut bench, &mut kernel);
    let expected: Vec<KernelRoute> = (101..=104).map(|priority| KernelRoute { priority, ..ROUTE }).collect();
    assert_eq!(held(&kernel), expected);
    disarm(&mut bench, 1..=4);
    run(&mut bench, &mut kernel);
    assert_eq!((held(&kernel), kernel.tables().objects().count()), (vec![], 0));
}

#[test]
fn numbers_that_are_reserved_for_a_sweep_are_those_that_no_route_has_and_no_route_gets_one_until_they_are_free() {
    let (mut bench, mut kernel) = bench();
    bench.arm(|_| {}, UP);
    run(&mut bench, &mut kernel);
    assert_eq!(kernel.tables().objects().collect::<Vec<_>>(), [10]);
    let reserved: Vec<u32> = (10..=98).collect();
    assert_eq!(bench.planner.reserve_objects(&reserved), reserved[1..]);
    bench.arm(|route| route.route = OTHER_HOP, UP);
    run(&mut bench, &mut kernel);
    assert_eq!(kernel.tables().objects().collect::<Vec<_>>(), [99]);
    bench.planner.unreserve_objects(&reserved[1..]);
    bench.arm(|_| {}, UP);
    run(&mut bench, &mut kernel);
    assert_eq!((held(&kernel), kernel.tables().objects().count()), (vec![ROUTE], 1));
}

#[test]
fn an_adopted_route_leaves_its_backup_although_its_primary_got_the_number_of_that_and_another_instance_is_before_it() {
    let (mut predecessor, mut kernel) = bench();
    predecessor.arm(with_backup, UP);
    run(&mut predecessor, &mut kernel);
    predecessor.session(DOWN);
    run(&mut predecessor, &mut kernel);
    let object_of_backup = kernel.tables().routes().next().expect("it is on its backup").object;
    kernel.act(&ROUTE, RivalAct::Prepend);
    kernel.act(&ROUTE, RivalAct::Claim);
    let mut bench = bench_from(object_of_backup);
    let adopted = |route: &mut ArmedRoute| {
        with_backup(route);
        route.adopted = true;
    };
    bench.arm(adopted, UP);
    refuse_object(&mut bench);
    run(&mut bench, &mut kernel);
    let hops: Vec<IpAddr> = held(&kernel).iter().map(|route| route.next_hop).collect();
    assert_eq!(hops, [rival_hop(&ROUTE), ROUTE.next_hop]);
}

#[test]
fn an_adopted_route_whose_object_was_refused_leads_its_own_way_again_after_somebody_has_taken_the_object() {
    let (mut predecessor, mut kernel) = bench();
    predecessor.arm(|_| {}, UP);
    run(&mut predecessor, &mut kernel);
    let object = kernel.tables().objects().next().expect("the route has one");
    let mut bench = bench_from(object);
    bench.arm(|route| route.adopted = true, UP);
    refuse_object(&mut bench);
    run(&mut bench, &mut kernel);
    kernel.act_on_object(object, ObjectAct::Replace);
    hear(&mut bench, &mut kernel);
    run(&mut bench, &mut kernel);
    assert_eq!((held(&kernel), kernel.harmed()), (vec![ROUTE], 0));
}

/// A planner with an object that no route needs any more and that the kernel has refused to delete.
fn undeleted() -> (Bench, Kernel) {
    let (mut bench, mut kernel) = bench();
    bench.arm(|_| {}, UP);
    run(&mut bench, &mut kernel);
    bench.session(DOWN);
    run(&mut bench, &mut kernel);
    bench.disarm(true);
    refuse_object(&mut bench);
    (bench, kernel)
}

#[test]
fn an_object_that_was_not_deleted_at_once_is_deleted_later() {
    let (mut bench, mut kernel) = undeleted();
    assert_eq!(kernel.tables().objects().count(), 1);
    run(&mut bench, &mut kernel);
    assert_eq!((kernel.tables().objects().count(), bench.planner.poll_deadline()), (0, None));
}

#[test]
fn an_object_that_was_not_deleted_at_once_is_deleted_later_although_it_leads_where_it_is_not_to() {
    let (mut bench, mut kernel) = bench();
    arm(&mut bench, 1, with_backup, UP);
    // A route that moves by itself needs the object of its backup.
    for view in [DOWN, UP] {
        bench.session(view);
        run(&mut bench, &mut kernel);
    }
    arm(&mut bench, 2, with_backup, UP);
    run(&mut bench, &mut kernel);
    bench.session(DOWN);
    run(&mut bench, &mut kernel);
    assert_eq!((held(&kernel).len(), on_primary(&kernel), kernel.tables().objects().count()), (2, 0, 2));
    disarm(&mut bench, 1..=2);
    kernel.run(&mut bench.planner, bench.now);
    kernel.set_faults(KernelFaults { fail_ppm: 1_000_000, ..KernelFaults::default() });
    kernel.run(&mut bench.planner, bench.now);
    kernel.set_faults(KernelFaults::default());
    assert_eq!((held(&kernel), kernel.tables().objects().count()), (vec![], 2));
    run(&mut bench, &mut kernel);
    assert_eq!((kernel.tables().objects().count(), bench.planner.poll_deadline()), (0, None));
}

#[test]
fn an_object_that_was_not_deleted_at_once_is_left_to_whoever_has_made_it_his_own_meanwhile() {
    let (mut bench, mut kernel) = undeleted();
    let object = kernel.tables().objects().next().expect("it was not deleted");
    kernel.act_on_object(object, ObjectAct::Replace);
    hear(&mut bench, &mut kernel);
    run(&mut bench, &mut kernel);
    assert_eq!((kernel.tables().objects().count(), bench.planner.poll_deadline()), (1, None));
}

#[test]
fn an_adopted_route_that_its_predecessor_left_on_another_object_stays_on_its_primary_while_its_session_is_suppressed() {
    let suppressed = SessionView { flapped: true, ..UP };
    for has_backup in [false, true] {
        let (mut bench, mut kernel) = bench();
        kernel.leave(&KernelRoute { destination: ONE, ..ROUTE });
        let adopted = |route: &mut ArmedRoute| {
            if has_backup {
                with_backup(route);
            }
            (route.adopted, route.damping) = (true, Damping { hold_up_ms: 600_000, ..Damping::default() });
        };
        arm(&mut bench, 1, adopted, suppressed);
        run(&mut bench, &mut kernel);
        assert_eq!(on_primary(&kernel), 1, "with a backup: {has_backup}");
    }
}

#[test]
fn a_route_that_must_stay_does_not_go_with_its_object_when_a_session_changes_that_watches_the_backup_of_a_watcher() {
    let (mut bench, mut kernel) = bench();
    let watched_by = |session: u32| {
        move |route: &mut ArmedRoute| {
            with_backup(route);
            route.backup = route.backup.map(|backup| Backup { session: Some(SessionId(session)), ..backup });
        }
    };
    arm(&mut bench, 1, watched_by(2), UP);
    arm(&mut bench, 2, watched_by(2), UP);
    arm(&mut bench, 3, |route| route.no_uninstall = true, UP);
    let of_the_watcher = |route: &mut ArmedRoute| {
        watched_by(3)(route);
        route.session = SessionId(2);
    };
    arm(&mut bench, 4, of_the_watcher, DOWN);
    run(&mut bench, &mut kernel);
    assert_eq!(held(&kernel).len(), 3);
    bench.session(DOWN);
    bench.planner.session_changed(SessionId(3), DOWN, bench.now);
    run(&mut bench, &mut kernel);
    let left: Vec<IpAddr> = held(&kernel).iter().map(|route| route.destination).collect();
    assert_eq!(left, [IpAddr::from([10, 9, 0, 3])]);
}

#[test]
fn an_adopted_route_on_another_object_goes_although_its_backup_lost_its_interface_before_it_was_found() {
    let (mut bench, mut kernel) = bench();
    kernel.leave(&KernelRoute { destination: ONE, ..ROUTE });
    let adopted = |route: &mut ArmedRoute| {
        with_backup(route);
        route.adopted = true;
    };
    arm(&mut bench, 1, adopted, DOWN);
    let objects = bench.planner.pick(bench.now).objects;
    for request in &objects {
        bench.planner.object_answered(request, ObjectAnswer::Done, bench.now);
    }
    let look = bench.ask();
    assert_eq!(look.0, RouteOp::None);
    // Before the kernel answers, the wait for the session ends, and the route is to be on its backup, whose interface goes then.
    bench.after(HOLD_US);
    bench.planner.link_changed(LinkId(2), 0, bench.now);
    bench.answer(look, Ok(()), Presence::Unknown);
    run(&mut bench, &mut kernel);
    assert_eq!(held(&kernel), []);
}
