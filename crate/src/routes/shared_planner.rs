//! The planner, shared between the engine's thread, the worker and the monitor; and where they leave what became of routes.

use std::sync::Arc;
use std::thread;

use crate::engine::SessionId;
use crate::protocol::time::Time;
use crate::routes::armed::{Batch, SessionView};
use crate::routes::mass_down::MassDownReport;
use crate::routes::outcome::RouteOutcome;
use crate::routes::planner::RoutePlanner;
use crate::system::clock;
use crate::system::problem::Problem;
use crate::system::sync::{Condvar, Mutex, MutexGuard};

/// How many affected routes are rechecked while the lock is held.
pub(super) const RECHECKS_AT_ONCE: usize = 512;

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

/// The planner, behind a lock.
pub(super) struct SharedPlanner {
    content: Mutex<SharedState>,
    /// Whoever holds the content may take this, and nobody the other way round: the engine's thread leaves changes of sessions here
    /// while the worker settles others.
    signal: Mutex<Signal>,
    wake: Condvar,
    pub(super) sink: Arc<dyn OutcomeSink>,
    wake_monitor: Box<dyn Fn() + Send + Sync>,
}

pub(super) struct SharedState {
    pub(super) planner: RoutePlanner,
    /// When the monitor's thread looks at the planner next without being woken.
    pub(super) monitor_at: Option<Time>,
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
    pub(super) fn new(
        planner: RoutePlanner,
        sink: Arc<dyn OutcomeSink>,
        wake_monitor: Box<dyn Fn() + Send + Sync>,
    ) -> Self {
        let content = SharedState { planner, monitor_at: None, stop: false };
        Self {
            content: Mutex::new(content),
            signal: Mutex::new(Signal::default()),
            wake: Condvar::new(),
            sink,
            wake_monitor,
        }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, SharedState> {
        self.content.lock().expect("no holder of this lock panics")
    }

    fn signal(&self) -> MutexGuard<'_, Signal> {
        self.signal.lock().expect("no holder of this lock panics")
    }

    pub(super) fn raise(&self) {
        self.signal().raised = true;
        self.wake.notify_one();
    }

    /// Leaves changes of sessions for the worker.
    pub(super) fn leave(&self, now: Time, changes: Vec<(SessionId, SessionView)>) {
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
    pub(super) fn change<T>(&self, change: impl FnOnce(&mut RoutePlanner) -> T) -> T {
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
    pub(super) fn change_and_report(&self, change: impl FnOnce(&mut RoutePlanner) -> Vec<RouteOutcome>) {
        self.change(|planner| self.sink.put_outcomes(change(planner)));
    }

    pub(super) fn stop(&self) {
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
    pub(super) fn pick(&self) -> Option<Batch> {
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

/// Why a thread has stopped.
pub(super) fn fatal(what: &str, reason: &str) -> Problem {
    Problem { code: "ERR_INTERNAL".into(), message: format!("the {what} has stopped: {reason}") }
}

#[cfg(all(test, loom))]
mod every_order;
