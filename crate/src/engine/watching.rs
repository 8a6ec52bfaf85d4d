//! Repeats, which the kernel takes in by itself: whose packets may repeat, and what is done with what was noted of them.

use crate::engine::Engine;
use crate::engine::io::{Datagram, SessionId};
use crate::engine::repeats::{Repeatable, Repeats};
use crate::protocol::Protocol;
use crate::protocol::time::Time;

impl<P: Protocol> Engine<P> {
    /// An engine whose repeats a filter takes in.
    #[must_use]
    pub fn with_repeats(self, repeats: Repeats) -> Self {
        Self { repeats: Some(repeats), ..self }
    }

    /// Handles a packet of a session whose repeats may be taken in.
    #[inline(never)]
    pub(super) fn handle_repeated(
        &mut self,
        now: Time,
        datagram: Datagram<'_>,
        index: u32,
        packet: &P::Packet,
        ifindex: Option<u32>,
    ) {
        self.take_repeats(index);
        let is_accepted = self.handle_packet(now, datagram.arrival, index, packet);
        let (Some(repeats), slot) = (&mut self.repeats, self.sessions.get(index)) else { return };
        match ifindex {
            // It has told nothing: what the session was told before still holds.
            _ if !is_accepted => {}
            // Nothing of the datagram goes unseen, and none is authenticated: each of those counts by its sequence number.
            Some(ifindex) if datagram.bytes.len() == P::PLAIN_LEN && slot.session.may_repeat(packet) => {
                let Datagram { arrival, path, bytes, .. } = datagram;
                let (source, local, min_ttl) = (path.peer, path.local, slot.min_ttl);
                repeats.arm(index, &Repeatable { bytes, source, local, ifindex, min_ttl, arrival });
            }
            _ => repeats.disarm(index),
        }
    }

    /// Takes in what was noted of a session's repeats, so that its timers and counters have them. They have them after a
    /// detection time at the latest.
    pub fn take_repeats_of(&mut self, id: SessionId) {
        if let Some(index) = self.sessions.of_id(id).filter(|_| self.repeats.is_some()) {
            self.take_repeats(index);
        }
    }

    /// As `take_repeats_of`, of so many sessions from this slot of the table on.
    pub fn take_repeats_from(&mut self, slot: u32, count: usize) {
        if self.repeats.is_some() {
            let slots: Vec<u32> = self.sessions.iter_from(slot).take(count).map(|(index, _)| index).collect();
            slots.into_iter().for_each(|index| self.take_repeats(index));
        }
    }

    /// Takes in what was noted of a session's repeats.
    #[inline]
    pub(super) fn take_repeats(&mut self, index: u32) {
        if let Some(heard) = self.repeats.as_mut().and_then(|repeats| repeats.take(index)) {
            let slot = self.sessions.get_mut(index);
            self.stats.at(slot.endpoint).rx += heard.count;
            if slot.session.last_rx().is_none_or(|last| last < heard.at) {
                slot.extended = false;
                slot.session.note_repeats(heard.at, heard.worst_gap_us);
            }
        }
    }

    /// Takes in what was noted of a session's repeats; from now on its packets are handed over.
    pub(super) fn end_repeats(&mut self, index: u32) {
        self.take_repeats(index);
        if let Some(repeats) = &mut self.repeats {
            repeats.disarm(index);
        }
    }
}
