//! The thread of an engine. A turn waits for the socket and the next deadline, reads everything that arrived, lets the engine
//! decide, leaves events in the mailbox, and sends what is due in batches.

mod backup_links;
pub mod command_queue;
mod commands;
pub mod driven;
pub(crate) mod drop_reporter;
pub mod handle;
pub mod mailbox;
mod receive_probe;
mod receiving;
mod resuming;
mod resumption;
mod sending;
pub mod snapshot;
mod statistics;
mod waiter;

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use nix::errno::Errno;
use rustc_hash::FxHashMap;

use crate::driver::backup_links::BackupLinks;
use crate::driver::command_queue::CommandQueue;
use crate::driver::driven::Driven;
use crate::driver::drop_reporter::DropReporter;
use crate::driver::mailbox::Mailbox;
use crate::driver::receive_probe::ReceiveProbe;
use crate::driver::resumption::{Predecessor, Resumption};
use crate::driver::snapshot::StatsReport;
use crate::driver::waiter::{Source, Waiter};
use crate::engine::repeats::Repeats;
use crate::engine::stats::LinkId;
use crate::engine::{Engine, Event, SessionId, Transition};
use crate::net::arrival::Arrivals;
use crate::net::cells::BATCH;
use crate::net::links::Links;
use crate::net::repeat_filter::RepeatFilter;
use crate::net::rx_socket::RxSocket;
use crate::net::send_queue::SendQueue;
use crate::net::socket_filter::SocketFilter;
use crate::net::start_error::StartError;
use crate::protocol::Protocol;
use crate::protocol::policy::Policy;
use crate::protocol::state::{DownReason, State};
use crate::protocol::time::Time;
use crate::routes::armed::{ArmingPolicy, SessionView};
use crate::routes::maintenance::Maintenance;
use crate::routes::shared_planner::OutcomeSink;
use crate::routes::worker::RouteWorker;
use crate::system::clock;
use crate::system::panics;
use crate::system::problem::Problem;
use crate::system::realtime::{self, Realtime};

/// With a deadline so near beyond the slack, packets that arrive do not wake the thread: they carry the time of their arrival, and
/// are read on the turn of that deadline. A turn leaves nothing to be sent within the slack.
const QUIET_BEYOND_SLACK_US: u64 = 500;

/// An AdminDown to all peers is repeated no longer than this.
const ADMIN_DOWN_MAX_US: u64 = 3_000_000;

/// So long a thread that ends by itself waits for the withdrawal of its routes.
const WITHDRAW_WITHIN: Duration = Duration::from_secs(5);

/// How often a free port is looked for that is free in both families.
const PORT_TRIES: usize = 16;

/// What a driver is started with.
pub struct DriverOptions<P: Protocol> {
    /// Where sockets are bound, one address per family.
    pub addresses: Vec<IpAddr>,
    /// The port that packets are received on; 0 takes a free one.
    pub port: u16,
    /// The port that packets of multihop sessions are received on; 0 takes a free one.
    pub multihop_port: u16,
    /// What all sessions share.
    pub policy: Policy<P>,
    /// How many sessions there may be.
    pub max_sessions: usize,
    /// What all armed routes share.
    pub arming_policy: ArmingPolicy,
    /// What is asked of the scheduler.
    pub realtime: Realtime,
    /// Whether routes are withdrawn where the thread ends by itself.
    pub withdraw_on_fatal: bool,
    /// Whether a filter in the kernel takes in repeats.
    pub filter_repeats: bool,
    /// The file in which a successor finds the sessions, and in which those of a predecessor are.
    pub resume: Option<PathBuf>,
}

enum Life {
    Running,
    /// Announces AdminDown until then.
    Closing(Time),
    Over,
}

/// A socket that packets are received on.
struct Receiver {
    socket: RxSocket,
    is_multihop: bool,
    /// Reads that failed since the last that did not.
    errors_in_a_row: u32,
}

impl Receiver {
    fn new(socket: RxSocket, is_multihop: bool) -> Self {
        Self { socket, is_multihop, errors_in_a_row: 0 }
    }
}

/// What packets leave by, and those that wait for it.
struct Sender<P: Driven> {
    outlet: P::Outlet,
    queue: SendQueue<P::Bytes>,
}

pub(crate) struct Driver<P: Driven> {
    engine: Engine<P>,
    addresses: Vec<IpAddr>,
    /// No port was asked for.
    takes_any_port: bool,
    multihop_port: u16,
    receivers: Vec<Receiver>,
    senders: Vec<Sender<P>>,
    links: Links,
    /// The interfaces of multihop sessions: their routes lead over them, their packets have none.
    multihop_links: FxHashMap<SessionId, LinkId>,
    backup_links: BackupLinks,
    commands: Arc<CommandQueue>,
    mailbox: Arc<Mailbox>,
    arming_policy: ArmingPolicy,
    /// Kept here too, since it may begin before a route is armed.
    maintenance: Maintenance,
    /// Started with the first route that is armed.
    route_worker: Option<RouteWorker>,
    realtime: Realtime,
    withdraw_on_fatal: bool,
    waiter: Waiter,
    /// The deadline that the last wait was for.
    planned: Option<Time>,
    arrivals: Arrivals,
    /// Up to when everything that arrived was read.
    read_until: Time,
    read_errors: u64,
    socket_drops: u32,
    /// Of them those that the engine was told of.
    noted_drops: u32,
    looked_for_drops_at: Time,
    socket_filter: SocketFilter,
    /// What takes in repeats; `None` where every packet is handed over.
    repeat_filter: Option<RepeatFilter>,
    drop_reporter: DropReporter,
    receive_probe: ReceiveProbe,
    warned_small_buffer: bool,
    turns: u64,
    life: Life,
    /// The last field, so that whoever waits for the lock of the state file finds the port free.
    resumption: Option<Resumption>,
}

impl<P: Driven> Driver<P> {
    pub(crate) fn new(
        options: DriverOptions<P>,
        commands: Arc<CommandQueue>,
        mailbox: Arc<Mailbox>,
    ) -> Result<Self, StartError> {
        let DriverOptions { addresses, port, multihop_port, policy, max_sessions, arming_policy, realtime, .. } =
            options;
        let withdraw_on_fatal = options.withdraw_on_fatal;
        // First of all: where another process has the file nothing else is touched. Addresses that cannot be bound are told before
        // that: a predecessor that lives would hand over for nothing.
        if options.resume.is_some() {
            open::<P>(&addresses, 0, 1).map_err(StartError::Bind)?;
        }
        let predecessor = options.resume.as_deref().map(Predecessor::lock).transpose()?;
        let (sockets, outlets) = open::<P>(&addresses, port, max_sessions).map_err(StartError::Bind)?;
        let links = Links::new()?;
        let waiter = Waiter::new(&*commands, &links)?;
        for socket in &sockets {
            if policy.min_ttl > 0 {
                socket.tell_ttl()?;
            }
            waiter.add_socket(socket)?;
        }
        let random = || getrandom::u64().map_err(std::io::Error::from);
        let key = [random()?, random()?, random()?, random()?];
        let seed = getrandom::u32().map_err(std::io::Error::from)?;
        let engine = Engine::of_protocol(policy, max_sessions, seed).with_slack(P::TX_SLACK_US).with_key(key);
        let repeat_filter = if options.filter_repeats { repeat_filter::<P>(max_sessions, &mailbox) } else { None };
        let (repeat_filter, engine) = match repeat_filter {
            Some((filter, repeats)) => (Some(filter), engine.with_repeats(repeats)),
            None => (None, engine),
        };
        let mut driver = Self {
            engine: if predecessor.is_some() { engine.with_journal() } else { engine },
            addresses,
            takes_any_port: port == 0,
            multihop_port,
            receivers: sockets.into_iter().map(|socket| Receiver::new(socket, false)).collect(),
            senders: outlets
                .into_iter()
                .map(|outlet| Sender { outlet, queue: SendQueue::new(max_sessions.max(BATCH) * 2) })
                .collect(),
            links,
            multihop_links: FxHashMap::default(),
            backup_links: BackupLinks::default(),
            commands,
            mailbox,
            arming_policy,
            maintenance: Maintenance::default(),
            route_worker: None,
            realtime,
            withdraw_on_fatal,
            waiter,
            planned: None,
            arrivals: Arrivals::new(clock::reading()),
            read_until: clock::now(),
            read_errors: 0,
            socket_drops: 0,
            noted_drops: 0,
            looked_for_drops_at: clock::now(),
            socket_filter: SocketFilter::default(),
            repeat_filter,
            drop_reporter: DropReporter::default(),
            receive_probe: ReceiveProbe::new(random()?),
            warned_small_buffer: false,
            turns: 0,
            life: Life::Running,
            resumption: None,
        };
        driver.filter_as_usual();
        if let Some(predecessor) = predecessor {
            driver.resume(predecessor)?;
        }
        Ok(driver)
    }

    /// How many sessions of a predecessor go on.
    pub(crate) fn resumed(&self) -> usize {
        self.resumption.as_ref().map_or(0, |resumption| resumption.resumed)
    }

    /// Where the first socket is bound.
    pub(crate) fn local_addr(&self) -> nix::Result<SocketAddr> {
        self.receivers.first().ok_or(Errno::EAFNOSUPPORT)?.socket.local_addr()
    }

    pub(crate) fn run(mut self) -> Option<StatsReport> {
        let (mailbox, commands) = (Arc::clone(&self.mailbox), Arc::clone(&self.commands));
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            realtime::ask_to_run_soon();
            for warning in self.realtime.apply() {
                self.mailbox.put_warning(warning);
            }
            // Tells whether datagrams to ourselves come back at all.
            self.send_probe(clock::now());
            while !matches!(self.life, Life::Over) {
                self.turn()?;
            }
            Ok::<StatsReport, Errno>(self.stats())
        }));
        // Commands are not answered from here on. The queue is closed first, so that a caller who waits hears it at once.
        commands.close();
        let fatal = match outcome {
            Ok(Ok(last)) => return Some(last),
            Ok(Err(errno)) => Problem {
                code: format!("{errno:?}"),
                message: format!("the engine's thread has stopped: {}", errno.desc()),
            },
            Err(panic) => Problem {
                code: "ERR_INTERNAL".into(),
                message: format!("the engine's thread has stopped: {}", panics::text(&*panic)),
            },
        };
        // Before it is told, so that whoever hears of it finds the kernel's answers as well.
        if self.withdraw_on_fatal
            && let Some(route_worker) = &self.route_worker
        {
            route_worker.withdraw_all(WITHDRAW_WITHIN);
        }
        mailbox.put_fatal(fatal);
        None
    }

    /// One turn: wait, run commands, read, decide, publish, send.
    fn turn(&mut self) -> nix::Result<()> {
        let now = clock::now();
        let quiet_us = u64::from(P::TX_SLACK_US) + QUIET_BEYOND_SLACK_US;
        self.engine.put_back_detections(now.plus(quiet_us));
        self.planned = self.deadline();
        let woken = self.waiter.wait(now, self.planned, quiet_us)?;
        let woken_at = clock::now();
        self.turns += 1;
        // What the route worker was to tell, and has not yet: a kernel may take long, and a thread may have ended.
        self.mailbox.announce();
        self.end_unclaimed(woken_at);
        if let Some(planned) = self.planned.filter(|planned| *planned <= woken_at) {
            self.engine.note_scheduling_delay(woken_at, woken_at.since(planned));
        }
        if woken.by(Source::Links) {
            self.refresh_links();
        }
        if woken.by(Source::Commands) {
            self.run_commands();
        }
        // Read on every turn: a session whose packets wait in the socket is not silent.
        let read_until = self.read(clock::now())?;
        let read_until = self.read_what_is_held_back(read_until)?;
        let now = clock::now();
        self.look_for_drops(now, read_until);
        self.engine.handle_timeout(now, read_until);
        self.engine.transmit_ahead(now);
        // Events go before packets: each moment that a route stays costs traffic into a path that is known not to work.
        self.publish_events(now);
        // Before the packets: a successor must not know less than the peers.
        self.write_state(now);
        self.send(now);
        if let Life::Closing(until) = self.life
            && now >= until
        {
            self.life = Life::Over;
        }
        Ok(())
    }

    fn deadline(&self) -> Option<Time> {
        let leave_at = if let Life::Closing(until) = self.life { Some(until) } else { None };
        let retry_at = self.senders.iter().filter_map(|sender| sender.queue.retry_at()).min();
        let claim_until = self.resumption.as_ref().and_then(|resumption| resumption.claim_until);
        [self.engine.poll_deadline(), retry_at, leave_at, claim_until].into_iter().flatten().min()
    }

    /// Leaves the changes of sessions in the mailbox, then hands them to the route worker. In this order, so that JavaScript
    /// finds the transition of a session before the outcome of its route; the mailbox costs two microseconds. The worker wakes
    /// JavaScript, which would run for a millisecond first where both have one core.
    fn publish_events(&mut self, now: Time) {
        let events: Vec<Event> = std::iter::from_fn(|| self.engine.poll_event()).collect();
        if events.is_empty() {
            return;
        }
        self.mailbox.leave_events(events.iter().copied());
        // While the thread is closing, sessions that go AdminDown leave their routes as they are.
        let (Some(route_worker), Life::Running) = (&self.route_worker, &self.life) else {
            return self.mailbox.announce();
        };
        let view_of = |event: &Event| match *event {
            Event::Transition(change) => (change.id, self.view_after(&change)),
            Event::PeerPassive { id, .. } | Event::LongRoundTrip { id, .. } => (id, self.view(id, None)),
        };
        route_worker.sessions_changed(now, events.iter().map(view_of).collect());
    }

    /// A session after a transition. That it has left Up is told although it is Up again: damping counts it.
    fn view_after(&self, change: &Transition) -> SessionView {
        let view = self.view(change.id, change.conv_start);
        SessionView { up: view.up && change.from != State::Up, ..view }
    }

    fn view(&self, id: SessionId, conv_start: Option<Time>) -> SessionView {
        self.engine.session(id).map_or_else(SessionView::default, |(session, _)| SessionView {
            up: session.state() == State::Up,
            peer_admin_down: session.last_down_reason() == DownReason::RemoteAdmin,
            peer_passive: session.peer_is_passive(),
            flapped: session.flaps() > 0,
            conv_start,
        })
    }

    fn start_closing(&mut self, now: Time, admin_down: bool, forget: bool) {
        let mut announce_us = 0;
        if admin_down || forget {
            self.forget_state();
        }
        if admin_down {
            let ids: Vec<SessionId> = self.engine.session_ids().collect();
            for id in ids {
                let detect_time_us = self.engine.session(id).map_or(0, |(session, _)| session.detect_time_us());
                announce_us = announce_us.max(detect_time_us.min(ADMIN_DOWN_MAX_US));
                self.engine.admin_down(now, id);
            }
        }
        self.life = Life::Closing(now.plus(announce_us));
    }
}

/// A filter that takes in repeats, and the engine's side of it; a warning where there can be none.
fn repeat_filter<P: Driven>(sessions: usize, mailbox: &Mailbox) -> Option<(RepeatFilter, Repeats)> {
    RepeatFilter::new(sessions, P::PLAIN_LEN)
        .inspect_err(|error| mailbox.put_warning(receiving::filter_refused(error)))
        .ok()
}

/// Binds sockets of all addresses to one port: that of the first where `port` is 0.
fn open<P: Driven>(addresses: &[IpAddr], port: u16, sessions: usize) -> nix::Result<(Vec<RxSocket>, Vec<P::Outlet>)> {
    let at = |port: u16| addresses.iter().map(|address| SocketAddr::new(*address, port)).collect::<Vec<_>>();
    if port != 0 || addresses.len() < 2 {
        return P::open(&at(port), sessions);
    }
    // A port that is free for one family may be taken in the other.
    for _ in 0..PORT_TRIES {
        let (first, _) = P::open(&at(0)[..1], 1)?;
        let port = first[0].local_addr()?.port();
        drop(first);
        match P::open(&at(port), sessions) {
            Err(Errno::EADDRINUSE) => {}
            opened => return opened,
        }
    }
    Err(Errno::EADDRINUSE)
}

#[cfg(test)]
pub(crate) mod tests;

#[cfg(test)]
mod repeat_tests;
