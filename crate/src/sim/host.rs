//! One host: an engine, the socket before it, the routes behind it, and a thread whose turns come late.

mod links;
mod process;
mod restart;
mod route_checks;
mod routes;

use std::collections::VecDeque;
use std::net::SocketAddr;

use crate::engine::stats::TransitionCause;
use crate::engine::{Datagram, Engine, Event, Path, SessionId, SessionSpec, Transition, Transmit};
use crate::net::send_queue::SendQueue;
use crate::net::tx_socket::Outgoing;
use crate::protocol::liveness::Liveness;
use crate::protocol::state::{DownReason, State};
use crate::protocol::time::Time;
use crate::routes::armed::{ArmedRoute, SessionView};
use crate::routes::legs::Leg;
use crate::routes::planner::RoutePlanner;
use crate::sim::clock::Clock;
use crate::sim::explanations::{self, Turn};
use crate::sim::host_spec::{HostSpec, RouteKind};
use crate::sim::invariant_checker::InvariantChecker;
use crate::sim::kernel::Kernel;
use crate::sim::links::Links;
use crate::sim::network::{Flight, HostId, Waiting};
use crate::sim::notice::Notice;
use crate::sim::random::Random;
use crate::sim::repeat_filter::RepeatFilter;
use crate::sim::route_counts::RouteCounts;
use crate::sim::simulated_protocol::SimulatedProtocol;
use crate::sim::state_file::StateFile;
use crate::sim::violation::Violation;
use crate::sim::wire::SimulatedWire;

/// Our protocol number in the kernel's tables, and another process's.
pub(super) const OURS: u8 = 186;
pub(super) const THEIRS: u8 = 4;

/// As the driver: detect entries that are due within this time are put back to the deadlines of their sessions.
const QUIET_US: u64 = 3_500;

/// The most packets of sessions that are Up which wait for room in the send buffer.
const MOST_OUT: usize = 1_024;

/// How late, at most, the monitor hears of a change by another process.
const NOTICE_US: u64 = 5_000;

/// The simulator's record of a route that follows a session.
#[derive(Clone, Copy, Debug)]
struct Kept {
    armed: ArmedRoute,
    /// The link of its primary.
    link: u32,
    /// Where the kernel held the route at the last check.
    on: Option<Leg>,
    /// A previous process left it on both of its legs.
    was_on_both: bool,
    /// A previous process left the route. Until this time it may stay while its session is Down, unless its session comes Up or
    /// another process deletes it.
    adopted_until: Option<Time>,
    /// Until this time it may wait for its session to come Up: it is adopted, or new and has a backup.
    waits_until: Option<Time>,
    /// When its session was last told to be Up, …
    up_at: Option<Time>,
    /// … and whether, after a flap, no route was in the kernel then, nor on its way there.
    is_damped: bool,
}

/// A simulated host.
pub struct Host<P: SimulatedProtocol = Liveness> {
    /// Its number.
    pub id: HostId,
    /// Its settings.
    pub spec: HostSpec,
    /// Its engine.
    pub engine: Engine<P>,
    /// The transitions that the engine reported while `record` was set.
    pub transitions: Vec<Transition>,
    /// The round trips that the engine reported while `record` was set, in microseconds.
    pub long_round_trips_us: Vec<u64>,
    /// The packets that were sent while `record` was set, with their times.
    pub sent: Vec<(Time, P::Packet)>,
    /// Whether transitions, round trips and packets are recorded.
    pub record: bool,
    /// Its clock.
    pub clock: Clock,
    pub(super) alive: bool,
    pub(super) stalled_until: Option<Time>,
    pub(super) sessions: Vec<SessionSpec>,
    /// Beside each session: its options.
    options: Vec<P::Options>,
    pub(super) transition_count: u64,
    /// Sessions that changed their state since the last recovery check.
    pub(super) changed: Vec<SessionId>,
    wake_at: Option<Time>,
    kernel_at: Option<Time>,
    repeat_filter: RepeatFilter,
    repeats: u64,
    socket: VecDeque<Waiting>,
    send_queue: SendQueue<P::Bytes>,
    /// When each datagram in the send buffer is given up, and where it is to go.
    unsent: VecDeque<(Time, HostId)>,
    dropped: bool,
    /// Datagrams read in this turn.
    read: Vec<Waiting>,
    touched: Vec<SessionId>,
    routes: Vec<Kept>,
    planner: RoutePlanner,
    kernel: Kernel,
    links: Links,
    route_counts: RouteCounts,
    /// The routes were withdrawn, all together.
    are_withdrawn: bool,
    /// Notices that the monitor has not heard yet, each with the time when it hears.
    notices: VecDeque<(Time, Notice)>,
    checker: InvariantChecker,
    state_file: StateFile,
    random: Random,
}

impl<P: SimulatedProtocol> Host<P> {
    pub(super) fn new(id: HostId, spec: HostSpec, mut random: Random) -> Self {
        // Clocks begin at different times, except in tests that count microseconds: those have a drift of 0.
        let offset_us = if spec.clock_ppm == 0 { 0 } else { random.up_to(1 << 40) };
        let kernel = Kernel::new(random.fork(), spec.kernel, THEIRS);
        let (engine, repeat_filter) = process::new_engine(&spec, &mut random);
        Self {
            id,
            spec,
            engine,
            transitions: Vec::new(),
            long_round_trips_us: Vec::new(),
            sent: Vec::new(),
            record: true,
            clock: Clock::new(offset_us, spec.clock_ppm),
            alive: true,
            stalled_until: None,
            sessions: Vec::new(),
            options: Vec::new(),
            transition_count: 0,
            changed: Vec::new(),
            wake_at: None,
            kernel_at: None,
            repeat_filter,
            repeats: 0,
            socket: VecDeque::new(),
            send_queue: SendQueue::new(MOST_OUT),
            unsent: VecDeque::new(),
            dropped: false,
            read: Vec::new(),
            touched: Vec::new(),
            routes: Vec::new(),
            planner: RoutePlanner::new(process::arming(&spec)),
            kernel,
            links: Links::default(),
            route_counts: RouteCounts::default(),
            are_withdrawn: false,
            notices: VecDeque::new(),
            checker: InvariantChecker::default(),
            state_file: StateFile::default(),
            random,
        }
    }

    /// The state of a session.
    ///
    /// # Panics
    /// If no session has this id.
    #[must_use]
    pub fn state(&self, id: u32) -> State {
        self.engine.session(SessionId(id)).expect("a session of this id").0.state()
    }

    /// How many repeats the filter of its kernel took in.
    #[must_use]
    pub fn repeats(&self) -> u64 {
        self.repeats
    }

    pub(super) fn add_session(&mut self, spec: SessionSpec, options: P::Options, now: Time, kinds: &[RouteKind]) {
        self.sessions.push(spec);
        self.options.push(options.clone());
        self.start_session(spec, options, now);
        for kind in kinds {
            self.add_route(spec, *kind, now);
        }
    }

    fn start_session(&mut self, spec: SessionSpec, options: P::Options, now: Time) {
        let discr = self.engine.draw_discriminator();
        self.engine
            .add_session_with(self.clock.local(now), spec, options, discr)
            .expect("an engine with room, and an id that is new");
        self.checker.added(&self.engine, spec.id, spec.path);
        self.wake_at = Some(now);
    }

    /// Takes a session and its routes out of service, or puts them back.
    pub(super) fn admin(&mut self, id: SessionId, down: bool, now: Time) {
        let local = self.clock.local(now);
        if down {
            self.engine.admin_down(local, id)
        } else {
            self.engine.admin_up(local, id)
        }
        for at in 0..self.routes.len() {
            if self.routes[at].armed.session == id {
                self.admin_route(at, down, now);
            }
        }
        self.wake_at = Some(now);
    }

    pub(super) fn update(&mut self, spec: SessionSpec, now: Time) {
        self.engine.update_session(self.clock.local(now), spec.id, spec.timers, spec.peer_port);
        self.checker.touched(&self.engine, spec.id);
        if let Some(known) = self.sessions.iter_mut().find(|known| known.id == spec.id) {
            *known = spec;
        }
        // As a command wakes the thread.
        self.wake_at = self.alive.then_some(now);
    }

    /// A datagram reached the socket.
    pub(super) fn arrive(&mut self, flight: Flight, now: Time) {
        if !self.alive || self.links.is_gone(flight.path.link.0) {
            return;
        }
        let arrival = self.clock.local(now);
        if self.repeat_filter.takes(flight.path, &flight.bytes[..usize::from(flight.length)], arrival) {
            self.repeats += 1;
            return;
        }
        if self.socket.len() >= self.spec.socket_room {
            // A full socket drops the newest.
            self.dropped = true;
            return;
        }
        self.socket.push_back(Waiting { arrival, flight });
        let woken_at = now.plus(self.random.up_to(self.spec.lateness_us));
        self.wake_at = Some(self.wake_at.map_or(woken_at, |at| at.min(woken_at)));
    }

    /// When `run` has something to do next.
    pub(super) fn next(&self) -> Option<Time> {
        let turn_at = self.wake_at.map(|at| self.stalled_until.map_or(at, |until| until.max(at)));
        let heard_at = self.notices.front().map(|(at, _)| *at);
        let hold_end = self.planner.poll_deadline().filter(|_| self.alive).map(|at| self.clock.world(at));
        [turn_at, self.kernel_at, heard_at, hold_end].into_iter().flatten().min()
    }

    /// Another host is reachable again: the packets that waited for its link address leave the send buffer.
    pub(super) fn answered(&mut self, other: HostId) {
        self.unsent.retain(|(_, to)| *to != other);
    }

    /// Runs what is due. Each packet goes to `send`, with its host and its link. `send` says whether the link address of the other host is known. If it is
    /// not, the packet waits in the send buffer.
    pub(super) fn run(&mut self, now: Time, mut send: impl FnMut(HostId, u32, &[u8]) -> bool) -> Result<(), Violation> {
        let mut changed = false;
        if self.stalled_until.is_some_and(|until| until <= now) {
            self.stalled_until = None;
        }
        if self.stalled_until.is_none() && self.wake_at.is_some_and(|at| at <= now) {
            changed = self.turn(now, &mut send)?;
        }
        let heard = self.alive && self.monitor(now);
        if changed || heard || self.planner.has_work() || self.kernel_at.is_some_and(|at| at <= now) {
            self.run_kernel(now)?;
        }
        Ok(())
    }

    /// One turn, in the driver's order: delay, socket, deadlines, events, packets.
    fn turn(&mut self, now: Time, send: &mut impl FnMut(HostId, u32, &[u8]) -> bool) -> Result<bool, Violation> {
        let local = self.clock.local(now);
        let lateness_us = self.engine.poll_deadline().map_or(0, |planned| local.since(planned));
        if lateness_us > 0 {
            self.engine.note_scheduling_delay(local, lateness_us);
        }
        self.tell_links(local);
        let read_until = self.read_socket(local);
        self.engine.handle_timeout(local, read_until);
        self.engine.transmit_ahead(local);
        let changed = self.take_events(local, lateness_us)?;
        self.write_state(local);
        while let Some(transmit) = self.engine.poll_transmit() {
            self.checker.transmitted(&self.engine, local, &transmit)?;
            if let Some(id) = self.checker.session_of(&transmit.path) {
                self.touched.push(id);
            }
            if self.record {
                let packet = P::decode(transmit.bytes.as_ref()).expect("the checker decoded this packet");
                self.sent.push((now, packet));
            }
            self.enqueue(&transmit);
        }
        while self.unsent.front().is_some_and(|(until, _)| *until <= now) {
            self.unsent.pop_front();
        }
        let links = &self.links;
        let mut send = |to, link, bytes: &[u8]| links.is_gone(link) || send(to, link, bytes);
        let mut wire = SimulatedWire { now, room: self.spec.send_room, unsent: &mut self.unsent, send: &mut send };
        self.send_queue.flush(local, &mut wire, self.engine.stats_mut());
        if changed {
            self.checker.balances(&self.engine, local)?;
        }
        for id in self.touched.drain(..) {
            self.checker.has_its_timers(&self.engine, id, local)?;
        }
        self.engine.put_back_detections(local.plus(QUIET_US));
        self.wake_at = if self.socket.is_empty() {
            let deadline = [self.engine.poll_deadline(), self.send_queue.retry_at()].into_iter().flatten().min();
            let deadline = deadline.map(|deadline| self.clock.world(deadline).max(now));
            deadline.map(|at| at.plus(self.random.up_to(self.spec.lateness_us)))
        } else {
            // The next turn follows at once; a turn takes some time.
            Some(now.plus(50))
        };
        Ok(changed)
    }

    fn enqueue(&mut self, transmit: &Transmit<P>) {
        let Transmit { endpoint, path, peer_port, is_probe, bytes, .. } = *transmit;
        let destination = SocketAddr::new(path.peer, peer_port);
        // The links of the simulator have the numbers of their pairs.
        let packet = Outgoing { bytes, destination, source: path.local, source_port: 0, ifindex: path.link.0 };
        if is_probe {
            self.send_queue.put_probe(packet, endpoint);
        } else if let Some(stale) = self.send_queue.put(packet, endpoint) {
            self.engine.stats_mut().at(stale).dropped += 1;
        }
    }

    /// Reads as many datagrams as the turn's budget allows. Returns the time before which no datagram is unread.
    fn read_socket(&mut self, local: Time) -> Time {
        self.read.clear();
        let mut read_until = local;
        for _ in 0..self.spec.read_budget {
            let Some(waiting) = self.socket.pop_front() else { break };
            let Flight { path, ref bytes, length, .. } = waiting.flight;
            let bytes = &bytes[..usize::from(length)];
            let datagram = Datagram { arrival: waiting.arrival, path, ttl: None, min_ttl: 0, bytes };
            // The links of the simulator have the numbers of their pairs.
            self.engine.handle_repeatable(local, datagram, path.link.0);
            if let Some(id) = self.checker.session_of(&path) {
                self.checker.touched(&self.engine, id);
                self.touched.push(id);
            }
            read_until = waiting.arrival;
            self.read.push(waiting);
        }
        if std::mem::take(&mut self.dropped) {
            self.engine.note_socket_drops(local);
        }
        if self.socket.is_empty() { local } else { read_until }
    }

    fn take_events(&mut self, local: Time, lateness_us: u64) -> Result<bool, Violation> {
        let mut changed = false;
        while let Some(event) = self.engine.poll_event() {
            self.checker.reported(local, &event)?;
            let (id, view) = match event {
                Event::Transition(transition) => {
                    changed = true;
                    self.transition_count += 1;
                    self.touched.push(transition.id);
                    // A session that goes on after a restart has not changed its state.
                    if transition.cause != TransitionCause::RegisterRoute || transition.to == State::Down {
                        self.changed.push(transition.id);
                    }
                    let path = self.path(transition.id);
                    let strict = self.spec.require_discriminator;
                    let repeated = self.repeat_filter.heard(&path);
                    let turn = Turn { lateness_us, read: &self.read, unread: &self.socket, repeated, strict };
                    explanations::explain(&self.engine, path, &transition, &turn)?;
                    if transition.to == State::Up {
                        self.note_up(transition.id, local);
                    }
                    if self.record {
                        self.transitions.push(transition);
                    }
                    // As the driver: that it has left Up is told although it is Up again.
                    let view = view(&self.engine, transition.id, transition.conv_start);
                    (transition.id, SessionView { up: view.up && transition.from != State::Up, ..view })
                }
                Event::LongRoundTrip { id, at_least_us } => {
                    if self.record {
                        self.long_round_trips_us.push(at_least_us);
                    }
                    (id, view(&self.engine, id, None))
                }
                Event::PeerPassive { id, .. } => (id, view(&self.engine, id, None)),
            };
            self.planner.session_changed(id, view, local);
            self.note_backups(id, view.up);
        }
        Ok(changed)
    }

    fn path(&self, id: SessionId) -> Path {
        self.sessions.iter().find(|spec| spec.id == id).expect("a session that was added to this host").path
    }

    /// Checks all sessions at the end.
    pub(super) fn check(&self, now: Time) -> Result<(), Violation> {
        let local = self.clock.local(now);
        if !self.alive {
            return Ok(());
        }
        self.checker.balances(&self.engine, local)?;
        self.checker.all_have_their_timers(&self.engine, local)
    }

    /// When a session sends next, by the clock of the world.
    pub(super) fn next_tx(&self, id: SessionId) -> Option<Time> {
        Some(self.clock.world(self.engine.session(id)?.0.next_tx()?))
    }

    /// The thread does not run until this time.
    pub(super) fn stall(&mut self, until: Time) {
        self.stalled_until = Some(self.stalled_until.map_or(until, |other| other.max(until)));
    }
}

fn view<P: SimulatedProtocol>(engine: &Engine<P>, id: SessionId, conv_start: Option<Time>) -> SessionView {
    engine.session(id).map_or_else(SessionView::default, |(session, _)| SessionView {
        up: session.state() == State::Up,
        peer_passive: session.peer_is_passive(),
        peer_admin_down: session.last_down_reason() == DownReason::RemoteAdmin,
        flapped: session.flaps() > 0,
        conv_start,
    })
}
