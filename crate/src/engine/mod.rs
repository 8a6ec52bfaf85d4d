//! Sessions by key, and the queue of their deadlines. No I/O and no clock: `handle_*` takes something in, `poll_*`
//! gives something out, and time is a number that the caller brings.

pub(crate) mod calendar;
mod continuation;
pub(crate) mod delay_histogram;
mod detection;
pub(crate) mod histogram;
mod inspection;
pub(crate) mod io;
mod journal;
pub(crate) mod path_key;
pub mod queue;
pub(crate) mod recent_delays;
pub mod repeats;
mod session_table;
pub(crate) mod slot_index;
pub mod state_header;
pub mod state_record;
pub mod state_slot;
pub mod stats;
mod transmission;
mod watching;

use std::collections::VecDeque;
use std::sync::Arc;

use crate::engine::delay_histogram::DelayHistogram;
use crate::engine::journal::Journal;
use crate::engine::queue::{DeadlineQueue, Due};
use crate::engine::recent_delays::RecentDelays;
use crate::engine::repeats::Repeats;
use crate::engine::session_table::{SessionTable, Slot};
use crate::engine::stats::{EndpointId, LinkId, LocalEndpoint, Stats, TransitionCause};
use crate::protocol::discriminators::Key;
use crate::protocol::drop_reason::DropReason;
use crate::protocol::jitter::Xorshift32;
use crate::protocol::liveness::Liveness;
use crate::protocol::policy::Policy;
use crate::protocol::session::{RxOutcome, Session};
use crate::protocol::specifics::Specifics as _;
use crate::protocol::state::State;
use crate::protocol::time::Time;
use crate::protocol::timers::Timers;
use crate::protocol::transition::IgnoreReason;
use crate::protocol::{Demultiplex, Protocol};

pub use crate::engine::io::{
    AddError, Continued, Datagram, Event, Path, ResumeError, SessionId, SessionSpec, Transition, Transmit,
};

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
    /// When the kernel may have held packets back, or dropped them.
    last_held_back: Option<Time>,
    /// No session that is added sends its first packet before this.
    pace: Time,
    /// The slots in which something has changed that a successor needs to know; `None` where nobody writes it down.
    journal: Option<Journal<P>>,
    /// What the kernel takes in by itself; `None` where it hands every packet over.
    repeats: Option<Repeats>,
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
            last_held_back: None,
            pace: Time::from_micros(0),
            journal: None,
            repeats: None,
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
        self.add_session_with(now, spec, P::Options::default(), local_discr)
    }

    /// As `add_session`, with options of the protocol.
    ///
    /// # Errors
    /// As `add_session`.
    pub fn add_session_with(
        &mut self,
        now: Time,
        spec: SessionSpec,
        options: P::Options,
        local_discr: u32,
    ) -> Result<(), AddError> {
        self.sessions.reserve(spec.id, spec.path, local_discr)?;
        let first_tx = self.paced(now);
        let policy = Arc::clone(&self.policy);
        let session = Session::with_options(policy, spec.timers, options, local_discr, now, first_tx);
        let index = self.insert(&spec, session);
        self.schedule_transmit(index);
        let counters = self.stats.at(self.sessions.get(index).endpoint);
        counters.sessions[State::Down as usize] += 1;
        counters.never_up += 1;
        counters.registered += 1;
        // The first transition of a session comes from AdminDown.
        self.report_change(index, State::AdminDown, TransitionCause::RegisterRoute, now, 0);
        self.write_down(index);
        Ok(())
    }

    /// Puts a session into a slot, for which there is room.
    fn insert(&mut self, spec: &SessionSpec, session: Session<P>) -> u32 {
        let endpoint = self.stats.endpoint(LocalEndpoint { link: spec.path.link, local: spec.path.local });
        let path = self.sessions.make_key(spec.path);
        self.sessions.insert(Slot {
            id: spec.id,
            path,
            endpoint,
            peer_port: spec.peer_port,
            min_ttl: spec.min_ttl.unwrap_or(self.policy.min_ttl),
            extended: false,
            detect_scheduled: None,
            session,
        })
    }

    /// Gives a session other timers and another peer port; false where there is none of that id.
    pub fn update_session(&mut self, now: Time, id: SessionId, timers: Timers, peer_port: u16) -> bool {
        let Some(index) = self.sessions.of_id(id) else { return false };
        self.end_repeats(index);
        let slot = self.sessions.get_mut(index);
        slot.session.set_timers(now, timers);
        slot.peer_port = peer_port;
        self.schedule_transmit(index);
        self.write_down(index);
        true
    }

    /// Gives a session another least TTL, as in `SessionSpec`; false where there is none of that id.
    pub fn update_min_ttl(&mut self, id: SessionId, min_ttl: Option<u8>) -> bool {
        let Some(index) = self.sessions.of_id(id) else { return false };
        self.end_repeats(index);
        self.sessions.get_mut(index).min_ttl = min_ttl.unwrap_or(self.policy.min_ttl);
        self.write_down(index);
        true
    }

    /// Gives a session other options of its protocol; false where there is none of that id.
    pub fn update_options(&mut self, now: Time, id: SessionId, options: P::Options) -> bool {
        let Some(index) = self.sessions.of_id(id) else { return false };
        self.end_repeats(index);
        self.sessions.get_mut(index).session.set_options(now, options);
        self.schedule_transmit(index);
        self.write_down(index);
        true
    }

    /// Ends a session without an AdminDown announcement. Gives a link that nothing in the engine refers to any more, if any.
    pub fn remove_session(&mut self, id: SessionId) -> Option<LinkId> {
        let index = self.sessions.of_id(id)?;
        self.end_repeats(index);
        let slot = self.sessions.remove(index);
        self.write_down(index);
        let counters = self.stats.at(slot.endpoint);
        for due in [Due::Transmit, Due::Detect] {
            counters.queued -= u64::from(self.queue.remove(index, due));
        }
        counters.sessions[slot.session.state() as usize] -= 1;
        let is_out = slot.session.state() == State::AdminDown;
        counters.never_up -= u64::from(!slot.session.was_up() && !is_out);
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
        let Datagram { arrival, path, ttl, min_ttl, bytes } = datagram;
        let packet = P::decode(bytes);
        let slot = match &packet {
            Ok(packet) => self.find(path, packet),
            Err(_) => self.sessions.key(path).and_then(|key| self.sessions.of_path(key)),
        };
        let (endpoint, min_ttl) = match slot.map(|index| self.sessions.get(index)) {
            Some(slot) => (slot.endpoint, slot.min_ttl),
            None => {
                let unknown = LocalEndpoint { link: path.link, local: path.local };
                (self.stats.endpoint_of_unknown_peer(unknown), min_ttl)
            }
        };
        let is_from_afar = is_from_afar(ttl, min_ttl);
        match (packet, slot) {
            _ if is_from_afar => self.stats.at(endpoint).rx_invalid[DropReason::Ttl as usize] += 1,
            (Ok(packet), Some(index)) => {
                self.handle_packet(now, arrival, index, &packet);
                if self.journal.is_some() {
                    self.note_news(index);
                }
            }
            (Ok(packet), None) if self.names_no_session(&packet) => {
                self.stats.at(endpoint).rx_invalid[DropReason::ForeignDiscriminator as usize] += 1;
            }
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
                let index = self.sessions.of_discriminator(discr).or_else(|| {
                    // Drawn under a key that has changed since.
                    let index = self.sessions.of_path(self.sessions.key(path)?)?;
                    (self.sessions.get(index).session.local_discr() == discr).then_some(index)
                })?;
                let known = self.sessions.path(self.sessions.get(index).path);
                (known.peer == path.peer).then_some(index)
            }
        }
    }

    /// Whether a packet that belongs to no session names a discriminator that no session has.
    fn names_no_session(&self, packet: &P::Packet) -> bool {
        match P::demultiplex(&P::header(packet)) {
            Demultiplex::Path => false,
            Demultiplex::Discriminator(discr) => self.sessions.of_discriminator(discr).is_none(),
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

    /// Hands a packet to its session; false where that did not accept it.
    fn handle_packet(&mut self, now: Time, arrival: Time, index: u32, packet: &P::Packet) -> bool {
        let slot = self.sessions.get_mut(index);
        let counters = self.stats.at(slot.endpoint);
        counters.rx += 1;
        let was_passive = slot.session.peer_is_passive();
        let next_tx = slot.session.next_tx();
        let heard_before = slot.session.last_rx();
        let heard = slot.session.handle_rx(arrival, packet);
        match heard {
            RxOutcome::Ignored(IgnoreReason::ForeignDiscriminator) => {
                counters.rx_invalid[DropReason::ForeignDiscriminator as usize] += 1;
                return false;
            }
            RxOutcome::Ignored(IgnoreReason::Interval) => {
                counters.rx_invalid[DropReason::Interval as usize] += 1;
                return false;
            }
            RxOutcome::Ignored(IgnoreReason::AdminDown | IgnoreReason::StaleDown) => return false,
            RxOutcome::Dropped(reason) => {
                counters.rx_invalid[reason as usize] += 1;
                return false;
            }
            RxOutcome::Accepted | RxOutcome::Changed(_) => {}
        }
        slot.extended = false;
        // Most packets move the deadline later, and its entry stays.
        let is_scheduled = slot.detection_is_scheduled();
        if let Some(at_least_us) = slot.session.take_round_trip_us()
            && at_least_us > slot.session.detect_time_us()
        {
            self.events.push_back(Event::LongRoundTrip { id: slot.id, at_least_us });
        }
        if let RxOutcome::Changed(from) = heard {
            let local_stall_us = self.note_remote_down(index, from, heard_before.unwrap_or(arrival));
            self.after_change(now, index, from, TransitionCause::HandleRx, arrival, local_stall_us);
        } else {
            if slot.session.peer_is_passive() != was_passive {
                self.events.push_back(Event::PeerPassive { id: slot.id, passive: !was_passive });
            }
            if slot.session.next_tx() != next_tx {
                self.schedule_transmit(index);
            }
            if !is_scheduled {
                self.schedule_detection(index);
            }
        }
        if let Some(bytes) = self.sessions.get_mut(index).session.take_answer(now) {
            self.push_transmit(index, bytes);
        }
        true
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
        self.write_down(index);
        let slot = self.sessions.get_mut(index);
        slot.extended = false;
        let next_tx = slot.session.announce(now);
        self.schedule(index, Due::Transmit, next_tx);
        self.schedule_detection(index);
    }

    fn note_change(&mut self, index: u32, from: State, cause: TransitionCause, at: Time, local_stall_us: u64) {
        if from == State::Up {
            self.end_repeats(index);
        }
        let slot = self.sessions.get(index);
        let to = slot.session.state();
        let counters = self.stats.at(slot.endpoint);
        counters.sessions[from as usize] -= 1;
        counters.sessions[to as usize] += 1;
        // What has not left Up comes Up for the first time. What is out of service is not waited for.
        let is_first_up = to == State::Up && slot.session.flaps() == 0;
        let was_never_up = is_first_up || !slot.session.was_up();
        let [waited, waits] = [from, to].map(|state| was_never_up && !matches!(state, State::AdminDown | State::Up));
        counters.never_up = counters.never_up + u64::from(waits) - u64::from(waited);
        counters.transitions[from as usize][to as usize][cause as usize] += 1;
        if let Some(diagnostics) = slot.session.specifics().diagnostics()
            && to <= State::Down
        {
            counters.count_diagnostics(diagnostics);
        }
        self.report_change(index, from, cause, at, local_stall_us);
    }

    fn report_change(&mut self, index: u32, from: State, cause: TransitionCause, at: Time, local_stall_us: u64) {
        let slot = self.sessions.get(index);
        let session = &slot.session;
        let to = session.state();
        let timestamps = session.timestamps();
        let diagnostics = session.specifics().diagnostics();
        self.events.push_back(Event::Transition(Transition {
            id: slot.id,
            from,
            to,
            reason: session.last_down_reason(),
            cause,
            at,
            local_stall_us,
            peer_passive: session.peer_is_passive(),
            ever_up: session.was_up(),
            conv_start: if to == State::Up { timestamps.conv_up_start } else { timestamps.conv_down_start },
            last_rx: session.last_rx(),
            diagnostics,
        }));
    }

    /// Sets the transmit entry of the queue to the time at which the session sends next, or removes it.
    fn schedule_transmit(&mut self, index: u32) {
        match self.sessions.get(index).session.next_tx() {
            Some(next) => self.schedule(index, Due::Transmit, next),
            None => self.unschedule(index, Due::Transmit),
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
}

/// RFC 5082 §3: what came from afar is dropped, whatever it says.
#[inline]
fn is_from_afar(ttl: Option<u8>, min_ttl: u8) -> bool {
    min_ttl > 0 && ttl.is_none_or(|ttl| ttl < min_ttl)
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
