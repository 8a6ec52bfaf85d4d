//! What a session sends and when: announcements, periodic packets, answers.

use crate::protocol::jitter::{self, Xorshift32};
use crate::protocol::session::{Handshake, Session};
use crate::protocol::specifics::{Sending, Specifics};
use crate::protocol::state::State;
use crate::protocol::time::Time;
use crate::protocol::{Header, Protocol};

/// An interval is doubled no more often than this while Down: far beyond any ceiling, and far from overflow.
const MOST_DOUBLINGS: u8 = 20;

impl<P: Protocol> Session<P> {
    /// The answer that the peer waits for, if it does: it leaves at once, whatever the transmit timer says.
    pub fn take_answer(&mut self, now: Time) -> Option<P::Bytes> {
        if !self.specifics.take_answer() {
            return None;
        }
        let packet = P::packet(self.header(), self.policy.identity, &self.specifics, true);
        Some(P::encode(&packet, &mut self.specifics, now))
    }

    /// Makes the next packet leave as soon as it may: at once, but not sooner than one interval after the last,
    /// so that a peer which flips our state with every packet cannot drive our rate.
    pub fn announce(&mut self, now: Time) -> Time {
        let earliest = self.last_tx.map_or(now, |last| now.max(last.plus(self.tx_interval_us())));
        let due = self.next_tx.map_or(earliest, |next| next.min(earliest));
        if self.next_tx != Some(due) {
            self.tx_slack_us = 0;
        }
        self.next_tx = Some(due);
        due
    }

    /// The packet to send at `now`.
    pub fn packet(&mut self, now: Time) -> P::Packet {
        self.forget_if_silent(now);
        P::packet(self.header(), self.policy.identity, &self.specifics, false)
    }

    /// The packet to send at `now`, as the wire has it; `None` where the session may send nothing.
    #[inline]
    pub fn datagram(&mut self, now: Time) -> Option<P::Bytes> {
        let packet = self.packet(now);
        if self.sending() == Sending::Nothing {
            self.next_tx = None;
            return None;
        }
        Some(P::encode(&packet, &mut self.specifics, now))
    }

    /// Notes a transmit at `now` and picks the time of the next: the interval with its jitter, backed off while
    /// Down, none once an AdminDown has been said for long enough.
    pub fn compute_next_tx(&mut self, now: Time, random: &mut Xorshift32) -> Option<Time> {
        self.compute_next_tx_with_slack(now, 0, random)
    }

    /// As `compute_next_tx`, for a caller that may send the packet earlier, by `slack_us` or `SLACK_DIVISOR`-th of the interval,
    /// whichever is less.
    pub fn compute_next_tx_with_slack(&mut self, now: Time, slack_us: u16, random: &mut Xorshift32) -> Option<Time> {
        self.end_previous_timers(now);
        let backoff_max_us = u64::from(self.policy.backoff_max_us);
        let interval_us = P::tx_interval_us(self.state, self.tx_interval_us(), self.doublings, backoff_max_us);
        if self.state == State::Down {
            self.doublings = (self.doublings + 1).min(MOST_DOUBLINGS);
        }
        self.tx_slack_us = u16::try_from(interval_us / P::SLACK_DIVISOR).map_or(slack_us, |most| most.min(slack_us));
        let bounds_us = P::jitter_bounds_us(interval_us, self.detect_mult, self.peer.detect_mult);
        let next = now.plus(jitter::between(bounds_us, self.tx_slack_us(), random));
        self.last_tx = Some(now);
        if self.state == State::Init {
            self.init_said.get_or_insert(now);
            self.handshake = Handshake::Unanswered;
        }
        let is_announced = self.state == State::AdminDown && self.announce_until.is_some_and(|until| next > until);
        let is_over = is_announced || self.sending() != Sending::Periodic;
        self.next_tx = (!is_over).then_some(next);
        self.next_tx
    }

    #[inline]
    fn header(&self) -> Header {
        Header {
            state: self.state,
            detect_mult: self.detect_mult,
            local_discr: self.local_discr,
            peer_discr: self.peer.discr,
            // What we advertise is what we do.
            desired_min_tx_us: P::advertised_tx_us(self.state, self.within_bounds(self.tx_min_us)),
            required_min_rx_us: self.within_bounds(self.rx_min_us),
        }
    }

    /// Ends periodic transmits where the session may not send any, and begins them again where it may.
    #[inline]
    pub(super) fn pause_or_resume(&mut self, now: Time) {
        if self.sending() != Sending::Periodic {
            self.next_tx = None;
        } else if self.next_tx.is_none() && self.state != State::AdminDown {
            self.announce(now);
        }
    }
}
