//! Repeats, which the kernel takes in by itself: whose packets may repeat, and what is done with what was noted of them.

use crate::engine::io::{Datagram, SessionId};
use crate::engine::repeats::{Repeatable, Repeats};
use crate::engine::stats::EndpointId;
use crate::engine::{Engine, is_from_afar};
use crate::protocol::Protocol;
use crate::protocol::time::Time;

impl<P: Protocol> Engine<P> {
    /// An engine whose repeats a filter takes in.
    #[must_use]
    pub fn with_repeats(self, repeats: Repeats) -> Self {
        Self { repeats: Some(repeats), ..self }
    }

    /// As `handle_datagram`; repeats of the datagram that come in by this interface the kernel takes in by itself from now on,
    /// if it can. 0 stands for any interface.
    pub fn handle_repeatable(&mut self, now: Time, datagram: Datagram<'_>, ifindex: u32) -> EndpointId {
        if self.repeats.is_none() {
            return self.handle_datagram(now, datagram);
        }
        let packet = P::decode(datagram.bytes).ok();
        let found = packet.and_then(|packet| Some((self.find(datagram.path, &packet)?, packet)));
        let Some((index, packet)) = found else { return self.handle_datagram(now, datagram) };
        if is_from_afar(datagram.ttl, self.sessions.get(index).min_ttl) {
            return self.handle_datagram(now, datagram);
        }
        self.take_repeats(index);
        // A packet that the session did not accept changes nothing about which packets repeat.
        if self.handle_packet(now, datagram.arrival, index, &packet) {
            self.watch(index, &packet, datagram, ifindex);
        }
        if self.journal.is_some() {
            self.note_news(index);
        }
        self.sessions.get(index).endpoint
    }

    fn watch(&mut self, index: u32, packet: &P::Packet, datagram: Datagram<'_>, ifindex: u32) {
        let (Some(repeats), slot) = (&mut self.repeats, self.sessions.get(index)) else { return };
        let Datagram { arrival, path, bytes, .. } = datagram;
        // A longer datagram has padding, which the filter does not compare, or authentication, whose sequence numbers count.
        if bytes.len() == P::PLAIN_LEN && slot.session.may_repeat(packet) {
            let (source, local, min_ttl) = (path.peer, path.local, slot.min_ttl);
            repeats.arm(index, &Repeatable { bytes, source, local, ifindex, min_ttl, arrival });
        } else {
            repeats.disarm(index);
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
        if self.repeats.is_some() {
            self.take_noted(index);
        }
    }

    /// Apart, so that an engine without a filter is not made dearer.
    #[inline(never)]
    fn take_noted(&mut self, index: u32) {
        let Some(heard) = self.repeats.as_mut().and_then(|repeats| repeats.take(index)) else { return };
        let slot = self.sessions.get_mut(index);
        self.stats.at(slot.endpoint).rx += heard.count;
        if slot.session.last_rx().is_none_or(|last| last < heard.at) {
            slot.session.note_repeats(heard.at, heard.worst_gap_us);
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
