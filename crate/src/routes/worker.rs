//! The route worker: a thread that sends the planner's requests to the kernel, so that ten thousand routes that are withdrawn
//! at once do not make the engine late for other sessions. For an armed route this thread is the only writer. Its requests
//! cost the same whatever the size of a table; what only a listing can tell, the monitor's thread finds out.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::engine::SessionId;
use crate::engine::stats::{LinkId, LocalEndpoint};
use crate::protocol::time::Time;
use crate::routes::affected::AffectedRoutes;
use crate::routes::armed::{ArmedRoute, ArmingPolicy, Batch, Question, RouteRequest, SessionView};
use crate::routes::kernel_route::{KernelRoute, Result, Slot};
use crate::routes::maintenance::Maintenance;
use crate::routes::mass_down::MassDownReport;
use crate::routes::monitor::{MonitorHandler, RouteMonitor, Waker};
use crate::routes::object_request::ObjectRequest;
use crate::routes::object_sweep::delete_unused;
use crate::routes::outcome::{RouteId, RouteOp, RouteOutcome};
use crate::routes::planner::RoutePlanner;
use crate::routes::socket::RouteSocket;
use crate::routes::stats::RouteStats;
use crate::routes::tables::{DesiredRoute, RequestOutcome, Tables, install_over_interfaces, remove};
use crate::system::clock;
use crate::system::panics;
use crate::system::problem::Problem;
use crate::system::realtime;
use crate::system::sync::{Condvar, Mutex, MutexGuard};

/// How many affected routes are rechecked while the lock is held.
const RECHECKS_AT_ONCE: usize = 512;

/// To settle so many routes takes a tenth of a millisecond.
const MANY_ROUTES: usize = 512;

/// Where the threads leave what became of routes.
pub(crate) trait OutcomeSink: Send + Sync {
    /// Leaves the outcomes of operations; of two for one route the later one counts.
    fn put_outcomes(&self, outcomes: Vec<RouteOutcome>);

    /// Tells of what was left there without a word, if anything.
    fn announce(&self);

    /// Leaves what works less well than asked for.
    fn put_warning(&self, warning: Problem);

    /// Leaves the reason why a thread has stopped. Nothing follows.
    fn put_fatal(&self, fatal: Problem);
}

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

fn fatal(what: &str, reason: &str) -> Problem {
    Problem { code: "ERR_INTERNAL".into(), message: format!("the {what} has stopped: {reason}") }
}

/// The planner, shared between the engine's thread, the worker and the monitor.
struct SharedPlanner {
    content: Mutex<SharedState>,
    /// Whoever holds the content may take this, and nobody the other way round: the engine's thread leaves changes of sessions here
    /// while the worker settles others.
    signal: Mutex<Signal>,
    wake: Condvar,
    sink: Arc<dyn OutcomeSink>,
    wake_monitor: Box<dyn Fn() + Send + Sync>,
}

struct SharedState {
    planner: RoutePlanner,
    /// When the monitor's thread looks at the planner next without being woken.
    monitor_at: Option<Time>,
    stop: bool,
}

/// What the worker waits for.
#[derive(Default)]
struct Signal {
    /// There is something to do.
    raised: bool,
    /// Changes of sessions that the planner does not know yet, in their order.
    changes: Vec<(Time, Vec<(SessionId, SessionView)>)>,
}

impl SharedPlanner {
    fn new(planner: RoutePlanner, sink: Arc<dyn OutcomeSink>, wake_monitor: Box<dyn Fn() + Send + Sync>) -> Self {
        let content = SharedState { planner, monitor_at: None, stop: false };
        Self {
            content: Mutex::new(content),
            signal: Mutex::new(Signal::default()),
            wake: Condvar::new(),
            sink,
            wake_monitor,
        }
    }

    fn lock(&self) -> MutexGuard<'_, SharedState> {
        self.content.lock().expect("no holder of this lock panics")
    }

    fn signal(&self) -> MutexGuard<'_, Signal> {
        self.signal.lock().expect("no holder of this lock panics")
    }

    fn raise(&self) {
        self.signal().raised = true;
        self.wake.notify_one();
    }

    /// Leaves changes of sessions for the worker.
    fn leave(&self, now: Time, changes: Vec<(SessionId, SessionView)>) {
        {
            let mut signal = self.signal();
            signal.changes.push((now, changes));
            signal.raised = true;
        }
        self.wake.notify_one();
    }

    /// Tells the planner of the changes that were left.
    fn settle(&self, content: &mut SharedState) {
        let left = std::mem::take(&mut self.signal().changes);
        for (now, changes) in left {
            if let Some(report) = content.planner.sessions_changed(changes, now) {
                self.sink.put_warning(mass_down(report));
            }
        }
    }

    /// Changes the planner, which knows then what was left before.
    fn change<T>(&self, change: impl FnOnce(&mut RoutePlanner) -> T) -> T {
        let mut content = self.lock();
        self.settle(&mut content);
        let result = change(&mut content.planner);
        self.release(content);
        result
    }

    /// Lets the planner go, and wakes who has something to do.
    fn release(&self, content: MutexGuard<'_, SharedState>) {
        let has_work = content.planner.has_work();
        let deadline = content.planner.poll_deadline();
        let is_sooner = deadline.is_some_and(|at| content.monitor_at.is_none_or(|planned| at < planned));
        let needs_monitor = content.planner.has_questions() || is_sooner;
        // A thread that is woken while the lock is held may take this core, only to wait for the lock.
        drop(content);
        if has_work {
            self.raise();
        }
        if needs_monitor {
            (self.wake_monitor)();
        }
    }

    /// As `change`, and leaves the outcomes in the sink. Under the lock, so that of two threads that report on one route the
    /// later one counts.
    fn change_and_report(&self, change: impl FnOnce(&mut RoutePlanner) -> Vec<RouteOutcome>) {
        self.change(|planner| self.sink.put_outcomes(change(planner)));
    }

    fn stop(&self) {
        self.lock().stop = true;
        self.raise();
    }

    /// Whether a session was left that has so many routes that it takes long to settle them.
    fn has_long_work(&self) -> bool {
        let content = self.lock();
        let signal = self.signal();
        let mut sessions = signal.changes.iter().flat_map(|(_, changes)| changes).map(|(session, _)| *session);
        sessions.any(|session| content.planner.has_many_routes(session, MANY_ROUTES))
    }

    /// Waits for work and takes up to one message full of each kind; `None` when it is time to stop.
    fn pick(&self) -> Option<Batch> {
        loop {
            // On one core this thread has interrupted the engine's in the middle of a turn, which is to end first.
            if self.has_long_work() {
                thread::yield_now();
            }
            let mut content = self.lock();
            self.settle(&mut content);
            if content.stop {
                return None;
            }
            if content.planner.has_work() {
                let mut batch = content.planner.pick(clock::now());
                self.sink.put_outcomes(std::mem::take(&mut batch.idle));
                self.release(content);
                return Some(batch);
            }
            self.release(content);
            self.sink.announce();
            let mut signal = self.signal();
            while !signal.raised {
                signal = self.wake.wait(signal).expect("no holder of this lock panics");
            }
            signal.raised = false;
        }
    }
}

fn mass_down(MassDownReport { fallen, of, hold_us }: MassDownReport) -> Problem {
    let ms = hold_us / 1_000;
    let message = format!(
        "{fallen} of {of} sessions fell at once, which is probably this host's fault: their routes stay for {ms} ms"
    );
    Problem { code: "ERR_MASS_DOWN".into(), message }
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

/// What the monitor's thread does for armed routes.
struct PlannerMonitor {
    shared: Arc<SharedPlanner>,
    /// For listings.
    socket: RouteSocket,
}

impl PlannerMonitor {
    fn answer(&mut self, questions: &[Question]) {
        let routes: Vec<KernelRoute> = questions.iter().map(|question| question.route).collect();
        let listed = self.socket.tables(&routes);
        for some in questions.chunks(RECHECKS_AT_ONCE) {
            self.shared.change_and_report(|planner| {
                let now = clock::now();
                let change_and_report = |question: &Question| match &listed {
                    Ok(listed) => {
                        let route = &question.route;
                        let occupant = listed.occupant_or(route, question.previous);
                        planner.listed_beside(question, &listed.beside(route), now);
                        planner.listed(question, listed.holds(route), occupant, now)
                    }
                    Err(error) => planner.unlisted(question, *error, now),
                };
                some.iter().filter_map(change_and_report).collect()
            });
        }
    }

    /// Lists the routes on objects of a predecessor.
    fn survey(&mut self, objects: &BTreeMap<u32, u8>) {
        let protocols: BTreeSet<u8> = objects.values().copied().collect();
        let listed: Result<Vec<Vec<KernelRoute>>> =
            protocols.into_iter().map(|protocol| self.socket.list(protocol)).collect();
        let listed = listed.map(|listed| {
            let routes: Vec<KernelRoute> =
                listed.into_iter().flatten().filter(|route| objects.contains_key(&route.object)).collect();
            for some in routes.chunks(RECHECKS_AT_ONCE) {
                self.shared.change(|planner| planner.inherited_routes_listed(some));
            }
        });
        self.shared.change(|planner| planner.inherited_objects_listed(objects, listed, clock::now()));
    }
}

impl MonitorHandler for PlannerMonitor {
    fn objects_lost(&mut self, objects: &[(u32, bool)]) {
        self.shared.change(|planner| {
            objects.iter().for_each(|(object, by_rival)| planner.object_lost(*object, *by_rival));
        });
    }

    fn routes_changed(&mut self, gone: &[KernelRoute], taken: &[Slot]) {
        let now = clock::now();
        self.shared.change(|planner| {
            gone.iter().for_each(|route| planner.lost(route, now));
            taken.iter().for_each(|slot| planner.taken(slot, now));
        });
    }

    fn recheck(&mut self, affected: &AffectedRoutes) {
        let mut from = Some((SessionId(0), RouteId(0)));
        while let Some(start) = from {
            from = self.shared.change(|planner| planner.recheck(affected, start, RECHECKS_AT_ONCE, clock::now()));
        }
    }

    fn work(&mut self) -> Option<Time> {
        let (questions, left, inherited) = self.shared.change(|planner| {
            planner.handle_timeout(clock::now());
            (planner.questions(), planner.left_objects(), planner.inherited_objects())
        });
        if !inherited.is_empty() {
            self.survey(&inherited);
        }
        if !questions.is_empty() {
            self.answer(&questions);
        }
        if !left.is_empty() {
            let stay = delete_unused(&mut self.socket, &left);
            self.shared.change(|planner| planner.left_objects_swept(&left, stay, clock::now()));
        }
        let mut content = self.shared.lock();
        content.monitor_at = content.planner.poll_deadline();
        content.monitor_at
    }

    fn failed(&mut self, reason: String) {
        self.shared.sink.put_fatal(fatal("thread that watches the kernel's tables", &reason));
    }
}

#[cfg(all(test, loom))]
mod every_order;

#[cfg(all(test, not(loom)))]
mod tests {
    use std::sync::mpsc;

    use super::*;

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
