//! A route planner whose routes hang on next-hop objects, and a simulated kernel.
#![allow(dead_code, reason = "each test binary uses its own part of it")]

use std::net::IpAddr;
use std::ops::RangeInclusive;

use route_liveness::engine::stats::LinkId;
use route_liveness::routes::armed::{ArmedRoute, ArmingPolicy, ObjectPolicy, SessionView};
use route_liveness::routes::kernel_route::KernelRoute;
use route_liveness::routes::legs::Backup;
use route_liveness::routes::next_hop::ObjectRange;
use route_liveness::routes::outcome::RouteId;
use route_liveness::routes::planner::RoutePlanner;
use route_liveness::sim::{Kernel, KernelFaults, Notice, Random};

use crate::planner_bench::{Bench, OTHER_HOP, ROUTE, SECOND};

pub(crate) fn bench() -> (Bench, Kernel) {
    (bench_from(10), Kernel::new(Random::new(1), KernelFaults::default(), 4))
}

/// A planner whose objects have the numbers from this one on.
pub(crate) fn bench_from(first: u32) -> Bench {
    bench_of(ObjectRange { first, last: 99 }.into())
}

/// A planner with at most so many routes on an object.
pub(crate) fn bench_in_parts(routes_per_object: u32) -> (Bench, Kernel) {
    let objects = ObjectPolicy { range: ObjectRange { first: 10, last: 99 }, routes_per_object };
    (bench_of(objects), bench().1)
}

pub(crate) fn bench_of(objects: ObjectPolicy) -> Bench {
    let policy = ArmingPolicy { take_over: false, honor_peer_passive: true, mass_down: None, objects: Some(objects) };
    Bench { planner: RoutePlanner::new(policy), ..Bench::new() }
}

pub(crate) fn with_backup(route: &mut ArmedRoute) {
    let next_hop = OTHER_HOP.next_hop;
    route.backup = Some(Backup { next_hop, interface: 8, link: LinkId(2), session: None, is_up: false });
}

/// Arms a route of this number, to a destination of its own.
pub(crate) fn arm(bench: &mut Bench, number: u8, change: impl FnOnce(&mut ArmedRoute), session: SessionView) {
    let numbered = |route: &mut ArmedRoute| {
        (route.id, route.route.destination) = (RouteId(number.into()), IpAddr::from([10, 9, 0, number]));
        change(route);
    };
    bench.arm(numbered, session);
}

/// Answers everything that the planner asks within a minute.
pub(crate) fn run(bench: &mut Bench, kernel: &mut Kernel) {
    for _ in 0..60 {
        bench.after(SECOND);
        kernel.run(&mut bench.planner, bench.now);
        kernel.list(&mut bench.planner, bench.now);
        kernel.run(&mut bench.planner, bench.now);
    }
    assert!(!bench.planner.has_work());
}

pub(crate) fn held(kernel: &Kernel) -> Vec<KernelRoute> {
    kernel.tables().routes().map(|route| kernel.tables().resolved(route)).collect()
}

/// Withdraws the routes with these numbers.
pub(crate) fn disarm(bench: &mut Bench, ids: RangeInclusive<u32>) {
    for id in ids {
        bench.generation += 1;
        bench.planner.disarm(RouteId(id), bench.generation, true, bench.now);
    }
}

pub(crate) fn on_primary(kernel: &Kernel) -> usize {
    held(kernel).iter().filter(|route| route.next_hop == ROUTE.next_hop).count()
}

/// The planner hears what others have done to objects.
pub(crate) fn hear(bench: &mut Bench, kernel: &mut Kernel) {
    for notice in kernel.notices() {
        let Notice::ObjectGone(object, by_rival) = notice else { panic!("{notice:?}") };
        bench.planner.object_lost(object, by_rival);
    }
}
