//! The route worker: a thread that sends the planner's requests to the kernel, so that ten thousand routes that are withdrawn
//! at once do not make the engine late for other sessions. For an armed route this thread is the only writer. Its requests
//! cost the same whatever the size of a table; what only a listing can tell, the monitor's thread finds out.

use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::engine::SessionId;
use crate::engine::stats::{LinkId, LocalEndpoint};
use crate::protocol::time::Time;
use crate::routes::armed::{ArmedRoute, ArmingPolicy, Batch, RouteRequest, SessionView};
use crate::routes::kernel_route::KernelRoute;
use crate::routes::maintenance::Maintenance;
use crate::routes::monitor::{RouteMonitor, Waker};
use crate::routes::object_request::ObjectRequest;
use crate::routes::outcome::{RouteId, RouteOp};
use crate::routes::planner::RoutePlanner;
use crate::routes::planner_monitor::PlannerMonitor;
use crate::routes::shared_planner::{OutcomeSink, RECHECKS_AT_ONCE, SharedPlanner, fatal};
use crate::routes::socket::RouteSocket;
use crate::routes::stats::RouteStats;
use crate::routes::tables::{DesiredRoute, RequestOutcome, Tables, install_over_interfaces, remove};
use crate::system::clock;
use crate::system::panics;
use crate::system::realtime;

/// How often it is looked whether the kernel has answered, where nobody waits but a thread that ends.
const LOOK_AGAIN: Duration = Duration::from_millis(2);

/// The handle of the threads that keep armed routes in step with their sessions.
pub(crate) struct RouteWorker {
    shared: Arc<SharedPlanner>,
    thread: Option<JoinHandle<()>>,
    /// Dropped after the worker's thread, which may wake it.
    _watch: RouteMonitor,
}

impl RouteWorker {
    /// Starts the threads. Where one ends other than by dropping this, that is reported as fatal.
    ///
    /// # Errors
    /// What the system says about a netlink socket, an event descriptor or a thread.
    pub(crate) fn start(
        policy: ArmingPolicy,
        maintenance: Maintenance,
        sink: Arc<dyn OutcomeSink>,
    ) -> std::io::Result<Self> {
        let objects = policy.objects.map(|objects| objects.range).unwrap_or_default();
        let socket = RouteSocket::new()?.with_objects(objects);
        let waker = Waker::new()?;
        let wake = waker.clone();
        let shared = Arc::new(SharedPlanner::new(
            RoutePlanner::new(policy).with_maintenance(maintenance),
            sink,
            Box::new(move || wake.wake()),
        ));
        let keeper = PlannerMonitor { shared: Arc::clone(&shared), socket: RouteSocket::new()?.with_objects(objects) };
        let watch = RouteMonitor::start(socket.port(), waker, Box::new(keeper))?;
        let mut worker = Worker { shared: Arc::clone(&shared), take_over: policy.take_over, socket };
        let thread = thread::Builder::new().name("liveness-routes".into()).spawn(move || {
            let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| worker.run()));
            if let Err(panic) = outcome {
                worker.shared.sink.put_fatal(fatal("route thread", panics::text(&*panic)));
            }
        })?;
        Ok(Self { shared, thread: Some(thread), _watch: watch })
    }

    /// Arms routes, or replaces what is known of them.
    pub(crate) fn arm(&self, routes: impl IntoIterator<Item = (ArmedRoute, LocalEndpoint, SessionView)>) {
        let now = clock::now();
        self.shared.change(|planner| {
            for (route, endpoint, session) in routes {
                planner.arm(route, endpoint, session, now);
            }
        });
    }

    /// The counters as they are now, copied.
    #[must_use]
    pub(crate) fn stats(&self) -> RouteStats {
        self.shared.change(|planner| planner.stats().clone())
    }

    /// Lets routes go, after their deletion where `remove` says so.
    pub(crate) fn disarm(&self, routes: impl IntoIterator<Item = (RouteId, u32, bool)>) {
        let now = clock::now();
        self.shared.change(|planner| {
            for (id, generation, remove) in routes {
                planner.disarm(id, generation, remove, now);
            }
        });
    }

    /// Tries again what failed, unless the generation is no longer the newest.
    pub(crate) fn retry(&self, routes: impl IntoIterator<Item = (RouteId, u32)>) {
        let now = clock::now();
        self.shared
            .change(|planner| routes.into_iter().for_each(|(id, generation)| planner.retry(id, generation, now)));
    }

    /// Those of some numbers that no next-hop object of ours has; none gets one until they are given free.
    #[must_use]
    pub(crate) fn reserve_objects(&self, ids: &[u32]) -> Vec<u32> {
        self.shared.change(|planner| planner.reserve_objects(ids))
    }

    /// Gives numbers free that were reserved.
    pub(crate) fn unreserve_objects(&self, ids: &[u32]) {
        self.shared.change(|planner| planner.unreserve_objects(ids));
    }

    /// Tells of sessions that changed at `now`, from when the time that their routes take is counted. The worker settles what that
    /// means to their routes, which takes milliseconds where a session has thousands; then it announces what the sink has.
    pub(crate) fn sessions_changed(&self, now: Time, changes: Vec<(SessionId, SessionView)>) {
        self.shared.leave(now, changes);
    }

    /// Begins or ends the maintenance of these sessions, or of all.
    pub(crate) fn set_maintenance(&self, sessions: Option<&[SessionId]>, active: bool) {
        let now = clock::now();
        self.shared.change(|planner| planner.set_maintenance(sessions, active, now));
    }

    /// Withdraws every route as if all sessions were Down, and waits until the kernel has none of them any more, or for so long.
    pub(crate) fn withdraw_all(&self, at_most: Duration) {
        let until = Instant::now() + at_most;
        while self.shared.change(|planner| planner.withdraw_all(clock::now())) && Instant::now() < until {
            thread::sleep(LOOK_AGAIN);
        }
    }

    /// Tells of links whose interface has another index now, or, with 0, is gone.
    pub(crate) fn links_changed(&self, links: impl IntoIterator<Item = (LinkId, u32)>) {
        let now = clock::now();
        self.shared
            .change(|planner| links.into_iter().for_each(|(link, index)| planner.link_changed(link, index, now)));
    }
}

impl Drop for RouteWorker {
    /// Ends the threads after the batch that they are at; routes stay as they are.
    fn drop(&mut self) {
        self.shared.stop();
        if let Some(thread) = self.thread.take() {
            // A panic of the thread was already reported when it happened.
            let _ = thread.join();
        }
    }
}

struct Worker {
    shared: Arc<SharedPlanner>,
    take_over: bool,
    socket: RouteSocket,
}

impl Worker {
    fn run(&mut self) {
        realtime::ask_to_run_soon();
        while let Some(Batch { objects, deletes, adds, looks, .. }) = self.shared.pick() {
            self.change_objects(&objects);
            let answers = remove(&mut self.socket, &routes_of(&deletes));
            self.report(RouteOp::Delete, &deletes, answers);
            let answers = self.socket.look(&routes_of(&looks)).into_iter().map(RequestOutcome::seen).collect();
            self.report(RouteOp::None, &looks, answers);
            let answers = self.add(&adds);
            self.report(RouteOp::Add, &adds, answers);
            self.shared.sink.announce();
        }
    }

    fn change_objects(&mut self, requests: &[ObjectRequest]) {
        let answers = self.socket.change_objects(requests);
        // That of the kernel's answer for all routes, though they are reported in portions.
        let now = clock::now();
        for (request, answer) in requests.iter().zip(answers) {
            let concerned = self.shared.change(|planner| planner.object_answered(request, answer, now));
            for some in concerned.portions(RECHECKS_AT_ONCE) {
                self.shared.change_and_report(|planner| planner.object_routes_answered(request, answer, some, now));
            }
        }
    }

    fn add(&mut self, requests: &[RouteRequest]) -> Vec<RequestOutcome> {
        let desired: Vec<DesiredRoute> = requests.iter().map(RouteRequest::desired_route).collect();
        install_over_interfaces(&mut self.socket, &desired, self.take_over)
    }

    fn report(&mut self, op: RouteOp, requests: &[RouteRequest], answers: Vec<RequestOutcome>) {
        if requests.is_empty() {
            return;
        }
        self.shared.change_and_report(|planner| planner.report(op, requests, answers, clock::now()));
    }
}

fn routes_of(requests: &[RouteRequest]) -> Vec<KernelRoute> {
    requests.iter().map(|request| request.route).collect()
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::sync::mpsc;

    use super::*;
    use crate::routes::outcome::RouteOutcome;
    use crate::system::problem::Problem;

    struct Fatal(mpsc::Sender<Problem>);

    impl OutcomeSink for Fatal {
        fn put_outcomes(&self, _: Vec<RouteOutcome>) {}

        fn announce(&self) {}

        fn put_warning(&self, warning: Problem) {
            panic!("{}", warning.message);
        }

        fn put_fatal(&self, fatal: Problem) {
            self.0.send(fatal).unwrap_or(());
        }
    }

    struct Announced(mpsc::Sender<()>);

    impl OutcomeSink for Announced {
        fn put_outcomes(&self, _: Vec<RouteOutcome>) {}

        fn announce(&self) {
            self.0.send(()).unwrap_or(());
        }

        fn put_warning(&self, warning: Problem) {
            panic!("{}", warning.message);
        }

        fn put_fatal(&self, fatal: Problem) {
            panic!("{}", fatal.message);
        }
    }

    #[test]
    fn a_change_of_a_session_without_routes_is_announced_by_the_worker() {
        let (ring, rung) = mpsc::channel();
        let policy = ArmingPolicy { take_over: false, honor_peer_passive: false, mass_down: None, objects: None };
        let arming = RouteWorker::start(policy, Maintenance::default(), Arc::new(Announced(ring))).unwrap();
        let announced = || rung.recv_timeout(Duration::from_secs(10));
        announced().expect("once, before it waits for the first time");
        arming.sessions_changed(clock::now(), vec![(SessionId(1), SessionView::default())]);
        announced().expect("and again after the change");
    }

    #[test]
    fn the_end_of_a_thread_by_a_panic_is_reported_as_fatal() {
        let (ring, rung) = mpsc::channel();
        let sink = Fatal(ring);
        let policy = ArmingPolicy { take_over: false, honor_peer_passive: false, mass_down: None, objects: None };
        let arming = RouteWorker::start(policy, Maintenance::default(), Arc::new(sink)).unwrap();
        let shared = Arc::clone(&arming.shared);
        // Whoever takes the lock after a holder that panicked panics, too.
        let holder = thread::spawn(move || shared.change(|_| panic!("on purpose")));
        assert!(holder.join().is_err());
        arming.shared.raise();
        let fatal = rung.recv_timeout(Duration::from_secs(10)).expect("it is reported");
        assert_eq!(fatal.code, "ERR_INTERNAL");
        assert!(fatal.message.contains("route thread"), "{}", fatal.message);
        // Its other threads and the lock are of no more use.
        std::mem::forget(arming);
    }
}
