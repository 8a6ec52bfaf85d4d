//! One session: the state table, the intervals, the deadlines. Pure: time comes in as a number, and nothing goes
//! out but return values.

mod continuation;
mod intervals;
mod sending;

pub(crate) use continuation::Known;

use std::sync::Arc;

use crate::protocol::drop_reason::DropReason;
use crate::protocol::liveness::Liveness;
use crate::protocol::peer_view::PeerView;
use crate::protocol::policy::Policy;
use crate::protocol::rules::MAX_PEER_INTERVAL_US;
use crate::protocol::specifics::{Sending, Specifics};
use crate::protocol::state::{DownReason, State};
use crate::protocol::time::Time;
use crate::protocol::timers::{PreviousTimers, Timers};
use crate::protocol::transition::{IgnoreReason, Names, PeerDiscriminator, Situation, Verdict};
use crate::protocol::{Header, Protocol};

/// What a session did with a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RxOutcome {
    /// Nothing happened, not even a timer was refreshed.
    Ignored(IgnoreReason),
    /// Dropped by the protocol of the session, for this reason.
    Dropped(DropReason),
    /// Accepted, and the state is the same.
    Accepted,
    /// Accepted, and the state is another one than this.
    Changed(State),
}

/// When the session changed; each is `None` until then.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timestamps {
    /// The first valid packet of the Down that we are in, or came Up from.
    pub conv_up_start: Option<Time>,
    /// When the first packet was missing, or one said Down.
    pub conv_down_start: Option<Time>,
    /// When it last came Up.
    pub up_since: Option<Time>,
    /// When it last went Down, or out of service.
    pub down_since: Option<Time>,
    /// When its state last changed.
    pub last_updated: Option<Time>,
}

/// How far the measurement of the handshake's round trip is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
enum Handshake {
    Idle,
    /// We have said Init, and the peer has not yet said Up: that answers it.
    Unanswered,
    Measured,
}

/// The fields are in the order of the declaration. First those that every packet uses, so that they fit into two cache lines
/// of a slot; then those that only changes of state use.
#[derive(Debug)]
#[repr(C)]
pub struct Session<P: Protocol = Liveness> {
    policy: Arc<Policy<P>>,
    last_rx: Option<Time>,
    detect_deadline: Option<Time>,
    /// When the peer's discriminator is forgotten, unless a packet is accepted before.
    forget_at: Option<Time>,
    last_tx: Option<Time>,
    next_tx: Option<Time>,
    local_discr: u32,
    peer: PeerView<P>,
    tx_min_us: u32,
    rx_min_us: u32,
    /// How much earlier than `next_tx` the packet may leave, so that those which are due at nearly the same time leave
    /// together.
    tx_slack_us: u16,
    /// The longest time between two packets since the session came Up, in milliseconds, rounded up.
    worst_gap_ms: u16,
    detect_mult: u8,
    state: State,
    /// Grows with each transmit while Down: the interval is doubled so often.
    doublings: u8,
    handshake: Handshake,
    previous: Option<Box<PreviousTimers>>,
    specifics: P::Specifics,

    last_down_reason: DownReason,
    /// How often it left Up.
    flaps: u16,
    /// The round trip of the handshake that was measured last, at least.
    round_trip_us: u32,
    /// When we first said Init.
    init_said: Option<Time>,
    /// Until when an AdminDown is repeated.
    announce_until: Option<Time>,
    timestamps: Timestamps,
}

impl<P: Protocol> Session<P> {
    /// Every packet uses only the first so many bytes of a session.
    #[cfg(test)]
    pub(crate) const OFTEN_USED: usize = std::mem::offset_of!(Session<P>, last_down_reason);

    /// A session in Down with the default options of its protocol, that wants to send at `first_tx`.
    ///
    /// # Panics
    /// If `local_discr` is 0, which on the wire means "not known" (RFC 5880 §6.8.1).
    #[must_use]
    pub fn new(policy: Arc<Policy<P>>, timers: Timers, local_discr: u32, now: Time, first_tx: Time) -> Self {
        Self::with_options(policy, timers, P::Options::default(), local_discr, now, first_tx)
    }

    /// As `new`, with options.
    ///
    /// # Panics
    /// As `new`.
    #[must_use]
    pub fn with_options(
        policy: Arc<Policy<P>>,
        timers: Timers,
        options: P::Options,
        local_discr: u32,
        now: Time,
        first_tx: Time,
    ) -> Self {
        assert_ne!(local_discr, 0, "a discriminator is never 0");
        let specifics = P::Specifics::new(options, local_discr);
        let sends = specifics.sending(State::Down, false) != Sending::Nothing;
        Self {
            policy,
            last_rx: None,
            detect_deadline: None,
            forget_at: None,
            last_tx: None,
            next_tx: sends.then_some(first_tx),
            local_discr,
            peer: PeerView::default(),
            tx_min_us: timers.tx_min_us,
            rx_min_us: timers.rx_min_us,
            tx_slack_us: 0,
            worst_gap_ms: 0,
            detect_mult: timers.detect_mult,
            state: State::Down,
            doublings: 0,
            handshake: Handshake::Idle,
            previous: None,
            specifics,
            last_down_reason: DownReason::None,
            flaps: 0,
            round_trip_us: 0,
            init_said: None,
            announce_until: None,
            timestamps: Timestamps { down_since: Some(now), last_updated: Some(now), ..Timestamps::default() },
        }
    }

    /// The state.
    pub fn state(&self) -> State {
        self.state
    }

    /// Why the session was last taken Down.
    pub fn last_down_reason(&self) -> DownReason {
        self.last_down_reason
    }

    /// Our discriminator.
    pub fn local_discr(&self) -> u32 {
        self.local_discr
    }

    /// What we want of the session: intervals and detection multiplier.
    pub fn timers(&self) -> Timers {
        Timers { tx_min_us: self.tx_min_us, rx_min_us: self.rx_min_us, detect_mult: self.detect_mult }
    }

    /// What the peer said of itself.
    pub fn peer(&self) -> &PeerView<P> {
        &self.peer
    }

    /// Whether the peer only observes: its routes do not follow the session. False before it said so.
    pub fn peer_is_passive(&self) -> bool {
        P::is_passive(&self.peer.details)
    }

    /// What is specific to a session of this protocol.
    pub fn specifics(&self) -> &P::Specifics {
        &self.specifics
    }

    /// What the session may send.
    pub fn sending(&self) -> Sending {
        self.specifics.sending(self.state, self.peer.discr != 0)
    }

    /// When the session's life changed.
    pub fn timestamps(&self) -> &Timestamps {
        &self.timestamps
    }

    /// Whether the session was Up at some time.
    pub fn was_up(&self) -> bool {
        self.timestamps.up_since.is_some()
    }

    /// How often the session left Up; `u16::MAX` stands for any number beyond.
    pub fn flaps(&self) -> u16 {
        self.flaps
    }

    /// The longest time between two packets since the session last came Up, in milliseconds, rounded up; `u16::MAX` stands
    /// for any time beyond. `None` before the session was Up.
    pub fn worst_gap_ms(&self) -> Option<u16> {
        self.timestamps.up_since.map(|_| self.worst_gap_ms)
    }

    /// The arrival of the last accepted packet.
    pub fn last_rx(&self) -> Option<Time> {
        self.last_rx
    }

    /// When silence makes the session Down; `None` outside of Init and Up.
    pub fn detect_deadline(&self) -> Option<Time> {
        self.detect_deadline
    }

    /// When the next packet is due; `None` where none is.
    pub fn next_tx(&self) -> Option<Time> {
        self.next_tx
    }

    /// How much earlier than `next_tx` the next packet may leave, in microseconds. It stays within its jitter then.
    pub fn tx_slack_us(&self) -> u64 {
        u64::from(self.tx_slack_us)
    }

    /// Gives the round trip of a handshake in microseconds, at least, once: from our first Init to the Up that answers
    /// it, less the interval that the peer may have waited.
    pub fn take_round_trip_us(&mut self) -> Option<u64> {
        if self.handshake != Handshake::Measured {
            return None;
        }
        self.handshake = Handshake::Idle;
        Some(u64::from(self.round_trip_us))
    }

    /// Handles one valid packet. `arrival` is when the kernel received it. What the packet means is the protocol's to say
    /// (`Protocol::receive`).
    pub fn handle_rx(&mut self, arrival: Time, packet: &P::Packet) -> RxOutcome {
        if self.state != State::AdminDown {
            self.forget_if_silent(arrival);
            self.end_previous_timers(arrival);
        }
        if let Err(reason) = self.specifics.authenticate(packet, arrival, self.detect_time_us()) {
            return RxOutcome::Dropped(reason);
        }
        let header = P::header(packet);
        let situation = self.situation(arrival, &header);
        let (to, peer_discr) = match P::receive(self.policy.rules, &situation) {
            Verdict::Ignore(reason) => return RxOutcome::Ignored(reason),
            Verdict::Accept { to, peer_discr } => (to, peer_discr),
        };

        // Arrivals may be reported out of order; silence is counted from the latest.
        let heard_at = self.last_rx.map_or(arrival, |last| last.max(arrival));
        if self.state == State::Up {
            self.note_gap(self.last_rx.map_or(0, |last| heard_at.since(last)));
        }
        self.last_rx = Some(heard_at);
        self.forget_at = None;
        let interval_us = (header.required_min_rx_us < self.peer.rx_min_us).then(|| self.tx_interval_us());
        self.take_peer_timers(&header, P::peer_details(packet));
        if self.specifics.apply(packet) {
            self.previous = None;
        }
        if self.state == State::Down && header.state != State::AdminDown {
            self.timestamps.conv_up_start.get_or_insert(arrival);
        }
        match peer_discr {
            PeerDiscriminator::Learn => self.peer.discr = header.local_discr,
            PeerDiscriminator::Keep => {}
            PeerDiscriminator::Forget => self.peer.discr = 0,
        }
        if header.state == State::AdminDown {
            self.last_down_reason = DownReason::RemoteAdmin;
        }
        if P::MEASURES_ROUND_TRIP && header.state == State::Up && situation.names == Names::Us {
            self.measure_round_trip(arrival);
        }
        let from = self.state;
        if to != from {
            let reason =
                if header.state == State::AdminDown { DownReason::RemoteAdmin } else { DownReason::RemoteDown };
            self.enter(to, arrival, reason, arrival);
        }
        self.detect_deadline = self.silence_allowed_us().map(|us| heard_at.plus(us));
        if let Some(interval_us) = interval_us {
            self.advance_next_transmit(arrival, interval_us);
        }
        self.pause_or_resume(arrival);
        if to != from {
            return RxOutcome::Changed(from);
        }
        if to == State::Down && self.policy.rules.forgets_after_silence {
            self.forget_at = Some(heard_at.plus(self.detect_time_us()));
        }
        RxOutcome::Accepted
    }

    /// Whether this packet, which was handled just now, would change nothing but the time at which the peer was heard if it came
    /// again.
    pub(crate) fn may_repeat(&self, packet: &P::Packet) -> bool {
        let header = P::header(packet);
        self.state == State::Up
            && header.local_discr == self.peer.discr
            // While previous timers count, a packet after their end changes the detection time.
            && self.previous.is_none()
            && self.specifics.may_repeat(packet)
    }

    /// The last packet came again until `heard_at`: what `handle_rx` does with it then. `worst_gap_us` is the longest time between
    /// two of them.
    pub(crate) fn note_repeats(&mut self, heard_at: Time, worst_gap_us: u64) {
        self.note_gap(worst_gap_us);
        self.last_rx = Some(heard_at);
        self.detect_deadline = self.silence_allowed_us().map(|us| heard_at.plus(us));
    }

    /// Gives the session other options of its protocol.
    pub fn set_options(&mut self, now: Time, options: P::Options) {
        self.specifics.set_options(options);
        self.pause_or_resume(now);
    }

    /// Declares the session Down if it has been silent for too long. The caller has first read everything that
    /// arrived before `now`.
    pub fn expire_if_due(&mut self, now: Time) -> bool {
        if self.detect_deadline.is_none_or(|deadline| deadline > now) {
            return false;
        }
        let missing_since = self.last_rx.map_or(now, |last| last.plus(self.rx_interval_us()));
        self.enter(State::Down, now, DownReason::Timeout, missing_since);
        true
    }

    /// Extends the detection time to `deadline`, where that is later: for a silence that may be this process's fault.
    pub fn extend_detection(&mut self, deadline: Time) {
        self.detect_deadline = self.detect_deadline.map(|known| known.max(deadline));
    }

    /// Takes the session out of service: AdminDown is sent at once, repeated for one detection time, then the
    /// session is silent. False where it was AdminDown already.
    pub fn admin_down(&mut self, now: Time) -> bool {
        if self.state == State::AdminDown {
            return false;
        }
        let detect_time_us = self.detect_time_us();
        self.enter(State::AdminDown, now, DownReason::LocalAdmin, now);
        let interval_us = self.interval_in_state_us(self.tx_interval_us());
        let told_us = u64::from(self.detect_mult) * interval_us;
        self.announce_until = Some(now.plus(P::announcement_us(told_us, detect_time_us)));
        true
    }

    /// Puts the session back in service, in Down. False where it was not AdminDown.
    pub fn admin_up(&mut self, now: Time) -> bool {
        if self.state != State::AdminDown {
            return false;
        }
        if self.policy.rules.forgets_after_silence {
            // No packet was accepted out of service: the peer may have restarted since, or remember a predecessor of ours.
            self.peer.discr = 0;
        }
        self.enter(State::Down, now, DownReason::LocalAdmin, now);
        true
    }

    fn situation(&self, arrival: Time, header: &Header) -> Situation {
        let rules = self.policy.rules;
        Situation {
            state: self.state,
            received: header.state,
            names: match header.peer_discr {
                discr if discr == self.local_discr => Names::Us,
                0 => Names::Nobody,
                _ => Names::Another,
            },
            knows_peer: self.peer.discr != 0,
            requires_discriminator: self.policy.require_discriminator,
            interval_is_followed: !rules.accepts_slower_peers || header.desired_min_tx_us <= MAX_PEER_INTERVAL_US,
            is_newly_up: header.state == State::Down && self.is_newly_up(arrival),
        }
    }

    fn measure_round_trip(&mut self, arrival: Time) {
        if self.handshake == Handshake::Unanswered {
            let answered_us = self.init_said.take().map_or(0, |said| arrival.since(said));
            let round_trip_us = answered_us.saturating_sub(self.rx_interval_us());
            self.round_trip_us = u32::try_from(round_trip_us).unwrap_or(u32::MAX);
            self.handshake = Handshake::Measured;
        }
    }

    fn note_gap(&mut self, gap_us: u64) {
        // Most gaps are shorter than the worst: no division for them.
        if gap_us > u64::from(self.worst_gap_ms) * 1_000 {
            self.worst_gap_ms = u16::try_from(gap_us.div_ceil(1_000)).unwrap_or(u16::MAX);
        }
    }

    fn is_newly_up(&self, arrival: Time) -> bool {
        let came_up = if self.state == State::Up { self.timestamps.up_since } else { None };
        came_up.is_some_and(|since| arrival < since.plus(self.detect_time_us()))
    }

    fn forget_if_silent(&mut self, now: Time) {
        if self.forget_at.is_some_and(|at| at <= now) {
            self.forget_at = None;
            self.peer.discr = 0;
        }
    }

    /// Changes the state. `since` is when the reason for a change out of service began to show.
    fn enter(&mut self, to: State, at: Time, reason: DownReason, since: Time) {
        let from = self.state;
        self.state = to;
        self.specifics.entered(to, reason);
        self.doublings = 0;
        self.timestamps.last_updated = Some(at);
        match to {
            State::Down | State::AdminDown => {
                self.last_down_reason = reason;
                self.detect_deadline = None;
                self.init_said = None;
                self.handshake = Handshake::Idle;
                self.timestamps.down_since = Some(at);
                self.timestamps.conv_up_start = None;
                if self.policy.rules.forgets_after_silence {
                    // Whatever led to Down: else a peer that names another discriminator is never accepted again.
                    self.forget_at = Some(at.plus(self.detect_time_us()));
                }
                if from == State::Up {
                    self.timestamps.conv_down_start = Some(since);
                    self.flaps = self.flaps.saturating_add(1);
                }
                if P::POLLS {
                    // The next Up begins with a Poll.
                    self.previous = None;
                }
            }
            State::Init => {}
            State::Up => {
                self.timestamps.up_since = Some(at);
                self.worst_gap_ms = 0;
                self.timestamps.conv_down_start = None;
            }
        }
    }
}
