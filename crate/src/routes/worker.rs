//! The route thread: it works the orders for armed routes off against the kernel, so that ten thousand routes that fall
//! at once do not make the engine late for the sessions that live. For an armed route this thread is the only writer. It
//! asks for nothing whose cost depends on the size of a table: what only a listing can tell, the watching thread finds out.

use std::sync::Arc;
use std::thread::{self, JoinHandle};

use crate::driver::mailbox::{Mailbox, RouteOp, RouteOutcome, Trouble};
use crate::engine::SessionId;
use crate::engine::stats::{LinkId, Scope};
use crate::protocol::time::Time;
use crate::routes::armed::{ArmedRoute, ArmingPolicy, Batch, Job, Question, RouteId, SessionView, Suspicion};
use crate::routes::kernel_route::{KernelRoute, Slot};
use crate::routes::monitor::{Waker, Watch, Watcher};
use crate::routes::planner::Orders;
use crate::routes::socket::RouteSocket;
use crate::routes::stats::RouteStats;
use crate::routes::tables::{Settled, Tables, Wanted, install_over_interfaces, remove};
use crate::system::clock;
use crate::system::panics;
use crate::system::realtime;
use crate::system::sync::{Condvar, Mutex, MutexGuard};

/// So many routes are looked at under the lock at once, where all that a suspicion concerns are.
const SUSPECTS_AT_ONCE: usize = 512;

/// The two ends of armed routes: orders go in here, the threads work them off.
pub struct Arming {
    desk: Arc<Desk>,
    thread: Option<JoinHandle<()>>,
    /// Ends after the thread that may wake it.
    _watch: Watch,
}

impl Arming {
    /// Starts the threads. The end of either, other than by dropping this, is told as fatal.
    ///
    /// # Errors
    /// What the system says about a netlink socket, an event descriptor or a thread.
    pub fn start(policy: ArmingPolicy, mailbox: Arc<Mailbox>) -> std::io::Result<Self> {
        let socket = RouteSocket::new()?;
        let waker = Waker::new()?;
        let wake = waker.clone();
        let desk = Arc::new(Desk::new(policy, mailbox, Box::new(move || wake.wake())));
        let keeper = Keeper { desk: Arc::clone(&desk), socket: RouteSocket::new()? };
        let watch = Watch::start(socket.port(), waker, Box::new(keeper))?;
        let mut worker = Worker { desk: Arc::clone(&desk), take_over: policy.take_over, socket };
        let thread = thread::Builder::new().name("liveness-routes".into()).spawn(move || {
            let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| worker.run()));
            if let Err(panic) = outcome {
                worker.desk.mailbox.put_fatal(fatal("route thread", panics::text(&*panic)));
            }
        })?;
        Ok(Self { desk, thread: Some(thread), _watch: watch })
    }

    /// Arms routes, or replaces what is known of them.
    pub fn arm(&self, routes: impl IntoIterator<Item = (ArmedRoute, Scope, SessionView)>) {
        let now = clock::now();
        self.desk.change(|orders| {
            for (route, scope, session) in routes {
                orders.arm(route, scope, session, now);
            }
        });
    }

    /// The counters as they are now, copied.
    #[must_use]
    pub fn stats(&self) -> RouteStats {
        self.desk.lock().orders.stats().clone()
    }

    /// Lets routes go, after their deletion where `remove` says so.
    pub fn disarm(&self, routes: impl IntoIterator<Item = (RouteId, u32, bool)>) {
        let now = clock::now();
        self.desk.change(|orders| {
            for (id, generation, remove) in routes {
                orders.disarm(id, generation, remove, now);
            }
        });
    }

    /// Tries again what failed, unless the generation is no longer the newest.
    pub fn retry(&self, routes: impl IntoIterator<Item = (RouteId, u32)>) {
        let now = clock::now();
        self.desk.change(|orders| routes.into_iter().for_each(|(id, generation)| orders.retry(id, generation, now)));
    }

    /// Tells of sessions that changed at `now`, from when the time that their routes take is counted.
    pub fn sessions_changed(&self, now: Time, changes: impl IntoIterator<Item = (SessionId, SessionView)>) {
        self.desk.change(|orders| {
            for (session, view) in changes {
                orders.session_changed(session, view, now);
            }
        });
    }

    /// Tells of links whose interface has another index now, or, with 0, is gone.
    pub fn links_changed(&self, links: impl IntoIterator<Item = (LinkId, u32)>) {
        let now = clock::now();
        self.desk.change(|orders| links.into_iter().for_each(|(link, index)| orders.link_changed(link, index, now)));
    }
}

impl Drop for Arming {
    /// Ends the threads after the batch that they are at; routes stay as they are.
    fn drop(&mut self) {
        self.desk.stop();
        if let Some(thread) = self.thread.take() {
            // A panic of the thread was already reported when it happened.
            let _ = thread.join();
        }
    }
}

fn fatal(what: &str, reason: &str) -> Trouble {
    Trouble { code: "ERR_INTERNAL".into(), message: format!("the {what} has stopped: {reason}") }
}

/// Where orders are left and taken from.
struct Desk {
    content: Mutex<DeskContent>,
    wake: Condvar,
    mailbox: Arc<Mailbox>,
    wake_keeper: Box<dyn Fn() + Send + Sync>,
}

struct DeskContent {
    orders: Orders,
    /// When the keeper looks at the orders again by itself.
    keeper_at: Option<Time>,
    stop: bool,
}

impl Desk {
    fn new(policy: ArmingPolicy, mailbox: Arc<Mailbox>, wake_keeper: Box<dyn Fn() + Send + Sync>) -> Self {
        let content = DeskContent { orders: Orders::new(policy), keeper_at: None, stop: false };
        Self { content: Mutex::new(content), wake: Condvar::new(), mailbox, wake_keeper }
    }

    fn lock(&self) -> MutexGuard<'_, DeskContent> {
        self.content.lock().expect("no holder of this lock panics")
    }

    fn change<T>(&self, change: impl FnOnce(&mut Orders) -> T) -> T {
        let mut content = self.lock();
        let result = change(&mut content.orders);
        let has_work = content.orders.has_work();
        let deadline = content.orders.poll_deadline();
        let is_sooner = deadline.is_some_and(|at| content.keeper_at.is_none_or(|planned| at < planned));
        let needs_keeper = content.orders.has_questions() || is_sooner;
        // Woken while the lock is held, the other thread would take our core only to wait for us to get it back.
        drop(content);
        if has_work {
            self.wake.notify_one();
        }
        if needs_keeper {
            (self.wake_keeper)();
        }
        result
    }

    /// As `change`, and tells JavaScript what comes of it. Under the lock: of two threads that report on one route, the later
    /// word is the one that stays in the mailbox.
    fn tell(&self, change: impl FnOnce(&mut Orders) -> Vec<RouteOutcome>) {
        self.change(|orders| self.mailbox.put_outcomes(change(orders)));
    }

    fn stop(&self) {
        self.lock().stop = true;
        self.wake.notify_one();
    }

    /// Waits for work and takes up to one message full of each kind; `None` when it is time to stop.
    fn pick(&self) -> Option<Batch> {
        let mut content = self.lock();
        loop {
            if content.stop {
                return None;
            }
            if content.orders.has_work() {
                let mut batch = content.orders.pick(clock::now());
                self.mailbox.put_outcomes(std::mem::take(&mut batch.idle));
                return Some(batch);
            }
            content = self.wake.wait(content).expect("no holder of this lock panics");
        }
    }
}

struct Worker {
    desk: Arc<Desk>,
    take_over: bool,
    socket: RouteSocket,
}

impl Worker {
    fn run(&mut self) {
        realtime::ask_to_run_soon();
        while let Some(Batch { deletes, adds, looks, .. }) = self.desk.pick() {
            let answers = remove(&mut self.socket, &routes_of(&deletes));
            self.report(RouteOp::Delete, &deletes, answers);
            let answers = self.socket.look(&routes_of(&looks)).into_iter().map(Settled::seen).collect();
            self.report(RouteOp::None, &looks, answers);
            let answers = self.add(&adds);
            self.report(RouteOp::Add, &adds, answers);
        }
    }

    fn add(&mut self, jobs: &[Job]) -> Vec<Settled> {
        let wanted: Vec<Wanted> = jobs.iter().map(Job::wanted).collect();
        install_over_interfaces(&mut self.socket, &wanted, self.take_over)
    }

    fn report(&mut self, op: RouteOp, jobs: &[Job], answers: Vec<Settled>) {
        if jobs.is_empty() {
            return;
        }
        self.desk.tell(|orders| orders.report(op, jobs, answers, clock::now()));
    }
}

fn routes_of(jobs: &[Job]) -> Vec<KernelRoute> {
    jobs.iter().map(|job| job.route).collect()
}

/// What the watching thread does for armed routes.
struct Keeper {
    desk: Arc<Desk>,
    /// For listings.
    socket: RouteSocket,
}

impl Keeper {
    fn answer(&mut self, questions: &[Question]) {
        let routes: Vec<KernelRoute> = questions.iter().map(|question| question.route).collect();
        let listed = self.socket.tables(&routes);
        for some in questions.chunks(SUSPECTS_AT_ONCE) {
            self.desk.tell(|orders| {
                let now = clock::now();
                let tell = |question: &Question| match &listed {
                    Ok(listed) => {
                        let route = &question.route;
                        orders.listed(question, listed.holds(route), listed.occupant(route), now)
                    }
                    Err(error) => orders.unlisted(question, *error, now),
                };
                some.iter().filter_map(tell).collect()
            });
        }
    }
}

impl Watcher for Keeper {
    fn heard(&mut self, gone: &[KernelRoute], taken: &[Slot]) {
        let now = clock::now();
        self.desk.change(|orders| {
            gone.iter().for_each(|route| orders.lost(route, now));
            taken.iter().for_each(|slot| orders.taken(slot, now));
        });
    }

    fn suspect(&mut self, suspicion: &Suspicion) {
        let mut from = Some((SessionId(0), RouteId(0)));
        while let Some(start) = from {
            from = self.desk.change(|orders| orders.suspect(suspicion, start, SUSPECTS_AT_ONCE, clock::now()));
        }
    }

    fn work(&mut self) -> Option<Time> {
        let questions = self.desk.change(|orders| {
            orders.handle_timeout(clock::now());
            orders.questions()
        });
        if !questions.is_empty() {
            self.answer(&questions);
        }
        let mut content = self.desk.lock();
        content.keeper_at = content.orders.poll_deadline();
        content.keeper_at
    }

    fn failed(&mut self, reason: String) {
        self.desk.mailbox.put_fatal(fatal("thread that watches the kernel's tables", &reason));
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::sync::mpsc;
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_end_of_a_thread_by_a_panic_is_told_as_fatal() {
        let (ring, rung) = mpsc::channel();
        let mailbox = Arc::new(Mailbox::new(Box::new(move || ring.send(()).unwrap_or(()))));
        let policy = ArmingPolicy { take_over: false, honor_peer_passive: false };
        let arming = Arming::start(policy, Arc::clone(&mailbox)).unwrap();
        let desk = Arc::clone(&arming.desk);
        // Whoever takes the lock after a holder that panicked panics, too.
        let holder = thread::spawn(move || desk.change(|_| panic!("on purpose")));
        assert!(holder.join().is_err());
        arming.desk.wake.notify_one();
        rung.recv_timeout(Duration::from_secs(10)).expect("it is told");
        let fatal = mailbox.drain().fatal.expect("as fatal");
        assert_eq!(fatal.code, "ERR_INTERNAL");
        assert!(fatal.message.contains("route thread"), "{}", fatal.message);
        // Its other threads and the lock are of no more use.
        std::mem::forget(arming);
    }
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
            interface: 1,
            protocol: 186,
            priority: 0,
        };
        let id = RouteId(id);
        let (session, generation) = (SessionId(1), 1);
        ArmedRoute { id, session, generation, route, no_uninstall: false, admin_down: false, adopted: false }
    }

    fn desk() -> Arc<Desk> {
        Arc::new(Desk::new(
            ArmingPolicy { take_over: false, honor_peer_passive: false },
            Arc::new(Mailbox::new(Box::new(|| {}))),
            Box::new(|| {}),
        ))
    }

    #[test]
    fn the_later_word_on_a_route_is_the_one_that_stays() {
        loom::model(|| {
            let desk = desk();
            let words = Arc::new(Mutex::new(0));
            let say = |desk: &Desk, words: &Mutex<u32>| {
                desk.tell(|_| {
                    let mut words = words.lock().unwrap();
                    *words += 1;
                    vec![RouteOutcome {
                        id: RouteId(1),
                        generation: *words,
                        op: RouteOp::None,
                        result: Ok(()),
                        at: clock::now(),
                        duration_us: 0,
                        gone: false,
                        installed: false,
                        restore_at: None,
                    }]
                });
            };
            let other = (Arc::clone(&desk), Arc::clone(&words));
            let keeper = thread::spawn(move || say(&other.0, &other.1));
            say(&desk, &words);
            keeper.join().unwrap();
            assert_eq!(desk.mailbox.drain().routes[0].generation, 2);
        });
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
