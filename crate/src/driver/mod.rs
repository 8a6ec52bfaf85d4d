//! The thread: it waits on the socket and on the next deadline, reads everything that arrived, lets the engine
//! decide, sends what is due in batches, and leaves the news in the mailbox.

pub mod command_queue;
pub mod drop_reporter;
pub mod handle;
pub mod mailbox;
pub mod snapshot;

use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};

use crate::driver::command_queue::{Command, CommandQueue, SessionConfig};
use crate::driver::drop_reporter::DropReporter;
use crate::driver::mailbox::Mailbox;
use crate::driver::snapshot::{EndpointReport, RouteEndpointReport, SnapshotPage, StatsReport};
use crate::engine::stats::{EndpointCounters, LocalEndpoint};
use crate::engine::{AddError, Datagram, Engine, Event, Path, SessionId, SessionSpec, Transmit};
use crate::net::arrival::Arrivals;
use crate::net::links::Links;
use crate::net::send_queue::SendQueue;
use crate::net::socket::{BATCH, Outgoing, UdpSocket, Wire};
use crate::net::socket_filter::{self, FilterChange, SocketFilter};
use crate::net::start_error::StartError;
use crate::protocol::session::Policy;
use crate::protocol::state::State;
use crate::protocol::time::{ClockReading, Time};
use crate::routes::armed::{ArmedRoute, ArmingPolicy, SessionView};
use crate::routes::kernel_route::{RouteError, SystemError};
use crate::routes::outcome::{RouteId, RouteOp, RouteOutcome};
use crate::routes::stats::RouteCounters;
use crate::routes::worker::{OutcomeSink, RouteWorker};
use crate::system::clock;
use crate::system::panics;
use crate::system::problem::Problem;
use crate::system::realtime::{self, Realtime};

/// Batches that one turn reads at most before it looks at its timers: receiving never postpones transmitting.
const READS_PER_TURN: usize = 16;

/// A packet leaves earlier than it is due by this at most, where others leave anyhow: what a program can save is wake-ups.
const TX_SLACK_US: u16 = 1_000;

/// With a deadline so near, packets that arrive do not wake the thread: they carry the time of their arrival, and are read
/// on the turn of that deadline. It is little more than the slack, since a turn leaves nothing to be sent within that.
const QUIET_US: u64 = 1_500;

/// How often the kernel is asked for dropped datagrams where nobody has to be judged.
const LOOK_FOR_DROPS_US: u64 = 100_000;

/// A socket that gives nothing but errors, so often in a row, is dead.
const FATAL_READ_ERRORS: u32 = 1_000;

/// An AdminDown to all peers is repeated no longer than this.
const ADMIN_DOWN_MAX_US: u64 = 3_000_000;

/// What a driver is started with.
pub struct DriverOptions {
    pub bind: SocketAddrV4,
    pub policy: Policy,
    pub max_sessions: usize,
    pub arming_policy: ArmingPolicy,
    pub realtime: Realtime,
}

/// What the thread waits for.
#[derive(Clone, Copy)]
#[repr(u64)]
enum Source {
    Socket,
    Timer,
    CommandQueue,
    Links,
}

enum Life {
    Running,
    /// Says AdminDown until then.
    Leaving(Time),
    Over,
}

pub(crate) struct Driver {
    engine: Engine,
    socket: UdpSocket,
    links: Links,
    commands: Arc<CommandQueue>,
    mailbox: Arc<Mailbox>,
    arming_policy: ArmingPolicy,
    /// Started with the first route that is armed.
    route_worker: Option<RouteWorker>,
    realtime: Realtime,
    /// Wakes for everything.
    epoll: Epoll,
    /// Wakes for everything but the socket.
    quiet_epoll: Epoll,
    timer: TimerFd,
    /// When the timer is set to go off.
    timer_at: Option<Time>,
    /// It went off, and shows that until it is set again.
    timer_shows: bool,
    /// The deadline that the last wait was for.
    planned: Option<Time>,
    arrivals: Arrivals,
    send_queue: SendQueue,
    /// Up to when everything that arrived was read.
    read_until: Time,
    read_errors: u64,
    read_errors_in_a_row: u32,
    socket_drops: u32,
    looked_for_drops_at: Time,
    socket_filter: SocketFilter,
    drop_reporter: DropReporter,
    warned_small_buffer: bool,
    turns: u64,
    life: Life,
}

impl Driver {
    pub(crate) fn new(
        options: DriverOptions,
        commands: Arc<CommandQueue>,
        mailbox: Arc<Mailbox>,
    ) -> Result<Self, StartError> {
        let DriverOptions { bind, policy, max_sessions, arming_policy, realtime } = options;
        let socket = UdpSocket::bind(bind, max_sessions).map_err(StartError::Bind)?;
        if policy.min_ttl > 0 {
            socket.tell_ttl()?;
        }
        let links = Links::new()?;
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        let quiet_epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        let timer = TimerFd::new(ClockId::CLOCK_MONOTONIC, TimerFlags::TFD_CLOEXEC | TimerFlags::TFD_NONBLOCK)?;
        let readable = |source: Source| EpollEvent::new(EpollFlags::EPOLLIN, source as u64);
        epoll.add(&socket, readable(Source::Socket))?;
        for epoll in [&epoll, &quiet_epoll] {
            epoll.add(timer.as_fd(), readable(Source::Timer))?;
            epoll.add(commands.as_fd(), readable(Source::CommandQueue))?;
            epoll.add(&links, readable(Source::Links))?;
        }
        let random = || getrandom::u64().map_err(std::io::Error::from);
        let key = [random()?, random()?, random()?, random()?];
        let seed = getrandom::u32().map_err(std::io::Error::from)?;
        Ok(Self {
            engine: Engine::new(policy, max_sessions, seed).with_slack(TX_SLACK_US).with_key(key),
            socket,
            links,
            commands,
            mailbox,
            arming_policy,
            route_worker: None,
            realtime,
            epoll,
            quiet_epoll,
            timer,
            timer_at: None,
            timer_shows: false,
            planned: None,
            arrivals: Arrivals::new(clock::reading()),
            send_queue: SendQueue::new(max_sessions.max(BATCH) * 2),
            read_until: clock::now(),
            read_errors: 0,
            read_errors_in_a_row: 0,
            socket_drops: 0,
            looked_for_drops_at: clock::now(),
            socket_filter: SocketFilter::default(),
            drop_reporter: DropReporter::default(),
            warned_small_buffer: false,
            turns: 0,
            life: Life::Running,
        })
    }

    /// Where the socket is bound.
    pub(crate) fn local_addr(&self) -> nix::Result<SocketAddrV4> {
        self.socket.local_addr()
    }

    pub(crate) fn run(mut self) -> Option<StatsReport> {
        let (mailbox, commands) = (Arc::clone(&self.mailbox), Arc::clone(&self.commands));
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            realtime::ask_to_run_soon();
            for warning in self.realtime.apply() {
                self.mailbox.put_warning(warning);
            }
            while !matches!(self.life, Life::Over) {
                self.turn()?;
            }
            Ok::<StatsReport, Errno>(self.stats())
        }));
        // From here on nobody answers; whoever asks is to hear that before anything else.
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
        mailbox.put_fatal(fatal);
        None
    }

    /// One turn: wait, read, decide, send, tell.
    fn turn(&mut self) -> nix::Result<()> {
        let woken_by = self.wait()?;
        let woken_at = clock::now();
        self.turns += 1;
        if let Some(planned) = self.planned.filter(|planned| *planned <= woken_at) {
            self.engine.note_scheduling_delay(woken_at, woken_at.since(planned));
        }
        if woken_by(Source::Links) {
            self.refresh_links();
        }
        if woken_by(Source::CommandQueue) {
            self.run_commands();
        }
        // Whatever woke us: a session whose packets sit in the socket is not dead.
        let read_until = self.read(clock::now())?;
        let now = clock::now();
        self.look_for_drops(now, read_until);
        self.engine.handle_timeout(now, read_until);
        self.engine.transmit_ahead(now);
        // Routes first: what a withdrawal costs is traffic into a path that is known not to work.
        self.tell(now);
        self.send(now);
        if let Life::Leaving(until) = self.life
            && now >= until
        {
            self.life = Life::Over;
        }
        Ok(())
    }

    /// Sleeps until something happens or a deadline comes, and tells what it was.
    fn wait(&mut self) -> nix::Result<impl Fn(Source) -> bool + use<>> {
        let now = clock::now();
        self.engine.put_back_detections(now.plus(QUIET_US));
        self.planned = self.deadline();
        let left_us = self.planned.map(|deadline| deadline.since(now));
        let epoll = if left_us.is_some_and(|us| us <= QUIET_US) { &self.quiet_epoll } else { &self.epoll };
        let timeout = if left_us == Some(0) { EpollTimeout::ZERO } else { EpollTimeout::NONE };
        if left_us != Some(0) {
            set_timer(&self.timer, self.planned, &mut self.timer_at, &mut self.timer_shows)?;
        }
        let mut events = [EpollEvent::empty(); 4];
        let count = match epoll.wait(&mut events, timeout) {
            Err(Errno::EINTR) => 0,
            result => result?,
        };
        let woken = events[..count].iter().fold(0u64, |woken, event| woken | 1 << event.data());
        let by = move |source: Source| woken & (1 << source as u64) != 0;
        self.timer_shows |= by(Source::Timer);
        Ok(by)
    }

    fn deadline(&self) -> Option<Time> {
        let leave_at = if let Life::Leaving(until) = self.life { Some(until) } else { None };
        [self.engine.poll_deadline(), self.send_queue.retry_at(), leave_at].into_iter().flatten().min()
    }

    /// Reads the socket until it is empty, or until everything is read that arrived before this began, or until
    /// the turn's budget is used. Gives the time up to which nothing is left unread.
    fn read(&mut self, began: Time) -> nix::Result<Time> {
        let mut asked_at = began;
        let mut read_until = began;
        for _ in 0..READS_PER_TURN {
            let count = match self.socket.receive() {
                Ok(count) => count,
                Err(errno) => return self.after_read_error(errno),
            };
            self.read_errors_in_a_row = 0;
            if count > 0 {
                read_until = self.read_batch(clock::reading());
            }
            if count < BATCH {
                self.arrivals.drained();
                read_until = asked_at;
                break;
            }
            if read_until >= began {
                break;
            }
            asked_at = clock::now();
        }
        self.read_until = read_until;
        Ok(read_until)
    }

    /// Hands the batch that was just read, and both clocks after it, to the engine; gives the arrival of its last datagram.
    fn read_batch(&mut self, reading: ClockReading) -> Time {
        self.arrivals.observe(reading);
        let mut last_arrival = reading.monotonic;
        let mut began = Instant::now();
        for received in self.socket.received() {
            last_arrival = self.arrivals.arrival(received.stamp_wall_us);
            let link = self.links.by_index(received.ifindex);
            let path = Path { link, local: received.local, peer: *received.source.ip() };
            let datagram = Datagram { arrival: last_arrival, path, ttl: received.ttl, bytes: received.bytes };
            let endpoint = self.engine.handle_datagram(reading.monotonic, datagram);
            // One reading per packet: the end of one is the beginning of the next.
            let ended = Instant::now();
            let took_ns = u64::try_from(ended.duration_since(began).as_nanos()).unwrap_or(u64::MAX);
            self.engine.stats_mut().at(endpoint).handle_rx.observe(took_ns);
            began = ended;
        }
        self.report_drops(reading.monotonic);
        last_arrival
    }

    fn report_drops(&mut self, now: Time) {
        for (kind, count) in self.drop_reporter.news(self.engine.stats(), now) {
            let message = format!("{count} received packets were dropped: {kind}");
            self.mailbox.put_warning(Problem { code: "ERR_PACKETS_DROPPED".into(), message });
        }
    }

    /// What waits in the socket is still there: nobody is judged by more than what was read before.
    fn after_read_error(&mut self, errno: Errno) -> nix::Result<Time> {
        self.read_errors += 1;
        self.read_errors_in_a_row += 1;
        if self.read_errors_in_a_row >= FATAL_READ_ERRORS {
            return Err(errno);
        }
        Ok(self.read_until)
    }

    /// Asks the kernel for drops where a session is about to be judged, and now and then: a drop that is noted late is taken
    /// for a later one.
    fn look_for_drops(&mut self, now: Time, read_until: Time) {
        if self.engine.detection_is_due(now, read_until) || now.since(self.looked_for_drops_at) >= LOOK_FOR_DROPS_US {
            self.looked_for_drops_at = now;
            let drops = self.socket.drops();
            let dropped = drops != self.socket_drops;
            if dropped {
                self.socket_drops = drops;
                self.engine.note_socket_drops(now);
            }
            match self.socket_filter.look(now, dropped, self.engine.stats()) {
                Some(FilterChange::Attach) => {
                    self.attach_filter();
                    self.warn_of_overflow(now);
                }
                // There is nothing to lower where the kernel took no program.
                Some(FilterChange::Detach) => drop(self.socket.filter_nothing()),
                None => {}
            }
        }
    }

    /// A kernel that has no room for all the peers gets the form of a packet only; what it refuses is a shield less.
    fn attach_filter(&mut self) {
        let peers: Vec<Ipv4Addr> = self.engine.peers().collect();
        let min_ttl = self.engine.lowest_min_ttl();
        if self.socket.filter(&mut socket_filter::by_peer(min_ttl, peers)).is_err() {
            let _ = self.socket.filter(&mut socket_filter::by_form(min_ttl));
        }
    }

    fn warn_of_overflow(&mut self, now: Time) {
        if self.socket_filter.is_news(now) {
            let message =
                "the socket overflows with what is no packet of a peer's: the kernel drops it unread until that ends";
            self.mailbox.put_warning(Problem { code: "ERR_SOCKET_OVERFLOW".into(), message: message.into() });
        }
    }

    /// Sends what waits and what is new, in this order.
    fn send(&mut self, now: Time) {
        while let Some(transmit) = self.engine.poll_transmit() {
            self.enqueue(&transmit);
        }
        self.send_queue.flush(now, &mut self.socket, self.engine.stats_mut());
        for fault in self.send_queue.faults().news(now) {
            self.mailbox.put_warning(fault);
        }
    }

    /// Makes room for what the sessions send, and tells where the system grants less than they need.
    fn fit_send_buffer(&mut self) {
        let sessions = self.engine.session_count();
        let needed = UdpSocket::send_buffer_for(sessions);
        let granted = self.socket.fit_send_buffer(sessions).unwrap_or_else(|_| self.socket.send_buffer().size);
        if granted < needed && !self.warned_small_buffer {
            self.warned_small_buffer = true;
            let limit = needed / 2;
            let message = format!(
                "the system grants a send buffer of {granted} bytes, and {sessions} sessions need {needed}: it takes CAP_NET_ADMIN, \
                 or net.core.wmem_max of {limit}"
            );
            self.mailbox.put_warning(Problem { code: "ERR_SEND_BUFFER_SMALL".into(), message });
        }
    }

    fn enqueue(&mut self, transmit: &Transmit) {
        let Transmit { endpoint, path, peer_port, is_probe, bytes } = *transmit;
        let destination = SocketAddrV4::new(path.peer, peer_port);
        let Some(ifindex) = self.links.index(path.link) else {
            // The interface does not exist now. The session keeps trying: it may be made again.
            self.engine.stats_mut().at(endpoint).write_errors += 1;
            self.send_queue.faults().refused(Errno::ENODEV, destination);
            return;
        };
        let packet = Outgoing { bytes, destination, source: path.local, ifindex };
        if is_probe {
            self.send_queue.put_probe(packet, endpoint);
        } else if let Some(stale) = self.send_queue.put(packet, endpoint) {
            self.engine.stats_mut().at(stale).dropped += 1;
        }
    }

    /// Tells JavaScript and the route thread of the sessions that changed. JavaScript first: it costs two microseconds,
    /// and so the news of a route comes after the news of its session.
    fn tell(&mut self, now: Time) {
        let events: Vec<Event> = std::iter::from_fn(|| self.engine.poll_event()).collect();
        if events.is_empty() {
            return;
        }
        self.mailbox.put_events(events.iter().copied());
        // Who leaves takes no route along: what its sessions do then moves nothing.
        if let (Some(route_worker), Life::Running) = (&self.route_worker, &self.life) {
            route_worker.sessions_changed(
                now,
                events.iter().map(|event| match *event {
                    Event::Transition(to) => (to.id, self.view(to.id, to.conv_start)),
                    Event::PeerPassive { id, .. } | Event::LongRoundTrip { id, .. } => (id, self.view(id, None)),
                }),
            );
        }
    }

    fn view(&self, id: SessionId, conv_start: Option<Time>) -> SessionView {
        self.engine.session(id).map_or_else(SessionView::default, |(session, _)| SessionView {
            up: session.state() == State::Up,
            peer_passive: session.peer_is_passive(),
            conv_start,
        })
    }

    fn run_commands(&mut self) {
        for command in self.commands.take() {
            let now = clock::now();
            match command {
                Command::AddSessions(configs) => {
                    configs.into_iter().for_each(|config| self.add_session(now, config));
                    self.fit_send_buffer();
                    if self.socket_filter.is_attached() {
                        self.attach_filter();
                    }
                }
                Command::UpdateSessions(configs) => {
                    for config in configs {
                        self.engine.update_session(now, config.id, config.timers, config.peer_port);
                    }
                }
                Command::RemoveSessions(ids) => {
                    for id in ids {
                        if let Some(link) = self.engine.remove_session(id) {
                            self.links.forget(link);
                        }
                    }
                }
                Command::AdminDown(ids) => ids.into_iter().for_each(|id| self.engine.admin_down(now, id)),
                Command::AdminUp(ids) => ids.into_iter().for_each(|id| self.engine.admin_up(now, id)),
                Command::Arm(routes) => self.arm(now, routes),
                Command::Disarm(routes) => {
                    if let Some(route_worker) = &self.route_worker {
                        route_worker.disarm(routes.iter().map(|disarm| (disarm.id, disarm.generation, disarm.remove)));
                    } else {
                        // Nothing is armed that would have to be deleted.
                        let gone = routes.iter().map(|disarm| unarmed(disarm.id, disarm.generation, now, Ok(()), true));
                        self.mailbox.put_outcomes(gone.collect());
                    }
                }
                Command::Retry(routes) => {
                    if let Some(route_worker) = &self.route_worker {
                        route_worker.retry(routes);
                    }
                }
                // Whoever asked may have given up waiting.
                Command::Snapshots(wanted, answer) => drop(answer.send(SnapshotPage::of(&self.engine, &wanted))),
                Command::Stats(answer) => drop(answer.send(self.stats())),
                Command::Close { admin_down } => self.leave(now, admin_down),
                #[cfg(test)]
                Command::Panic => panic!("asked to"),
            }
        }
    }

    /// Learns which interfaces have come, gone or changed their index. Routes lead over the new one then.
    fn refresh_links(&mut self) {
        let before = self.links.indices();
        self.links.refresh();
        let after = self.links.indices();
        if let Some(route_worker) = &self.route_worker
            && before != after
        {
            route_worker.links_changed(after.into_iter().filter(|link| !before.contains(link)));
        }
    }

    fn add_session(&mut self, now: Time, config: SessionConfig) {
        let SessionConfig { id, interface, local, peer, peer_port, timers } = config;
        let path = Path { link: self.links.intern(&interface), local, peer };
        let spec = SessionSpec { id, path, peer_port, timers, min_ttl: None };
        let result = loop {
            let discr = self.engine.draw_discriminator();
            match self.engine.add_session(now, spec, discr) {
                Err(AddError::DiscriminatorTaken) => {}
                result => break result,
            }
        };
        if let Err(error) = result {
            let message = format!("the session {interface} {local} -> {peer} was not started: {error}");
            self.mailbox.put_warning(Problem { code: "ERR_SESSION_REFUSED".into(), message });
        }
    }

    fn arm(&mut self, now: Time, routes: Vec<ArmedRoute>) {
        if self.route_worker.is_none() {
            // Threads that are started from here run where the process may, not where this one is pinned to.
            match realtime::unpinned(|| {
                RouteWorker::start(self.arming_policy, Arc::clone(&self.mailbox) as Arc<dyn OutcomeSink>)
            }) {
                Ok(route_worker) => self.route_worker = Some(route_worker),
                Err(error) => {
                    let cannot_start =
                        RouteError::CannotStart(SystemError(error.raw_os_error().unwrap_or(Errno::EAGAIN as i32)));
                    let failed = |route: ArmedRoute| unarmed(route.id, route.generation, now, Err(cannot_start), false);
                    self.mailbox.put_outcomes(routes.into_iter().map(failed).collect());
                    return;
                }
            }
        }
        if let Some(route_worker) = &self.route_worker {
            route_worker.arm(routes.into_iter().map(|mut route| {
                let endpoint = self.engine.endpoint(route.session).unwrap_or(LocalEndpoint::OTHER);
                route.route.interface = self.links.index(endpoint.link).unwrap_or(0);
                // A session that is Up already converged for the routes that it had then.
                (route, endpoint, self.view(route.session, None))
            }));
        }
    }

    fn stats(&self) -> StatsReport {
        let endpoint = |(endpoint, counters): &(LocalEndpoint, EndpointCounters)| EndpointReport {
            interface: self.links.name(endpoint.link).to_owned(),
            local: endpoint.local,
            counters: counters.clone(),
        };
        let routes = self.route_worker.as_ref().map(RouteWorker::stats).unwrap_or_default();
        let route_scope = |(endpoint, counters): (&LocalEndpoint, &RouteCounters)| RouteEndpointReport {
            interface: self.links.name(endpoint.link).to_owned(),
            local: endpoint.local,
            counters: counters.clone(),
        };
        StatsReport {
            endpoints: self.engine.stats().iter().map(endpoint).collect(),
            routes: routes.iter().map(route_scope).collect(),
            queue_len: self.engine.queue_len(),
            read_errors: self.read_errors,
            // Now, not when it was looked at last.
            socket_drops: self.socket.drops(),
            send_buffer_bytes: self.socket.send_buffer().size,
            send_buffer_full: self.send_queue.times_full(),
            turns: self.turns,
            worst_delay_us: self.engine.worst_delay_us(),
            turn_delays: self.engine.turn_delays().clone(),
            transmit_delays: self.engine.transmit_delays().clone(),
        }
    }

    fn leave(&mut self, now: Time, admin_down: bool) {
        let mut announce_us = 0;
        if admin_down {
            let ids: Vec<SessionId> = self.engine.session_ids().collect();
            for id in ids {
                let detect_time_us = self.engine.session(id).map_or(0, |(session, _)| session.detect_time_us());
                announce_us = announce_us.max(detect_time_us.min(ADMIN_DOWN_MAX_US));
                self.engine.admin_down(now, id);
            }
        }
        self.life = Life::Leaving(now.plus(announce_us));
    }
}

/// What is told of a route where no thread runs that could move it.
fn unarmed(id: RouteId, generation: u32, at: Time, result: Result<(), RouteError>, gone: bool) -> RouteOutcome {
    let op = if gone { RouteOp::None } else { RouteOp::Add };
    RouteOutcome { id, generation, op, result, at, duration_us: 0, gone, installed: false, restore_at: None }
}

/// Sets the timer to another deadline. Setting it also makes one that went off unreadable, without a read.
fn set_timer(timer: &TimerFd, deadline: Option<Time>, set_to: &mut Option<Time>, shows: &mut bool) -> nix::Result<()> {
    if deadline == *set_to && !*shows {
        return Ok(());
    }
    match deadline {
        Some(at) => {
            let at = TimeSpec::from_duration(Duration::from_micros(at.micros()));
            timer.set(Expiration::OneShot(at), TimerSetTimeFlags::TFD_TIMER_ABSTIME)?;
        }
        None => timer.unset()?,
    }
    (*set_to, *shows) = (deadline, false);
    Ok(())
}

#[cfg(test)]
pub(crate) mod tests {
    use std::net::UdpSocket as StdSocket;
    use std::thread;

    use super::*;
    use crate::protocol::drop_reason::DropReason;
    use crate::protocol::liveness::packet::{ControlPacket, PACKET_LEN};
    use crate::protocol::rules::ROBUST;
    use crate::protocol::session::Timers;

    const LOCALHOST: Ipv4Addr = Ipv4Addr::LOCALHOST;

    pub(crate) fn options() -> DriverOptions {
        DriverOptions {
            bind: SocketAddrV4::new(LOCALHOST, 0),
            policy: Policy {
                rules: &ROBUST,
                min_tx_floor_us: 50_000,
                max_tx_ceil_us: 1_000_000,
                backoff_max_us: 1_000_000,
                require_discriminator: false,
                min_ttl: 0,
                identity: None,
            },
            max_sessions: 5_000,
            arming_policy: ArmingPolicy { take_over: false, honor_peer_passive: false },
            realtime: Realtime::default(),
        }
    }

    pub(crate) fn mailbox() -> Arc<Mailbox> {
        Arc::new(Mailbox::new(Box::new(|| {})))
    }

    fn driver() -> Driver {
        Driver::new(options(), Arc::new(CommandQueue::new().unwrap()), mailbox()).unwrap()
    }

    pub(crate) fn config(peer_port: u16, interface: &str) -> SessionConfig {
        SessionConfig {
            id: SessionId(1),
            interface: interface.into(),
            local: LOCALHOST,
            peer: LOCALHOST,
            peer_port,
            timers: Timers { tx_min_us: 50_000, rx_min_us: 50_000, detect_mult: 3 },
        }
    }

    fn peer() -> StdSocket {
        let peer = StdSocket::bind((LOCALHOST, 0)).unwrap();
        peer.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        peer
    }

    #[test]
    fn a_socket_full_of_garbage_does_not_postpone_what_is_due() {
        let mut driver = driver();
        let peer = peer();
        let garbage = [0; 40];
        for _ in 0..3 * READS_PER_TURN * BATCH {
            peer.send_to(&garbage, driver.socket.local_addr().unwrap()).unwrap();
        }
        driver.add_session(clock::now(), config(peer.local_addr().unwrap().port(), "lo"));
        driver.turn().unwrap();
        let mut bytes = [0; 64];
        assert_eq!(peer.recv(&mut bytes).unwrap(), 40, "the session was probed in that turn");
        assert!(driver.socket.receive().unwrap() > 0, "although there was more to read");
    }

    #[test]
    fn nobody_is_judged_by_a_turn_that_could_not_read_everything() {
        let mut driver = driver();
        let peer = peer();
        for _ in 0..3 * READS_PER_TURN * BATCH {
            peer.send_to(&[0; 40], driver.socket.local_addr().unwrap()).unwrap();
        }
        let began = clock::now();
        assert!(driver.read(clock::now()).unwrap() < began, "what arrived last was not read");
        while driver.read(clock::now()).unwrap() < began {}
    }

    #[test]
    fn nobody_is_judged_by_a_read_that_failed() {
        let mut driver = driver();
        let before = driver.read(clock::now()).unwrap();
        driver.socket = UdpSocket::broken();
        thread::sleep(Duration::from_millis(2));
        assert_eq!(driver.read(clock::now()).unwrap(), before);
        assert_eq!(driver.read_errors, 1);
    }

    #[test]
    fn a_session_on_an_interface_that_does_not_exist_keeps_its_timers_and_counts_its_errors() {
        let mut driver = driver();
        driver.add_session(clock::now(), config(9, "nosuch0"));
        driver.turn().unwrap();
        assert!(driver.engine.poll_deadline().is_some());
        let errors: u64 = driver.engine.stats().iter().map(|(_, counters)| counters.write_errors).sum();
        assert_eq!(errors, 1);
        let told = driver.mailbox.drain().warnings;
        assert_eq!(told.iter().map(|it| it.code.as_str()).collect::<Vec<_>>(), ["ENODEV"]);
        assert!(told[0].message.contains("127.0.0.1:9"), "{}", told[0].message);
    }

    #[test]
    fn a_packet_from_afar_is_counted_and_not_heard_where_only_neighbours_are() {
        for (min_ttl, ttl, refused) in [(0, 1, 0), (255, 254, 1), (255, 255, 0), (1, 1, 0)] {
            let policy = Policy { min_ttl, ..options().policy };
            let options = DriverOptions { policy, ..options() };
            let mut driver = Driver::new(options, Arc::new(CommandQueue::new().unwrap()), mailbox()).unwrap();
            let peer = peer();
            peer.set_ttl(ttl).unwrap();
            peer.send_to(&[0; 40], driver.socket.local_addr().unwrap()).unwrap();
            driver.turn().unwrap();
            let invalid = driver.engine.stats().iter().fold([0; 2], |[ttl, version], (_, counters)| {
                let of = |why: DropReason| counters.rx_invalid[why as usize];
                [ttl + of(DropReason::Ttl), version + of(DropReason::Version)]
            });
            assert_eq!(invalid, [refused, 1 - refused], "{ttl} where the least is {min_ttl}");
        }
    }

    #[test]
    fn what_is_sent_has_the_highest_ttl() {
        let mut driver = driver();
        let receiver = UdpSocket::bind(SocketAddrV4::new(LOCALHOST, 0), 1).unwrap();
        receiver.tell_ttl().unwrap();
        driver.add_session(clock::now(), config(receiver.local_addr().unwrap().port(), "lo"));
        driver.turn().unwrap();
        let mut receiver = receiver;
        assert_eq!(receiver.receive().unwrap(), 1);
        assert_eq!(receiver.received().next().unwrap().ttl, Some(255));
    }

    #[test]
    fn a_packet_arrives_when_the_kernel_got_it_not_when_it_was_read() {
        let mut driver = driver();
        let peer = peer();
        // The kernel begins to stamp a little after it was asked to.
        let stamped = (0..50).any(|_| {
            peer.send_to(&[0; 40], driver.socket.local_addr().unwrap()).unwrap();
            let sent = clock::now();
            thread::sleep(Duration::from_millis(20));
            assert_eq!(driver.socket.receive().unwrap(), 1);
            driver.read_batch(clock::reading()) < sent.plus(20_000)
        });
        assert!(stamped);
    }

    #[test]
    fn a_wall_clock_that_is_stepped_by_an_hour_moves_no_arrival_out_of_the_time_it_waited() {
        let mut driver = driver();
        let peer = peer();
        driver.add_session(clock::now(), config(peer.local_addr().unwrap().port(), "lo"));
        driver.turn().unwrap();
        let mut bytes = [0; PACKET_LEN];
        peer.recv(&mut bytes).unwrap();
        let packet = ControlPacket::unmarshal(&bytes).unwrap();
        let answer =
            ControlPacket { state: State::Up, local_discr: 7, peer_discr: packet.local_discr, ..packet }.marshal();
        // What waits in the socket was stamped before the step; the clock goes back to where it was between two steps.
        for step_us in [3_600_000_000, -3_600_000_000, 0, 2_000, -2_000] {
            for step_us in [step_us, 0] {
                let sent = clock::now();
                peer.send_to(&answer, driver.socket.local_addr().unwrap()).unwrap();
                thread::sleep(Duration::from_millis(2));
                assert_eq!(driver.socket.receive().unwrap(), 1);
                let reading = clock::reading();
                driver.read_batch(ClockReading { wall_us: reading.wall_us + step_us, ..reading });
                driver.arrivals.drained();
                let (session, _) = driver.engine.session(SessionId(1)).unwrap();
                let heard = session.last_rx().expect("a valid packet");
                assert!(
                    heard.plus(1) >= sent && heard <= reading.monotonic,
                    "{step_us}: {sent:?} {heard:?} {reading:?}"
                );
                assert!(session.detect_deadline() > Some(reading.monotonic));
            }
        }
    }
}
