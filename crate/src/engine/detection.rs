//! How the engine notices silence: when detection is checked, and what extends a detection time.

use crate::engine::Engine;
use crate::engine::queue::Due;
use crate::engine::stats::TransitionCause;
use crate::protocol::Protocol;
use crate::protocol::state::{DownReason, State};
use crate::protocol::time::Time;

impl<P: Protocol> Engine<P> {
    /// Moves detect entries before `until` to the deadlines of their sessions, where packets have arrived since:
    /// `poll_deadline` is a time then at which something has to be done.
    pub fn put_back_detections(&mut self, until: Time) {
        while let Some((index, at)) = self.queue.first_of(Due::Detect).filter(|(_, at)| *at < until) {
            self.take_repeats(index);
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
        self.note_held_back(now);
    }

    /// Notes that the kernel may hold packets back, at `now`.
    pub fn note_held_back(&mut self, now: Time) {
        self.last_held_back = Some(now);
    }

    /// Notes that packets were handed over by the kernel, or read by this process, so late, until `now`.
    pub fn note_receive_delay(&mut self, now: Time, delay_us: u64) {
        self.recent_delays.note_receive_delay(now, delay_us);
    }

    /// Checks a session whose detect entry is due: the session expires if its deadline has come, else the entry is scheduled
    /// at the deadline.
    pub(super) fn check_detection(&mut self, now: Time, detect_until: Time, index: u32) {
        self.take_repeats(index);
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
        let held_back = self.last_held_back.is_some_and(|at| at >= silent_since);
        let late = delay_us > slot.session.detect_time_us() / 4;
        if (held_back || late) && !slot.extended {
            // The next packet may make the deadline an earlier one: it has to be handed over.
            self.end_repeats(index);
            let slot = self.sessions.get_mut(index);
            slot.extended = true;
            slot.session.extend_detection(now.plus(interval_us));
            self.stats.at(slot.endpoint).extensions += 1;
            self.schedule_detection(index);
            return;
        }
        let local_stall_us = if slot.extended { delay_us.max(interval_us) } else { delay_us };
        let (from, extended) = (slot.session.state(), slot.extended);
        if slot.session.expire_if_due(now) {
            let counters = self.stats.at(slot.endpoint);
            counters.timeouts += 1;
            counters.local_timeouts += u64::from(extended);
            self.after_change(now, index, from, TransitionCause::DetectTimeout, now, local_stall_us);
        }
    }

    /// Counts a session that was not Down until its peer has just said so, and gives the worst delay of this process since a
    /// detection time of the peer before the packet that had come before, at `heard_before`: after that packet the peer judged
    /// the session, and it may have missed the packets that were late.
    pub(super) fn note_remote_down(&mut self, index: u32, from: State, heard_before: Time) -> u64 {
        let slot = self.sessions.get(index);
        let fell = from > State::Down && slot.session.state() == State::Down;
        if !fell || slot.session.last_down_reason() != DownReason::RemoteDown {
            return 0;
        }
        let peer_detect_time_us = slot.session.peer_detect_time_us();
        let delay_us = self.recent_delays.worst_since(heard_before.minus(peer_detect_time_us));
        let counters = self.stats.at(slot.endpoint);
        counters.remote_downs += 1;
        counters.local_remote_downs += u64::from(delay_us > peer_detect_time_us / 4);
        delay_us
    }

    /// Schedules detection no later than the session's deadline.
    pub(super) fn schedule_detection(&mut self, index: u32) {
        let slot = self.sessions.get_mut(index);
        if slot.detection_is_scheduled() {
            return;
        }
        slot.detect_scheduled = slot.session.detect_deadline();
        match slot.detect_scheduled {
            Some(deadline) => self.schedule(index, Due::Detect, deadline),
            None => self.unschedule(index, Due::Detect),
        }
    }
}
