//! When a datagram arrived, on the clock that everything else runs on. The kernel stamps with the wall clock;
//! sessions live on `CLOCK_MONOTONIC`.

use crate::protocol::time::{ClockReading, Time};

/// The wall clock is said to have been stepped when it moved so much differently than the monotonic one …
const STEP_US: i64 = 1_000;

/// … and this share of the time since the last look more: clocks that are being disciplined run up to 500 ppm
/// fast or slow.
const SLEW_DIVISOR: u64 = 1_000;

/// Translates the kernel's stamps, and mistrusts them around a step of the wall clock: a stamp from before the
/// step, read after it, would be off by the whole step. (Comparing the clocks on every read costs no system call
/// and leaves no gap; a timer that is cancelled by a step can be looked at too early.)
#[derive(Debug)]
pub(crate) struct Arrivals {
    last: ClockReading,
    /// The wall clock was stepped since the socket was last empty.
    stepped: bool,
}

impl Arrivals {
    /// Begins with a reading of both clocks.
    #[must_use]
    pub(crate) fn new(reading: ClockReading) -> Self {
        Self { last: reading, stepped: false }
    }

    /// Notes both clocks. To be called after datagrams were read and before their stamps are translated.
    pub(crate) fn observe(&mut self, reading: ClockReading) {
        let elapsed_us = reading.monotonic.since(self.last.monotonic);
        let drift_us = offset_us(reading).abs_diff(offset_us(self.last));
        self.stepped |= drift_us > STEP_US.unsigned_abs() + elapsed_us / SLEW_DIVISOR;
        self.last = reading;
    }

    /// Notes that the socket was found empty: every stamp from before a step has been read.
    pub(crate) fn drained(&mut self) {
        self.stepped = false;
    }

    /// When the kernel received the datagram that it stamped so; never later than the last reading, and just that
    /// where there is no stamp or none to be trusted.
    #[must_use]
    pub(crate) fn arrival(&self, stamp_wall_us: Option<i64>) -> Time {
        let now = self.last.monotonic;
        match stamp_wall_us {
            Some(stamp) if !self.stepped => {
                let age_us = self.last.wall_us.saturating_sub(stamp).max(0);
                now.minus(age_us.unsigned_abs())
            }
            _ => now,
        }
    }
}

const fn offset_us(reading: ClockReading) -> i64 {
    reading.wall_us.saturating_sub_unsigned(reading.monotonic.micros())
}

#[cfg(test)]
mod tests {
    use super::*;

    const WALL: i64 = 1_700_000_000_000_000;
    const HOUR: i64 = 3_600_000_000;

    fn reading(monotonic_us: u64, wall_us: i64) -> ClockReading {
        ClockReading { monotonic: Time::from_micros(monotonic_us), wall_us }
    }

    fn started() -> Arrivals {
        Arrivals::new(reading(1_000_000, WALL))
    }

    #[test]
    fn a_datagram_arrived_when_the_kernel_stamped_it_not_when_it_was_read() {
        let mut arrivals = started();
        arrivals.observe(reading(1_400_000, WALL + 400_000));
        assert_eq!(arrivals.arrival(Some(WALL + 100_000)).micros(), 1_100_000);
    }

    #[test]
    fn no_datagram_arrives_in_the_future_and_one_without_a_stamp_arrives_now() {
        let mut arrivals = started();
        arrivals.observe(reading(1_400_000, WALL + 400_000));
        assert_eq!(arrivals.arrival(Some(WALL + 400_300)).micros(), 1_400_000);
        assert_eq!(arrivals.arrival(None).micros(), 1_400_000);
    }

    #[test]
    fn a_step_of_the_wall_clock_moves_no_arrival_by_more_than_the_reading_delay() {
        for step in [HOUR, -HOUR, 2_000, -2_000] {
            let mut arrivals = started();
            arrivals.observe(reading(1_100_000, WALL + 100_000 + step));
            assert_eq!(arrivals.arrival(Some(WALL + 50_000)).micros(), 1_100_000, "stamped before the step");
            arrivals.observe(reading(1_100_100, WALL + 100_100 + step));
            assert_eq!(arrivals.arrival(Some(WALL + 60_000)).micros(), 1_100_100, "still from before the step");
            arrivals.drained();
            arrivals.observe(reading(1_200_000, WALL + 200_000 + step));
            assert_eq!(arrivals.arrival(Some(WALL + 190_000 + step)).micros(), 1_190_000, "stamps are good again");
        }
    }

    #[test]
    fn a_disciplined_clock_is_not_a_stepped_one() {
        let mut arrivals = started();
        // Ten seconds at 500 ppm.
        arrivals.observe(reading(11_000_000, WALL + 10_005_000));
        assert_eq!(arrivals.arrival(Some(WALL + 10_000_000)).micros(), 10_995_000);
    }
}
