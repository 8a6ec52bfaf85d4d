//! The route thread: it works the orders for armed routes off against the kernel, so that ten thousand routes that fall
//! at once do not make the engine late for the sessions that live. For an armed route this thread is the only writer.

use std::sync::Arc;
use std::thread::{self, JoinHandle};

use crate::clock;
use crate::engine::SessionId;
use crate::mailbox::{Mailbox, RouteOp};
use crate::orders::{ArmedRoute, ArmingPolicy, Batch, Job, Orders, RouteId, SessionView, settle};
use crate::realtime;
use crate::route_stats::RouteStats;
use crate::routes::{KernelRoute, Result, RouteSocket};
use crate::stats::Scope;
use crate::sync::{Condvar, Mutex, MutexGuard};
use crate::time::Time;
use crate::watch::Watch;

/// The two ends of a route's care: orders go in here, the thread works them off.
pub struct Arming {
    desk: Arc<Desk>,
    watch: Watch,
    thread: Option<JoinHandle<()>>,
}

impl Arming {
    /// Starts the thread.
    ///
    /// # Errors
    /// What the system says about a netlink socket or a thread.
    pub fn start(policy: ArmingPolicy, mailbox: Arc<Mailbox>) -> std::io::Result<Self> {
        let socket = RouteSocket::new()?;
        let desk = Arc::new(Desk::new(policy));
        let watched = Arc::clone(&desk);
        let watch = Watch::start(socket.port(), Box::new(move |change| watched.change(change)))?;
        let worker = Worker { desk: Arc::clone(&desk), take_over: policy.take_over, socket, mailbox };
        let thread = thread::Builder::new().name("liveness-routes".into()).spawn(move || worker.run())?;
        Ok(Self { desk, watch, thread: Some(thread) })
    }

    /// Takes routes into care, or replaces what is known of them.
    pub fn arm(&self, routes: impl IntoIterator<Item = (ArmedRoute, Scope, SessionView)>) {
        let now = clock::now();
        self.desk.change(|orders| {
            for (route, scope, session) in routes {
                orders.arm(route, scope, session, now);
            }
        });
        if self.desk.lock().orders.next_hold_end().is_some() {
            self.watch.look();
        }
    }

    /// The counters as they are now, copied.
    #[must_use]
    pub fn stats(&self) -> RouteStats {
        self.desk.lock().orders.stats().clone()
    }

    /// Lets routes go, after their deletion where `remove` says so.
    pub fn disarm(&self, id: RouteId, generation: u32, remove: bool) {
        let now = clock::now();
        self.desk.change(|orders| orders.disarm(id, generation, remove, now));
    }

    /// Tries again what failed, unless the generation is no longer the newest.
    pub fn retry(&self, id: RouteId, generation: u32) {
        let now = clock::now();
        self.desk.change(|orders| orders.retry(id, generation, now));
    }

    /// Tells of sessions that changed at `now`, from when the time that their routes take is counted.
    pub fn sessions_changed(&self, now: Time, changes: impl IntoIterator<Item = (SessionId, SessionView)>) {
        self.desk.change(|orders| {
            for (session, view) in changes {
                orders.session_changed(session, view, now);
            }
        });
    }
}

impl Drop for Arming {
    /// Ends the thread after the batch that it is at; routes stay as they are.
    fn drop(&mut self) {
        self.desk.stop();
        if let Some(thread) = self.thread.take() {
            // A panic of the thread was already reported when it happened.
            let _ = thread.join();
        }
    }
}

/// Where orders are left and taken from.
struct Desk {
    content: Mutex<DeskContent>,
    wake: Condvar,
}

struct DeskContent {
    orders: Orders,
    stop: bool,
}

impl Desk {
    fn new(policy: ArmingPolicy) -> Self {
        Self { content: Mutex::new(DeskContent { orders: Orders::new(policy), stop: false }), wake: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, DeskContent> {
        self.content.lock().expect("no holder of this lock panics")
    }

    fn change<T>(&self, change: impl FnOnce(&mut Orders) -> T) -> T {
        let mut content = self.lock();
        let result = change(&mut content.orders);
        let has_work = content.orders.has_work();
        // Woken while the lock is held, the other thread would take our core only to wait for us to get it back.
        drop(content);
        if has_work {
            self.wake.notify_one();
        }
        result
    }

    fn stop(&self) {
        self.lock().stop = true;
        self.wake.notify_one();
    }

    /// Waits for work and takes up to one message full of it; `None` when it is time to stop.
    fn pick(&self) -> Option<Batch> {
        let mut content = self.lock();
        loop {
            if content.stop {
                return None;
            }
            if content.orders.has_work() {
                return Some(content.orders.pick(clock::now()));
            }
            content = self.wake.wait(content).expect("no holder of this lock panics");
        }
    }
}

struct Worker {
    desk: Arc<Desk>,
    take_over: bool,
    socket: RouteSocket,
    mailbox: Arc<Mailbox>,
}

impl Worker {
    fn run(mut self) {
        realtime::ask_to_run_soon();
        while let Some(Batch { deletes, adds, idle }) = self.desk.pick() {
            self.mailbox.put_outcomes(idle);
            let answers = self.socket.delete(&routes_of(&deletes));
            self.report(RouteOp::Delete, &deletes, answers);
            let answers = self.socket.add(&routes_of(&adds), self.take_over);
            self.report(RouteOp::Add, &adds, answers);
        }
    }

    fn report(&mut self, op: RouteOp, jobs: &[Job], answers: Vec<Result<()>>) {
        if jobs.is_empty() {
            return;
        }
        let answers: Vec<(Result<()>, bool)> = jobs
            .iter()
            .zip(answers)
            .map(|(job, answer)| settle(op, answer, || self.socket.holds(&job.route)))
            .collect();
        let outcomes = self.desk.change(|orders| orders.report(op, jobs, answers, clock::now()));
        self.mailbox.put_outcomes(outcomes);
    }
}

fn routes_of(jobs: &[Job]) -> Vec<KernelRoute> {
    jobs.iter().map(|job| job.route).collect()
}

#[cfg(all(test, loom))]
mod every_order {
    use std::net::Ipv4Addr;

    use loom::thread;

    use super::*;

    const UP: SessionView = SessionView { up: true, peer_passive: false, conv_start: None };

    fn armed(id: u32) -> ArmedRoute {
        let route = KernelRoute {
            table: 254,
            destination: Ipv4Addr::new(10, 9, 0, 7),
            prefix_length: 32,
            source: Ipv4Addr::new(10, 0, 0, 1),
            next_hop: Ipv4Addr::new(10, 0, 0, 2),
            protocol: 186,
            priority: 0,
        };
        let id = RouteId(id);
        let (session, generation) = (SessionId(1), 1);
        ArmedRoute { id, session, generation, route, no_uninstall: false, admin_down: false, adopted: false }
    }

    fn desk() -> Arc<Desk> {
        Arc::new(Desk::new(ArmingPolicy { take_over: false, honor_peer_passive: false }))
    }

    #[test]
    fn no_order_is_slept_through() {
        loom::model(|| {
            let desk = desk();
            let clerk = Arc::clone(&desk);
            let worker = thread::spawn(move || {
                let mut added = 0;
                while added < 2 {
                    added += clerk.pick().expect("nobody stops it").adds.len();
                }
            });
            for id in [1, 2] {
                desk.change(|orders| orders.arm(armed(id), Scope::OTHER, UP, clock::now()));
            }
            // The checker would find a worker that waits for ever.
            worker.join().unwrap();
        });
    }

    #[test]
    fn a_stop_ends_the_wait() {
        loom::model(|| {
            let desk = desk();
            let clerk = Arc::clone(&desk);
            let worker = thread::spawn(move || while clerk.pick().is_some() {});
            desk.change(|orders| orders.arm(armed(1), Scope::OTHER, UP, clock::now()));
            desk.stop();
            worker.join().unwrap();
        });
    }
}
