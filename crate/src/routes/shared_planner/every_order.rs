//! The threads that share the planner, in every order in which they can run.

use std::net::IpAddr;

use loom::thread;

use super::*;
use crate::engine::stats::LocalEndpoint;
use crate::routes::armed::{ArmedRoute, ArmingPolicy};
use crate::routes::damping::Damping;
use crate::routes::kernel_route::KernelRoute;
use crate::routes::legs::Leg;
use crate::routes::outcome::{RouteId, RouteOp};

const UP: SessionView =
    SessionView { up: true, peer_passive: false, peer_admin_down: false, flapped: false, conv_start: None };

const DOWN: SessionView =
    SessionView { up: false, peer_passive: false, peer_admin_down: false, flapped: false, conv_start: None };

fn armed(id: u32) -> ArmedRoute {
    let route = KernelRoute {
        table: 254,
        destination: IpAddr::from([10, 9, 0, 7]),
        prefix_length: 32,
        source: IpAddr::from([10, 0, 0, 1]),
        next_hop: IpAddr::from([10, 0, 0, 2]),
        interface: 1,
        protocol: 186,
        priority: 0,
        object: 0,
    };
    let id = RouteId(id);
    let (session, generation) = (SessionId(1), 1);
    ArmedRoute {
        id,
        session,
        generation,
        route,
        no_uninstall: false,
        admin_down: false,
        keep_on_peer_admin_down: false,
        damping: Damping::default(),
        adopted: false,
        backup: None,
    }
}

/// Keeps the generation of the newest outcome.
struct Newest(Mutex<u32>);

impl OutcomeSink for Newest {
    fn put_outcomes(&self, outcomes: Vec<RouteOutcome>) {
        for outcome in outcomes {
            *self.0.lock().unwrap() = outcome.generation;
        }
    }

    fn announce(&self) {}

    fn put_warning(&self, warning: Problem) {
        panic!("{}", warning.message);
    }

    fn put_fatal(&self, fatal: Problem) {
        panic!("{}", fatal.message);
    }
}

fn shared(sink: Arc<Newest>) -> Arc<SharedPlanner> {
    let policy = ArmingPolicy { take_over: false, honor_peer_passive: false, mass_down: None, objects: None };
    Arc::new(SharedPlanner::new(RoutePlanner::new(policy), sink, Box::new(|| {})))
}

fn new_shared() -> Arc<SharedPlanner> {
    shared(Arc::new(Newest(Mutex::new(0))))
}

#[test]
fn of_two_threads_that_report_on_a_route_the_later_one_counts() {
    loom::model(|| {
        let newest = Arc::new(Newest(Mutex::new(0)));
        let shared = shared(Arc::clone(&newest));
        let reports = Arc::new(Mutex::new(0));
        let report = |shared: &SharedPlanner, reports: &Mutex<u32>| {
            shared.change_and_report(|_| {
                let mut reports = reports.lock().unwrap();
                *reports += 1;
                vec![RouteOutcome {
                    id: RouteId(1),
                    generation: *reports,
                    op: RouteOp::None,
                    result: Ok(()),
                    at: clock::now(),
                    duration_us: 0,
                    gone: false,
                    installed: false,
                    restore_at: None,
                    suppressed_until: None,
                    leg: Leg::Primary,
                }]
            });
        };
        let monitor = {
            let (shared, reports) = (Arc::clone(&shared), Arc::clone(&reports));
            thread::spawn(move || report(&shared, &reports))
        };
        report(&shared, &reports);
        monitor.join().unwrap();
        assert_eq!(*newest.0.lock().unwrap(), 2);
    });
}

#[test]
fn the_worker_misses_no_request() {
    loom::model(|| {
        let shared = new_shared();
        let clerk = Arc::clone(&shared);
        let worker = thread::spawn(move || {
            let mut added = 0;
            while added < 2 {
                added += clerk.pick().expect("nobody stops it").adds.len();
            }
        });
        for id in [1, 2] {
            shared.change(|planner| planner.arm(armed(id), LocalEndpoint::OTHER, UP, clock::now()));
        }
        // The checker would find a worker that waits for ever.
        worker.join().unwrap();
    });
}

#[test]
fn the_worker_misses_no_change_of_a_session_that_was_left_for_it() {
    loom::model(|| {
        let shared = new_shared();
        shared.change(|planner| planner.arm(armed(1), LocalEndpoint::OTHER, DOWN, clock::now()));
        let clerk = Arc::clone(&shared);
        let worker = thread::spawn(move || {
            let mut added = 0;
            while added < 1 {
                added += clerk.pick().expect("nobody stops it").adds.len();
            }
        });
        shared.leave(clock::now(), vec![(SessionId(1), UP)]);
        // The checker would find a worker that waits for ever.
        worker.join().unwrap();
    });
}

#[test]
fn stop_ends_the_wait_of_the_worker() {
    loom::model(|| {
        let shared = new_shared();
        let clerk = Arc::clone(&shared);
        let worker = thread::spawn(move || while clerk.pick().is_some() {});
        shared.change(|planner| planner.arm(armed(1), LocalEndpoint::OTHER, UP, clock::now()));
        shared.stop();
        worker.join().unwrap();
    });
}
