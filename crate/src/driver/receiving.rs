//! The receiving half of a turn: the socket is read, and what it drops is looked for.

use std::time::Instant;

use nix::errno::Errno;

use crate::driver::Driver;
use crate::engine::{Datagram, Path};
use crate::net::cells::BATCH;
use crate::net::socket_filter::{self, FilterChange};
use crate::protocol::time::{ClockReading, Time};
use crate::system::clock;
use crate::system::problem::Problem;

/// Batches that one turn reads at most before it looks at its timers: receiving never postpones transmitting.
pub(super) const READS_PER_TURN: usize = 16;

/// How often the kernel is asked for dropped datagrams where no detection is due.
const LOOK_FOR_DROPS_US: u64 = 100_000;

/// A socket that gives nothing but errors, so often in a row, is dead.
const FATAL_READ_ERRORS: u32 = 1_000;

impl Driver {
    /// Reads the socket until it is empty, or until everything is read that arrived before this began, or until
    /// the turn's budget is used. Gives the time up to which nothing is left unread.
    pub(super) fn read(&mut self, began: Time) -> nix::Result<Time> {
        let mut asked_at = began;
        let mut read_until = began;
        for _ in 0..READS_PER_TURN {
            let count = match self.rx.receive() {
                Ok(count) => count,
                Err(errno) => return self.after_read_error(errno),
            };
            self.read_errors_in_a_row = 0;
            if count > 0 {
                read_until = self.read_batch(clock::reading());
            }
            if count < BATCH {
                self.arrivals.drained();
                read_until = asked_at;
                break;
            }
            if read_until >= began {
                break;
            }
            asked_at = clock::now();
        }
        self.read_until = read_until;
        Ok(read_until)
    }

    /// Hands the batch that was just read to the engine; `reading` was taken after the read. Gives the arrival of its last
    /// datagram.
    pub(super) fn read_batch(&mut self, reading: ClockReading) -> Time {
        self.arrivals.observe(reading);
        let mut last_arrival = reading.monotonic;
        let mut began = Instant::now();
        for received in self.rx.received() {
            last_arrival = self.arrivals.arrival(received.stamp_wall_us);
            let link = self.links.by_index(received.ifindex);
            let path = Path { link, local: received.local, peer: received.source.ip() };
            let datagram = Datagram { arrival: last_arrival, path, ttl: received.ttl, bytes: received.bytes };
            let endpoint = self.engine.handle_datagram(reading.monotonic, datagram);
            // One reading per packet: the end of one is the beginning of the next.
            let ended = Instant::now();
            let took_ns = u64::try_from(ended.duration_since(began).as_nanos()).unwrap_or(u64::MAX);
            self.engine.stats_mut().at(endpoint).handle_rx.observe(took_ns);
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
    fn after_read_error(&mut self, errno: Errno) -> nix::Result<Time> {
        self.read_errors += 1;
        self.read_errors_in_a_row += 1;
        if self.read_errors_in_a_row >= FATAL_READ_ERRORS {
            return Err(errno);
        }
        Ok(self.read_until)
    }

    /// Asks the kernel for drops where a detection is due, and every `LOOK_FOR_DROPS_US` otherwise: a drop counts from when it
    /// is noted.
    pub(super) fn look_for_drops(&mut self, now: Time, read_until: Time) {
        if self.engine.detection_is_due(now, read_until) || now.since(self.looked_for_drops_at) >= LOOK_FOR_DROPS_US {
            self.looked_for_drops_at = now;
            let drops = self.rx.drops();
            let dropped = drops != self.socket_drops;
            if dropped {
                self.socket_drops = drops;
                self.engine.note_socket_drops(now);
            }
            match self.socket_filter.look(now, dropped, self.engine.stats()) {
                Some(FilterChange::Attach) => {
                    self.attach_filter();
                    self.warn_of_overflow(now);
                }
                // There is nothing to lower where the kernel took no program.
                Some(FilterChange::Detach) => drop(self.rx.filter_nothing()),
                None => {}
            }
        }
    }

    /// A kernel that has no room for all peers gets the program that knows the form of a packet only. Without any program the
    /// socket works as before.
    pub(super) fn attach_filter(&mut self) {
        let min_ttl = self.engine.lowest_min_ttl();
        if self.rx.filter(&mut socket_filter::by_peer(min_ttl, self.engine.peers())).is_err() {
            let _ = self.rx.filter(&mut socket_filter::by_form(min_ttl));
        }
    }

    fn warn_of_overflow(&mut self, now: Time) {
        if self.socket_filter.is_worth_a_warning(now) {
            let message =
                "the socket overflows with what is no packet of a peer's: the kernel drops it unread until that ends";
            self.mailbox.put_warning(Problem { code: "ERR_SOCKET_OVERFLOW".into(), message: message.into() });
        }
    }
}
