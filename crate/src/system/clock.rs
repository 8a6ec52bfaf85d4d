//! The two clocks of the host.

use nix::time::{ClockId, clock_gettime};

use crate::protocol::time::{ClockReading, Time};

/// A pair of readings further apart than this says little: the thread was interrupted between them.
const CLOSE_ENOUGH_US: u64 = 50;
const TRIES: usize = 4;

/// `CLOCK_MONOTONIC` now.
#[must_use]
pub fn now() -> Time {
    Time::from_micros(read(ClockId::CLOCK_MONOTONIC).unsigned_abs())
}

/// Both clocks, read as closely together as the scheduler lets us. The monotonic reading is the later one, so that
/// an interruption makes an arrival look later, never earlier: it can put a Down off, not cause one.
#[must_use]
pub fn reading() -> ClockReading {
    let mut before = now();
    for _ in 0..TRIES {
        let wall_us = read(ClockId::CLOCK_REALTIME);
        let monotonic = now();
        if monotonic.since(before) <= CLOSE_ENOUGH_US {
            return ClockReading { monotonic, wall_us };
        }
        before = monotonic;
    }
    let wall_us = read(ClockId::CLOCK_REALTIME);
    ClockReading { monotonic: now(), wall_us }
}

fn read(clock: ClockId) -> i64 {
    let at = clock_gettime(clock).expect("every Linux has these two clocks");
    at.tv_sec() * 1_000_000 + at.tv_nsec() / 1_000
}
