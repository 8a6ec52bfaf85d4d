//! Sessions by key, and the queue of their deadlines. No I/O and no clock: `handle_*` takes something in, `poll_*`
//! gives something out, and time is a number that the caller brings.

pub mod calendar;
pub mod delay_histogram;
pub mod histogram;
pub mod io;
pub mod path_key;
pub mod queue;
pub mod recent_delays;
mod session_table;
pub mod slot_index;
pub mod stats;

use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::Arc;

use crate::engine::delay_histogram::DelayHistogram;
use crate::engine::queue::{DeadlineQueue, Due};
use crate::engine::recent_delays::RecentDelays;
use crate::engine::session_table::{SessionTable, Slot};
use crate::engine::stats::{EndpointId, LinkId, LocalEndpoint, Stats, TransitionCause};
use crate::protocol::discriminators::Key;
use crate::protocol::drop_reason::DropReason;
use crate::protocol::jitter::Xorshift32;
use crate::protocol::liveness::Liveness;
use crate::protocol::session::{Policy, RxOutcome, Session, Timers};
use crate::protocol::state::State;
use crate::protocol::time::Time;
use crate::protocol::transition::IgnoreReason;
use crate::protocol::{Demultiplex, Protocol};

pub use crate::engine::io::{AddError, Datagram, Event, Path, SessionId, SessionSpec, Transition, Transmit};

/// Thousands of sessions registered together send their first packets this far apart, or closer where the whole
/// of them would not fit into `PACE_SPAN_US`.
const PACE_GAP_US: u64 = 50;
const PACE_SPAN_US: u64 = 1_000_000;

/// At most so many transmits that may not leave yet are skipped, to find others that may.
const MOST_LOOKED_PAST: usize = 4;

/// Room for so many transmits and events is kept when all are taken.
const MOST_KEPT: usize = 1_024;

/// All sessions of one manager.
///
/// The caller's turn: take the time; hand in every datagram that has arrived (`handle_datagram`); run what is due
/// (`handle_timeout`) or asked for (`add_session`, `admin_down`, …); then drain `poll_transmit`, then `poll_event`,
/// then ask `poll_deadline` when to come back at the latest. After any `handle_*` or command all three have to be
/// looked at again. Time never goes back between calls.
pub struct Engine<P: Protocol = Liveness> {
    policy: Arc<Policy<P>>,
    random: Xorshift32,
    sessions: SessionTable<P>,
    queue: DeadlineQueue,
    transmits: VecDeque<Transmit<P>>,
    events: VecDeque<Event>,
    stats: Stats,
    recent_delays: RecentDelays,
    turn_delays: DelayHistogram,
    transmit_delays: DelayHistogram,
    /// How much earlier than it is due a packet may leave.
    tx_slack_us: u16,
    last_socket_drop: Option<Time>,
    /// No session that is added sends its first packet before this.
    pace: Time,
}

impl Engine {
    /// An engine of the liveness protocol without sessions. `seed` starts the generator of the jitter.
    #[must_use]
    pub fn new(policy: Policy, max_sessions: usize, seed: u32) -> Self {
        Self::of_protocol(policy, max_sessions, seed)
    }
}

impl<P: Protocol> Engine<P> {
    /// An engine of any protocol without sessions. `seed` starts the generator of the jitter.
    #[must_use]
    pub fn of_protocol(policy: Policy<P>, max_sessions: usize, seed: u32) -> Self {
        Self {
            policy: Arc::new(policy),
            random: Xorshift32::new(seed),
            sessions: SessionTable::new([seed.into(); 4], max_sessions),
            queue: DeadlineQueue::new(),
            transmits: VecDeque::new(),
            events: VecDeque::new(),
            stats: Stats::default(),
            recent_delays: RecentDelays::default(),
            turn_delays: DelayHistogram::default(),
            transmit_delays: DelayHistogram::default(),
            tx_slack_us: 0,
            last_socket_drop: None,
            pace: Time::from_micros(0),
        }
    }

    /// An engine whose packets may leave earlier than they are due, in company (`transmit_ahead`): by so many
    /// microseconds, or a hundredth of their interval where that is less. They stay within their jitter.
    #[must_use]
    pub fn with_slack(self, tx_slack_us: u16) -> Self {
        Self { tx_slack_us, ..self }
    }

    /// An engine whose discriminators cannot be guessed without the key.
    #[must_use]
    pub fn with_key(self, key: Key) -> Self {
        Self { sessions: self.sessions.with_key(key), ..self }
    }

    /// A discriminator for the session that is added next. Its packets are found without a search; with any other one they
    /// are found, too.
    pub fn draw_discriminator(&mut self) -> u32 {
        self.sessions.draw_discriminator()
    }

    /// Starts a session in Down. Its first packet leaves at once, or paced where many are added together.
    /// `local_discr` is not 0, and drawn (`draw_discriminator`) but for tests that know better.
    ///
    /// # Errors
    /// `Full`, `Exists`, or `DiscriminatorTaken` (draw another one); the engine is as before then.
    pub fn add_session(&mut self, now: Time, spec: SessionSpec, local_discr: u32) -> Result<(), AddError> {
        self.sessions.reserve(spec.id, spec.path, local_discr)?;
        let first_tx = self.paced(now);
        let endpoint = self.stats.endpoint(LocalEndpoint { link: spec.path.link, local: spec.path.local });
        let path = self.sessions.make_key(spec.path);
        let index = self.sessions.insert(Slot {
            id: spec.id,
            path,
            endpoint,
            peer_port: spec.peer_port,
            min_ttl: spec.min_ttl.unwrap_or(self.policy.min_ttl),
            extended: false,
            detect_scheduled: None,
            session: Session::new(Arc::clone(&self.policy), spec.timers, local_discr, now, first_tx),
        });
        self.schedule(index, Due::Transmit, first_tx);
        let counters = self.stats.at(endpoint);
        counters.sessions[State::Down as usize] += 1;
        counters.registered += 1;
        // The first transition of a session comes from AdminDown.
        self.report_change(index, State::AdminDown, TransitionCause::RegisterRoute, now, 0);
        Ok(())
    }

    /// Gives a session other timers and another peer port; false where there is none of that id.
    pub fn update_session(&mut self, now: Time, id: SessionId, timers: Timers, peer_port: u16) -> bool {
        let Some(index) = self.sessions.of_id(id) else { return false };
        let slot = self.sessions.get_mut(index);
        slot.session.set_timers(now, timers);
        slot.peer_port = peer_port;
        if let Some(next) = slot.session.next_tx() {
            self.schedule(index, Due::Transmit, next);
        }
        true
    }

    /// Ends a session without an AdminDown announcement. Gives a link that nothing in the engine refers to any more, if any.
    pub fn remove_session(&mut self, id: SessionId) -> Option<LinkId> {
        let index = self.sessions.of_id(id)?;
        let slot = self.sessions.remove(index);
        let counters = self.stats.at(slot.endpoint);
        for due in [Due::Transmit, Due::Detect] {
            counters.queued -= u64::from(self.queue.remove(index, due));
        }
        counters.sessions[slot.session.state() as usize] -= 1;
        self.stats.left(slot.endpoint)
    }

    /// Takes a session out of service: it says AdminDown for one detection time, then is silent.
    pub fn admin_down(&mut self, now: Time, id: SessionId) {
        let Some(index) = self.sessions.of_id(id) else { return };
        let session = &mut self.sessions.get_mut(index).session;
        let from = session.state();
        if session.admin_down(now) {
            self.after_change(now, index, from, TransitionCause::AdminDown, now, 0);
        }
    }

    /// Puts a session back in service.
    pub fn admin_up(&mut self, now: Time, id: SessionId) {
        let Some(index) = self.sessions.of_id(id) else { return };
        if self.sessions.get_mut(index).session.admin_up(now) {
            self.after_change(now, index, State::AdminDown, TransitionCause::RegisterRoute, now, 0);
        }
    }

    /// Handles one datagram: counted and dropped, or given to its session. Never answered by itself. Gives the scope
    /// that it was counted in.
    pub fn handle_datagram(&mut self, now: Time, datagram: Datagram<'_>) -> EndpointId {
        let Datagram { arrival, path, ttl, bytes } = datagram;
        let packet = P::decode(bytes);
        let slot = match &packet {
            Ok(packet) => self.find(path, packet),
            Err(_) => self.sessions.key(path).and_then(|key| self.sessions.of_path(key)),
        };
        let (endpoint, min_ttl) = match slot.map(|index| self.sessions.get(index)) {
            Some(slot) => (slot.endpoint, slot.min_ttl),
            None => {
                let unknown = LocalEndpoint { link: path.link, local: path.local };
                (self.stats.endpoint_of_unknown_peer(unknown), self.policy.min_ttl)
            }
        };
        // RFC 5082 §3: what came from afar is dropped, whatever it says.
        let is_from_afar = min_ttl > 0 && ttl.is_none_or(|ttl| ttl < min_ttl);
        match (packet, slot) {
            _ if is_from_afar => self.stats.at(endpoint).rx_invalid[DropReason::Ttl as usize] += 1,
            (Ok(packet), Some(index)) => self.handle_packet(now, arrival, index, &packet),
            (Ok(_), None) => self.stats.at(endpoint).unknown_peer += 1,
            (Err(reason), _) => self.stats.at(endpoint).rx_invalid[reason as usize] += 1,
        }
        endpoint
    }

    /// The slot of the session that a packet belongs to.
    fn find(&self, path: Path, packet: &P::Packet) -> Option<u32> {
        let header = P::header(packet);
        match P::demultiplex(&header) {
            Demultiplex::Path => {
                let key = self.sessions.key(path)?;
                self.sessions.of_path_and_discriminator(key, header.peer_discr)
            }
            Demultiplex::Discriminator(discr) => {
                let index = self.sessions.of_discriminator(discr)?;
                let known = self.sessions.path(self.sessions.get(index).path);
                (known.peer == path.peer).then_some(index)
            }
        }
    }

    /// Runs what is due at `now`. The caller has handed in everything that arrived before `read_until`: a session
    /// whose deadline is later is not checked yet, since its packet may be waiting.
    pub fn handle_timeout(&mut self, now: Time, read_until: Time) {
        let detect_until = now.min(read_until);
        while let Some((index, due, at)) = self.queue.first_due(now, detect_until) {
            match due {
                Due::Transmit => self.transmit(now, index, at),
                Due::Detect => self.check_detection(now, detect_until, index),
            }
        }
    }

    /// Sends packets that are not due yet and may leave early, so that they need no turn of their own.
    pub fn transmit_ahead(&mut self, now: Time) {
        let horizon = now.plus(u64::from(self.tx_slack_us));
        let mut looked_past = [None; MOST_LOOKED_PAST];
        let mut free = looked_past.iter_mut();
        while let Some((index, at)) = self.queue.first_of(Due::Transmit).filter(|(_, at)| *at <= horizon) {
            if now.plus(self.sessions.get_mut(index).session.tx_slack_us()) >= at {
                self.transmit(now, index, at);
                continue;
            }
            let Some(place) = free.next() else { break };
            *place = Some((index, at));
            self.queue.remove(index, Due::Transmit);
        }
        for (index, at) in looked_past.into_iter().flatten() {
            self.queue.set(index, Due::Transmit, at);
        }
    }

    /// Moves detect entries before `until` to the deadlines of their sessions, where packets have arrived since:
    /// `poll_deadline` is a time then at which something has to be done.
    pub fn put_back_detections(&mut self, until: Time) {
        while let Some((index, at)) = self.queue.first_of(Due::Detect).filter(|(_, at)| *at < until) {
            let slot = self.sessions.get_mut(index);
            // Every queued session has a detect deadline, never earlier than its queue entry.
            let Some(deadline) = slot.session.detect_deadline().filter(|deadline| *deadline > at) else { return };
            slot.detect_scheduled = Some(deadline);
            self.queue.set(index, Due::Detect, deadline);
        }
    }

    /// Whether `handle_timeout(now, read_until)` would check a detection.
    #[must_use]
    pub fn detection_is_due(&self, now: Time, read_until: Time) -> bool {
        self.queue.first_of(Due::Detect).is_some_and(|(_, at)| at <= now.min(read_until))
    }

    /// Notes that the caller's turn at `now` came so much later than it was meant to.
    pub fn note_scheduling_delay(&mut self, now: Time, delay_us: u64) {
        self.turn_delays.note(delay_us);
        self.recent_delays.note(now, delay_us);
    }

    /// Notes that the kernel reported, at `now`, datagrams which the socket's buffer had no room for.
    pub fn note_socket_drops(&mut self, now: Time) {
        self.last_socket_drop = Some(now);
    }

    /// The next datagram to send.
    pub fn poll_transmit(&mut self) -> Option<Transmit<P>> {
        poll(&mut self.transmits)
    }

    /// The next event.
    pub fn poll_event(&mut self) -> Option<Event> {
        poll(&mut self.events)
    }

    /// When `handle_timeout` has to be called at the latest.
    #[must_use]
    pub fn poll_deadline(&self) -> Option<Time> {
        self.queue.peek()
    }

    /// A session, and when its detection is looked at next.
    #[must_use]
    pub fn session(&self, id: SessionId) -> Option<(&Session<P>, Option<Time>)> {
        let slot = self.sessions.get(self.sessions.of_id(id)?);
        Some((&slot.session, slot.detect_scheduled))
    }

    /// What a session is counted in.
    #[must_use]
    pub fn endpoint(&self, id: SessionId) -> Option<LocalEndpoint> {
        let path = self.sessions.path(self.sessions.get(self.sessions.of_id(id)?).path);
        Some(LocalEndpoint { link: path.link, local: path.local })
    }

    /// How many sessions there are.
    #[must_use]
    pub fn session_count(&self) -> usize {
        self.sessions.len()
    }

    /// The ids of all sessions, in no order.
    pub fn session_ids(&self) -> impl Iterator<Item = SessionId> + '_ {
        self.sessions.iter_from(0).map(|(_, slot)| slot.id)
    }

    /// All sessions from a slot of the table on, in its order: each with its slot, its id, and as `session` gives it.
    pub fn sessions_from(&self, slot: u32) -> impl Iterator<Item = (u32, SessionId, (&Session<P>, Option<Time>))> + '_ {
        self.sessions.iter_from(slot).map(|(index, slot)| (index, slot.id, (&slot.session, slot.detect_scheduled)))
    }

    /// The addresses of all peers, in no order, one for each session.
    pub fn peers(&self) -> impl Iterator<Item = IpAddr> + '_ {
        self.sessions.iter_from(0).map(|(_, slot)| self.sessions.path(slot.path).peer)
    }

    /// The least TTL that any peer's packets may have.
    #[must_use]
    pub fn lowest_min_ttl(&self) -> u8 {
        self.sessions.iter_from(0).map(|(_, slot)| slot.min_ttl).min().unwrap_or(self.policy.min_ttl)
    }

    /// Entries in the queue: at most two per session.
    #[must_use]
    pub fn queue_len(&self) -> usize {
        self.queue.len()
    }

    /// The counters.
    #[must_use]
    pub fn stats(&self) -> &Stats {
        &self.stats
    }

    /// The counters, for what the driver counts itself.
    pub fn stats_mut(&mut self) -> &mut Stats {
        &mut self.stats
    }

    /// The worst scheduling delay so far, in microseconds.
    #[must_use]
    pub fn worst_delay_us(&self) -> u64 {
        self.recent_delays.worst()
    }

    /// How late the caller's turns were.
    #[must_use]
    pub fn turn_delays(&self) -> &DelayHistogram {
        &self.turn_delays
    }

    /// How much later than due packets were handed out; early ones count as punctual.
    #[must_use]
    pub fn transmit_delays(&self) -> &DelayHistogram {
        &self.transmit_delays
    }

    fn handle_packet(&mut self, now: Time, arrival: Time, index: u32, packet: &P::Packet) {
        let slot = self.sessions.get_mut(index);
        let counters = self.stats.at(slot.endpoint);
        counters.rx += 1;
        let was_passive = slot.session.peer_is_passive();
        let next_tx = slot.session.next_tx();
        let heard = slot.session.handle_rx(arrival, packet);
        match heard {
            RxOutcome::Ignored(IgnoreReason::ForeignDiscriminator) => {
                counters.rx_invalid[DropReason::ForeignDiscriminator as usize] += 1;
                return;
            }
            RxOutcome::Ignored(IgnoreReason::Interval) => {
                counters.rx_invalid[DropReason::Interval as usize] += 1;
                return;
            }
            RxOutcome::Ignored(IgnoreReason::AdminDown | IgnoreReason::StaleDown) => return,
            RxOutcome::Accepted | RxOutcome::Changed(_) => {}
        }
        slot.extended = false;
        let detect_time_us = slot.session.detect_time_us();
        if let Some(at_least_us) = slot.session.take_round_trip_us().filter(|us| *us > detect_time_us) {
            self.events.push_back(Event::LongRoundTrip { id: slot.id, at_least_us });
        }
        if let RxOutcome::Changed(from) = heard {
            self.after_change(now, index, from, TransitionCause::HandleRx, arrival, 0);
        } else {
            if slot.session.peer_is_passive() != was_passive {
                self.events.push_back(Event::PeerPassive { id: slot.id, passive: !was_passive });
            }
            if let Some(sooner) = slot.session.next_tx().filter(|next| Some(*next) != next_tx) {
                self.schedule(index, Due::Transmit, sooner);
            }
        }
        self.schedule_detection(index);
    }

    fn transmit(&mut self, now: Time, index: u32, due: Time) {
        self.transmit_delays.note(now.since(due));
        let path = self.sessions.path(self.sessions.get(index).path);
        let slot = self.sessions.get_mut(index);
        self.transmits.push_back(Transmit {
            endpoint: slot.endpoint,
            path,
            peer_port: slot.peer_port,
            is_probe: slot.session.state() <= State::Down,
            bytes: P::encode(&slot.session.packet(now)),
        });
        match slot.session.compute_next_tx_with_slack(now, self.tx_slack_us, &mut self.random) {
            Some(next) => self.schedule(index, Due::Transmit, next),
            None => self.unschedule(index, Due::Transmit),
        }
    }

    /// Checks a session whose detect entry is due: the session expires if its deadline has come, else the entry is scheduled
    /// at the deadline.
    fn check_detection(&mut self, now: Time, detect_until: Time, index: u32) {
        let slot = self.sessions.get_mut(index);
        let is_due = slot.session.detect_deadline().is_some_and(|deadline| deadline <= detect_until);
        slot.detect_scheduled = None;
        self.unschedule(index, Due::Detect);
        if is_due {
            self.expire_or_extend(now, index);
        } else {
            self.schedule_detection(index);
        }
    }

    /// Declares a session Down that was silent for its detection time. Where the silence may be this process's fault, the
    /// detection time is extended by one transmit interval, once.
    fn expire_or_extend(&mut self, now: Time, index: u32) {
        let slot = self.sessions.get_mut(index);
        let silent_since = slot.session.last_rx().unwrap_or(now);
        let delay_us = self.recent_delays.worst_since(silent_since);
        let interval_us = slot.session.tx_interval_us();
        let dropped = self.last_socket_drop.is_some_and(|at| at >= silent_since);
        let late = delay_us > slot.session.detect_time_us() / 4;
        if (dropped || late) && !slot.extended {
            slot.extended = true;
            slot.session.extend_detection(now.plus(interval_us));
            self.stats.at(slot.endpoint).extensions += 1;
            self.schedule_detection(index);
            return;
        }
        let local_stall_us = if slot.extended { delay_us.max(interval_us) } else { delay_us };
        let from = slot.session.state();
        if slot.session.expire_if_due(now) {
            self.stats.at(slot.endpoint).timeouts += 1;
            self.after_change(now, index, from, TransitionCause::DetectTimeout, now, local_stall_us);
        }
    }

    /// After every change of state: counts it, reports it, announces it to the peer, and schedules detection.
    fn after_change(
        &mut self,
        now: Time,
        index: u32,
        from: State,
        cause: TransitionCause,
        at: Time,
        local_stall_us: u64,
    ) {
        self.note_change(index, from, cause, at, local_stall_us);
        let slot = self.sessions.get_mut(index);
        slot.extended = false;
        let next_tx = slot.session.announce(now);
        self.schedule(index, Due::Transmit, next_tx);
        self.schedule_detection(index);
    }

    fn note_change(&mut self, index: u32, from: State, cause: TransitionCause, at: Time, local_stall_us: u64) {
        let slot = self.sessions.get(index);
        let to = slot.session.state();
        let counters = self.stats.at(slot.endpoint);
        counters.sessions[from as usize] -= 1;
        counters.sessions[to as usize] += 1;
        counters.transitions[from as usize][to as usize][cause as usize] += 1;
        self.report_change(index, from, cause, at, local_stall_us);
    }

    fn report_change(&mut self, index: u32, from: State, cause: TransitionCause, at: Time, local_stall_us: u64) {
        let slot = self.sessions.get(index);
        let session = &slot.session;
        let to = session.state();
        let timestamps = session.timestamps();
        self.events.push_back(Event::Transition(Transition {
            id: slot.id,
            from,
            to,
            reason: session.last_down_reason(),
            cause,
            at,
            local_stall_us,
            peer_passive: session.peer_is_passive(),
            conv_start: if to == State::Up { timestamps.conv_up_start } else { timestamps.conv_down_start },
            last_rx: session.last_rx(),
        }));
    }

    /// Schedules detection no later than the session's deadline.
    fn schedule_detection(&mut self, index: u32) {
        let slot = self.sessions.get_mut(index);
        match (slot.session.detect_deadline(), slot.detect_scheduled) {
            (Some(deadline), Some(scheduled)) if scheduled <= deadline => {}
            (Some(deadline), _) => {
                slot.detect_scheduled = Some(deadline);
                self.schedule(index, Due::Detect, deadline);
            }
            (None, Some(_)) => {
                slot.detect_scheduled = None;
                self.unschedule(index, Due::Detect);
            }
            (None, None) => {}
        }
    }

    /// Removes an entry of the queue, and no longer counts it.
    fn unschedule(&mut self, index: u32, due: Due) {
        if self.queue.remove(index, due) {
            let endpoint = self.sessions.get_mut(index).endpoint;
            self.stats.at(endpoint).queued -= 1;
        }
    }

    /// Sets an entry of the queue, and counts it where it is new.
    fn schedule(&mut self, index: u32, due: Due, at: Time) {
        if self.queue.set(index, due, at) {
            let endpoint = self.sessions.get_mut(index).endpoint;
            self.stats.at(endpoint).queued += 1;
        }
    }

    fn paced(&mut self, now: Time) -> Time {
        let gap_us = PACE_GAP_US.min(PACE_SPAN_US / self.sessions.most().max(1) as u64);
        let first_tx = self.pace.max(now).min(now.plus(PACE_SPAN_US));
        self.pace = first_tx.plus(gap_us);
        first_tx
    }
}

/// Takes the first element. An empty queue begins at the front of its memory again, which the processor still has in its
/// cache, and gives back memory beyond `MOST_KEPT` elements.
fn poll<T>(waiting: &mut VecDeque<T>) -> Option<T> {
    let first = waiting.pop_front();
    if first.is_none() {
        waiting.clear();
        waiting.shrink_to(MOST_KEPT);
    }
    first
}
