//! The receiving half of a turn: the socket is read, and what it drops is looked for.

use std::fmt::Display;
use std::time::Instant;

use nix::errno::Errno;

use crate::driver::driven::Driven;
use crate::driver::receive_probe::ReceivePath;
use crate::driver::{Driver, Receiver};
use crate::engine::stats::LinkId;
use crate::engine::{Datagram, Path};
use crate::net::cells::BATCH;
use crate::net::repeat_filter::RepeatFilter;
use crate::net::socket_filter::{FilterChange, PacketFilter};
use crate::protocol::time::{ClockReading, Time};
use crate::system::clock;
use crate::system::problem::Problem;

/// Batches that one turn reads at most before it looks at its timers: receiving never postpones transmitting.
pub(super) const READS_PER_TURN: usize = 16;

/// How often the kernel is asked for dropped datagrams where no detection is due.
const LOOK_FOR_DROPS_US: u64 = 100_000;

/// So long a datagram to ourselves is waited for, which is little beside a detection time.
const PROBE_PATIENCE_MS: u8 = 1;

/// A socket that gives nothing but errors, so often in a row, is dead.
pub(super) const FATAL_READ_ERRORS: u32 = 1_000;

/// Why repeats are handed over although they were to be filtered.
pub(super) fn filter_refused(reason: impl Display) -> Problem {
    let message = format!("filterRepeats: the kernel takes no filter, and every packet is handed over: {reason}");
    Problem { code: "ERR_FILTER_REFUSED".into(), message }
}

/// How many of the datagrams that the kernel has counted as dropped were no repeats. Of the repeats some may have come after the kernel was
/// asked for `counted`: where that leaves fewer than `before`, there are as many as before.
fn without_repeats(counted: u32, repeats: u64, before: u32) -> u32 {
    // Both wrap around at 32 bits, as the kernel's count does.
    let drops = counted.wrapping_sub(repeats as u32);
    if drops.wrapping_sub(before).cast_signed() > 0 { drops } else { before }
}

impl<P: Driven> Driver<P> {
    /// Reads all sockets, and gives the time up to which nothing is left unread in any of them.
    pub(super) fn read(&mut self, began: Time) -> nix::Result<Time> {
        let mut read_until = None;
        let mut are_empty = true;
        for index in 0..self.receivers.len() {
            let (until, is_empty) = self.read_socket(index, began)?;
            read_until = Some(read_until.map_or(until, |earliest: Time| earliest.min(until)));
            are_empty &= is_empty;
        }
        if are_empty {
            self.arrivals.drained();
        }
        self.read_until = read_until.unwrap_or(began);
        Ok(self.read_until)
    }

    /// Where a session is about to be judged silent: reads again once a datagram to ourselves has come the way that its packets come.
    /// Where that datagram is held back, so may they be. Gives the time up to which nothing is left unread.
    pub(super) fn read_what_is_held_back(&mut self, read_until: Time) -> nix::Result<Time> {
        let now = clock::now();
        self.engine.put_back_detections(now.plus(1));
        // The socket filter drops what comes from no peer.
        if !self.engine.detection_is_due(now, read_until) || self.socket_filter.is_attached() {
            return Ok(read_until);
        }
        let mut read_until = read_until;
        if self.receive_probe.path(now) == ReceivePath::Idle && self.send_probe(now) {
            read_until = self.read(clock::now())?;
            // Where packets are handed to another core it is not there at once.
            if self.receive_probe.path(now) == ReceivePath::Stalled {
                self.receivers[0].socket.wait(PROBE_PATIENCE_MS)?;
                read_until = self.read(clock::now())?;
            }
        }
        let now = clock::now();
        if self.receive_probe.path(now) == ReceivePath::Stalled {
            self.engine.note_held_back(now);
        }
        Ok(read_until)
    }

    /// Whether a datagram to ourselves could be sent.
    pub(super) fn send_probe(&mut self, now: Time) -> bool {
        let bytes = self.receive_probe.begin(now);
        let is_sent = self.receivers[0].socket.send_to_itself(&bytes).is_ok();
        if !is_sent {
            self.receive_probe.cancel();
        }
        is_sent
    }

    /// Reads a socket until it is empty, or until everything is read that arrived before this began, or until
    /// the turn's budget is used. Gives the time up to which nothing is left unread, and whether the socket was found empty.
    fn read_socket(&mut self, index: usize, began: Time) -> nix::Result<(Time, bool)> {
        let mut asked_at = began;
        let mut read_until = began;
        for _ in 0..READS_PER_TURN {
            let count = match self.receivers[index].socket.receive() {
                Ok(count) => count,
                Err(errno) => return self.after_read_error(index, errno).map(|until| (until, false)),
            };
            self.receivers[index].errors_in_a_row = 0;
            if count > 0 {
                read_until = self.read_batch(index, clock::reading());
            }
            if count < BATCH {
                return Ok((asked_at, true));
            }
            if read_until >= began {
                break;
            }
            asked_at = clock::now();
        }
        Ok((read_until, false))
    }

    /// Hands the batch that was just read to the engine; `reading` was taken after the read. Gives the arrival of its last
    /// datagram.
    pub(super) fn read_batch(&mut self, index: usize, reading: ClockReading) -> Time {
        // A thread that was stopped since its turn began has sent nothing meanwhile, and what its peers say of that is in this batch.
        let late_us = self.planned.map_or(0, |planned| reading.monotonic.since(planned));
        self.engine.note_receive_delay(reading.monotonic, late_us);
        let Self { arrivals, receivers, links, engine, receive_probe, .. } = self;
        let Receiver { socket, is_multihop, .. } = &receivers[index];
        // Of unknown peers several hops away any TTL is accepted: they are counted as such.
        let min_ttl = if *is_multihop { 0 } else { engine.min_ttl() };
        arrivals.observe(reading);
        let mut last_arrival = reading.monotonic;
        let mut began = Instant::now();
        for received in socket.received() {
            last_arrival = arrivals.arrival(received.stamp_wall_us);
            if receive_probe
                .takes(received.bytes, reading.monotonic, |us| engine.note_receive_delay(reading.monotonic, us))
            {
                continue;
            }
            // RFC 5883 §4: the interface is of no meaning to a multihop session.
            let link = if *is_multihop { LinkId::OTHER } else { links.by_index(received.ifindex) };
            let path = Path { link, local: received.local, peer: received.source.ip() };
            let datagram = Datagram { arrival: last_arrival, path, ttl: received.ttl, min_ttl, bytes: received.bytes };
            let ifindex = if *is_multihop { 0 } else { received.ifindex };
            let endpoint = engine.handle_repeatable(reading.monotonic, datagram, ifindex);
            // One reading per packet: the end of one is the beginning of the next.
            let ended = Instant::now();
            let took_ns = u64::try_from(ended.duration_since(began).as_nanos()).unwrap_or(u64::MAX);
            engine.stats_mut().at(endpoint).handle_rx.observe(took_ns);
            began = ended;
        }
        self.report_drops(reading.monotonic);
        last_arrival
    }

    fn report_drops(&mut self, now: Time) {
        for (kind, count) in self.drop_reporter.report(self.engine.stats(), now) {
            let message = format!("{count} received packets were dropped: {kind}");
            self.mailbox.put_warning(Problem { code: "ERR_PACKETS_DROPPED".into(), message });
        }
    }

    /// Packets still wait in the socket: detection goes by what was read before.
    fn after_read_error(&mut self, index: usize, errno: Errno) -> nix::Result<Time> {
        self.read_errors += 1;
        let errors_in_a_row = &mut self.receivers[index].errors_in_a_row;
        *errors_in_a_row += 1;
        if *errors_in_a_row >= FATAL_READ_ERRORS {
            return Err(errno);
        }
        Ok(self.read_until)
    }

    /// Asks the kernel for drops where a detection is due, and every `LOOK_FOR_DROPS_US` otherwise: a drop counts from when it
    /// is noted.
    pub(super) fn look_for_drops(&mut self, now: Time, read_until: Time) {
        if self.engine.detection_is_due(now, read_until) || now.since(self.looked_for_drops_at) >= LOOK_FOR_DROPS_US {
            self.looked_for_drops_at = now;
            let drops = self.drops();
            let dropped = drops != self.noted_drops;
            if dropped {
                self.noted_drops = drops;
                self.engine.note_socket_drops(now);
            }
            match self.socket_filter.look(now, dropped, self.engine.stats()) {
                Some(FilterChange::Attach) => {
                    self.attach_filter();
                    self.warn_of_overflow(now);
                }
                // There is nothing to lower where the kernel took no program.
                Some(FilterChange::Detach) => {
                    for receiver in &self.receivers {
                        let _ = receiver.socket.filter_nothing();
                    }
                    self.filter_as_usual();
                }
                None => {}
            }
        }
    }

    /// A kernel that has no room for all peers gets the program that knows the form of a packet only. Without any program the
    /// socket works as before.
    pub(super) fn attach_filter(&mut self) {
        let lowest = self.engine.lowest_min_ttl();
        for Receiver { socket, is_multihop, .. } in &self.receivers {
            // Only multihop sessions have a least TTL of their own.
            let min_ttl = if *is_multihop { lowest } else { self.engine.min_ttl() };
            let filter = PacketFilter { form: P::FORM, family: socket.family(), min_ttl };
            if socket.filter(&filter.by_peer(self.engine.peers())).is_err() {
                let _ = socket.filter(&filter.by_form());
            }
        }
    }

    /// Has the sockets ask the filter of repeats, where there is one. A socket that refuses it hands every packet over.
    pub(super) fn filter_as_usual(&self) {
        let Some(filter) = &self.repeat_filter else { return };
        for receiver in &self.receivers {
            if let Err(errno) = filter.attach(&receiver.socket) {
                self.mailbox.put_warning(filter_refused(errno.desc()));
            }
        }
    }

    /// How many datagrams the kernel dropped at all sockets, without repeats; never fewer than before.
    pub(super) fn drops(&mut self) -> u32 {
        let counted = self.receivers.iter().map(|receiver| receiver.socket.drops()).fold(0, u32::wrapping_add);
        // Read in this order: a repeat counts as taken in before it counts as dropped.
        self.socket_drops = without_repeats(counted, self.repeats(), self.socket_drops);
        self.socket_drops
    }

    /// How many repeats were taken in at all sockets.
    pub(super) fn repeats(&self) -> u64 {
        self.repeat_filter.as_ref().map_or(0, RepeatFilter::taken_in)
    }

    fn warn_of_overflow(&mut self, now: Time) {
        if self.socket_filter.is_worth_a_warning(now) {
            let message =
                "the socket overflows with what is no packet of a peer's: the kernel drops it unread until that ends";
            self.mailbox.put_warning(Problem { code: "ERR_SOCKET_OVERFLOW".into(), message: message.into() });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repeats_are_no_drops_and_one_that_is_counted_on_one_side_only_takes_none_away() {
        for (counted, repeats, before, drops) in [
            (0, 0, 0, 0),
            (7, 7, 0, 0),
            (9, 7, 0, 2),
            (9, 7, 2, 2),
            // Two have come since the kernel was asked.
            (9, 9, 2, 2),
            (7, 9, 0, 0),
            (10, 9, 0, 1),
            // The kernel's count has wrapped around.
            (4, (1 << 32) + 1, 0, 3),
            (1, u64::from(u32::MAX), 0, 2),
            (0, 0, u32::MAX, 0),
        ] {
            assert_eq!(without_repeats(counted, repeats, before), drops, "{counted} {repeats} {before}");
        }
    }
}
