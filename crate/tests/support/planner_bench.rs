//! A route planner in tests, with a kernel that carries out every request.
#![allow(dead_code, reason = "each test binary uses its own part of it")]

use std::net::{IpAddr, Ipv4Addr};

use route_liveness::engine::SessionId;
use route_liveness::engine::stats::{LinkId, LocalEndpoint};
use route_liveness::protocol::time::Time;
use route_liveness::routes::armed::{ArmedRoute, ArmingPolicy, RouteRequest, SessionView};
use route_liveness::routes::damping::Damping;
use route_liveness::routes::kernel_route::{KernelRoute, Presence, Result};
use route_liveness::routes::outcome::{RouteId, RouteOp, RouteOutcome};
use route_liveness::routes::planner::RoutePlanner;
use route_liveness::routes::tables::RequestOutcome;

pub(crate) const NOW: Time = Time::from_micros(1);
pub(crate) const SECOND: u64 = 1_000_000;
pub(crate) const UP: SessionView =
    SessionView { up: true, peer_passive: false, peer_admin_down: false, flapped: false, conv_start: None };
pub(crate) const DOWN: SessionView =
    SessionView { up: false, peer_passive: false, peer_admin_down: false, flapped: false, conv_start: None };
pub(crate) const DOWN_PASSIVE: SessionView =
    SessionView { up: false, peer_passive: true, peer_admin_down: false, flapped: false, conv_start: None };
pub(crate) const DOWN_BY_PEER: SessionView =
    SessionView { up: false, peer_passive: false, peer_admin_down: true, flapped: false, conv_start: None };
pub(crate) const SCOPE: LocalEndpoint =
    LocalEndpoint { link: LinkId(1), local: IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1)) };
pub(crate) const ROUTE: KernelRoute = KernelRoute {
    table: 254,
    destination: IpAddr::V4(Ipv4Addr::new(10, 9, 0, 7)),
    prefix_length: 32,
    source: IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1)),
    next_hop: IpAddr::V4(Ipv4Addr::new(10, 0, 0, 2)),
    interface: 7,
    protocol: 186,
    priority: 0,
    object: 0,
};
pub(crate) const OTHER_HOP: KernelRoute = KernelRoute { next_hop: IpAddr::V4(Ipv4Addr::new(10, 0, 0, 3)), ..ROUTE };

/// A planner, and a kernel that carries out every request.
pub(crate) struct Bench {
    pub(crate) planner: RoutePlanner,
    pub(crate) generation: u32,
    pub(crate) now: Time,
}

impl Bench {
    pub(crate) fn new() -> Self {
        let policy = ArmingPolicy { take_over: false, honor_peer_passive: true, mass_down: None, objects: None };
        Self { planner: RoutePlanner::new(policy), generation: 0, now: NOW }
    }

    /// A planner with an installed route whose session is Up.
    pub(crate) fn installed() -> Self {
        let mut bench = Self::new();
        bench.arm(|_| {}, UP);
        assert_eq!(bench.run(), ["add"]);
        bench
    }

    pub(crate) fn arm(&mut self, change: impl FnOnce(&mut ArmedRoute), session: SessionView) {
        self.generation += 1;
        let mut armed = ArmedRoute {
            id: RouteId(1),
            session: SessionId(1),
            generation: self.generation,
            route: ROUTE,
            no_uninstall: false,
            admin_down: false,
            keep_on_peer_admin_down: false,
            damping: Damping::default(),
            adopted: false,
            backup: None,
        };
        change(&mut armed);
        self.planner.arm(armed, SCOPE, session, self.now);
    }

    pub(crate) fn disarm(&mut self, remove: bool) {
        self.generation += 1;
        self.planner.disarm(RouteId(1), self.generation, remove, self.now);
    }

    pub(crate) fn session(&mut self, view: SessionView) {
        self.planner.session_changed(SessionId(1), view, self.now);
    }

    pub(crate) fn after(&mut self, us: u64) {
        self.now = self.now.plus(us);
        self.planner.handle_timeout(self.now);
    }

    /// Carries out requests until none waits, and returns their kinds. A look finds its route.
    pub(crate) fn run(&mut self) -> Vec<&'static str> {
        self.run_with(Presence::Present).0
    }

    pub(crate) fn run_with(&mut self, seen: Presence) -> (Vec<&'static str>, Vec<RouteOutcome>) {
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
        assert!(!self.planner.has_work(), "the planner still has requests after twenty messages");
        (asked, outcomes)
    }

    /// Picks the only request, and leaves it unanswered.
    pub(crate) fn ask(&mut self) -> (RouteOp, RouteRequest) {
        let batch = self.planner.pick(self.now);
        let mut requests: Vec<(RouteOp, RouteRequest)> =
            batch.deletes.iter().map(|request| (RouteOp::Delete, *request)).collect();
        requests.extend(batch.looks.iter().map(|request| (RouteOp::None, *request)));
        requests.extend(batch.adds.iter().map(|request| (RouteOp::Add, *request)));
        assert_eq!(requests.len(), 1);
        requests.remove(0)
    }

    pub(crate) fn answer(
        &mut self,
        (op, request): (RouteOp, RouteRequest),
        result: Result<()>,
        presence: Presence,
    ) -> Vec<RouteOutcome> {
        self.planner.report(op, &[request], [answered(result, presence)], self.now)
    }

    pub(crate) fn count(&self, pick: fn(&route_liveness::routes::stats::RouteCounters) -> u64) -> u64 {
        self.planner.stats().iter().map(|(_, counters)| pick(counters)).sum()
    }
}

pub(crate) fn answered(result: Result<()>, presence: Presence) -> RequestOutcome {
    RequestOutcome { result, presence, replaced: None }
}
