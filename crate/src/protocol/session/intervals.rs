//! The intervals and the detection time of a session: what both sides' timers come to, and what a change of them means.

use crate::protocol::policy::Policy;
use crate::protocol::session::Session;
use crate::protocol::specifics::Specifics;
use crate::protocol::state::State;
use crate::protocol::time::Time;
use crate::protocol::timers::{PreviousTimers, Timers};
use crate::protocol::{Header, Protocol};

impl<P: Protocol> Session<P> {
    /// RFC 5880 §6.8.7: not faster than either side wants.
    pub fn tx_interval_us(&self) -> u64 {
        let desired = self.desired_tx_us();
        if P::FOLLOWS_SLOW_RECEIVERS {
            return u64::from(self.within_bounds(desired).max(self.peer.rx_min_us));
        }
        u64::from(self.within_bounds(desired.max(self.peer.rx_min_us)))
    }

    /// How often the peer sends: not faster than either side wants.
    pub fn rx_interval_us(&self) -> u64 {
        let Policy { rules, min_tx_floor_us, max_tx_ceil_us, .. } = *self.policy;
        let desired = self.desired_rx_us();
        let agreed = self.peer.tx_min_us.max(desired).max(min_tx_floor_us);
        u64::from(if rules.accepts_slower_peers { agreed } else { agreed.min(max_tx_ceil_us) })
    }

    /// After so much silence the session is Down: the multiplier that counts in this protocol, times the agreed interval (RFC 5880 §6.8.4).
    pub fn detect_time_us(&self) -> u64 {
        u64::from(P::detect_mult(self.detect_mult, self.peer.detect_mult)) * self.rx_interval_us()
    }

    /// For how long the peer, as far as it has told, waits for a packet of this session in Up.
    #[must_use]
    pub fn peer_detect_time_us(&self) -> u64 {
        u64::from(P::detect_mult(self.peer.detect_mult, self.detect_mult))
            * u64::from(self.tx_min_us.max(self.peer.rx_min_us))
    }

    /// Gives the session other timers. They are advertised with the next packet. A slower transmit interval and a faster
    /// receive interval do not count before the peer has heard of them, or is gone (`Protocol::previous_timers_us`).
    pub fn set_timers(&mut self, now: Time, timers: Timers) {
        self.end_previous_timers(now);
        let is_heard = matches!(self.state, State::Init | State::Up);
        let interval_us = self.tx_interval_us();
        let told_us = interval_us * u64::from(self.peer.detect_mult);
        let last_us = P::previous_timers_us(told_us, self.detect_time_us());
        let are_other_intervals = (self.tx_min_us, self.rx_min_us) != (timers.tx_min_us, timers.rx_min_us);
        let previous = PreviousTimers {
            tx_min_us: self.desired_tx_us(),
            rx_min_us: self.desired_rx_us(),
            until: now.plus(last_us),
        };
        if is_heard && (previous.tx_min_us < timers.tx_min_us || previous.rx_min_us > timers.rx_min_us) {
            self.previous = Some(Box::new(previous));
        }
        let Timers { tx_min_us, rx_min_us, detect_mult } = timers;
        (self.tx_min_us, self.rx_min_us, self.detect_mult) = (tx_min_us, rx_min_us, detect_mult);
        // The peer may slow down as soon as it hears of it.
        let allowed = self.last_rx.zip(self.silence_allowed_us()).map(|(last, us)| last.plus(us));
        self.detect_deadline = self.detect_deadline.map(|deadline| allowed.map_or(deadline, |at| at.max(deadline)));
        self.advance_next_transmit(now, interval_us);
        if are_other_intervals {
            self.specifics.intervals_changed(self.state);
            self.pause_or_resume(now);
        }
    }

    /// The transmit interval that is used in the state of the session where this one is agreed, without backing off.
    pub(super) fn interval_in_state_us(&self, agreed_us: u64) -> u64 {
        P::tx_interval_us(self.state, agreed_us, 0, u64::from(self.policy.backoff_max_us))
    }

    pub(super) fn take_peer_timers(&mut self, header: &Header, details: P::PeerDetails) {
        self.peer.tx_min_us = if self.policy.rules.accepts_slower_peers {
            header.desired_min_tx_us.max(self.policy.min_tx_floor_us)
        } else {
            self.within_bounds(header.desired_min_tx_us)
        };
        self.peer.rx_min_us = if P::FOLLOWS_SLOW_RECEIVERS {
            header.required_min_rx_us.max(self.policy.min_tx_floor_us)
        } else {
            self.within_bounds(header.required_min_rx_us)
        };
        self.peer.detect_mult = header.detect_mult;
        self.peer.details = details;
    }

    /// Brings the next packet forward where the interval has become shorter than the previous one: the time between two
    /// packets is never longer than the new interval (RFC 5880 §6.8.3).
    pub(super) fn advance_next_transmit(&mut self, now: Time, previous_interval_us: u64) {
        let previous_us = self.interval_in_state_us(previous_interval_us);
        if matches!(self.state, State::Init | State::Up)
            && self.interval_in_state_us(self.tx_interval_us()) < previous_us
        {
            self.announce(now);
        }
    }

    /// Our transmit interval: the shorter one while the previous timers still count.
    fn desired_tx_us(&self) -> u32 {
        self.previous.as_ref().map_or(self.tx_min_us, |previous| previous.tx_min_us.min(self.tx_min_us))
    }

    /// Our receive interval: the longer one while the previous timers still count.
    fn desired_rx_us(&self) -> u32 {
        self.previous.as_ref().map_or(self.rx_min_us, |previous| previous.rx_min_us.max(self.rx_min_us))
    }

    pub(super) fn end_previous_timers(&mut self, now: Time) {
        if self.previous.as_ref().is_some_and(|previous| previous.until <= now) {
            self.previous = None;
        }
    }

    pub(super) fn silence_allowed_us(&self) -> Option<u64> {
        match self.state {
            State::AdminDown | State::Down => None,
            State::Init => Some(self.detect_time_us().max(self.policy.rules.least_init_us(self.tx_interval_us()))),
            State::Up => Some(self.detect_time_us()),
        }
    }

    pub(super) fn within_bounds(&self, interval_us: u32) -> u32 {
        interval_us.clamp(self.policy.min_tx_floor_us, self.policy.max_tx_ceil_us)
    }
}
