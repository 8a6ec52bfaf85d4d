//! When the engine sends: what is due, what may leave early, and the pace of first packets.

use crate::engine::Engine;
use crate::engine::io::Transmit;
use crate::engine::queue::Due;
use crate::protocol::Protocol;
use crate::protocol::specifics::Specifics as _;
use crate::protocol::state::State;
use crate::protocol::time::Time;

/// Thousands of sessions registered together send their first packets this far apart, or closer where the whole
/// of them would not fit into `PACE_SPAN_US`.
const PACE_GAP_US: u64 = 50;
const PACE_SPAN_US: u64 = 1_000_000;

/// At most so many transmits that may not leave yet are skipped, to find others that may.
const MOST_LOOKED_PAST: usize = 4;

impl<P: Protocol> Engine<P> {
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

    pub(super) fn transmit(&mut self, now: Time, index: u32, due: Time) {
        self.transmit_delays.note(now.since(due));
        let Some(bytes) = self.sessions.get_mut(index).session.datagram(now) else {
            self.unschedule(index, Due::Transmit);
            return;
        };
        self.push_transmit(index, bytes);
        let session = &mut self.sessions.get_mut(index).session;
        match session.compute_next_tx_with_slack(now, self.tx_slack_us, &mut self.random) {
            Some(next) => self.schedule(index, Due::Transmit, next),
            None => self.unschedule(index, Due::Transmit),
        }
    }

    #[inline]
    pub(super) fn push_transmit(&mut self, index: u32, bytes: P::Bytes) {
        let slot = self.sessions.get(index);
        let (endpoint, peer_port, source_port) =
            (slot.endpoint, slot.peer_port, slot.session.specifics().source_port());
        let (path, is_probe) = (self.sessions.path(slot.path), slot.session.state() <= State::Down);
        self.transmits.push_back(Transmit { endpoint, path, peer_port, source_port, is_probe, bytes });
    }

    pub(super) fn paced(&mut self, now: Time) -> Time {
        let gap_us = PACE_GAP_US.min(PACE_SPAN_US / self.sessions.most().max(1) as u64);
        let first_tx = self.pace.max(now).min(now.plus(PACE_SPAN_US));
        self.pace = first_tx.plus(gap_us);
        first_tx
    }
}
