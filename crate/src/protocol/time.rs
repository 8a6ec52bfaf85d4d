//! Points in time: numbers that the caller has read from a clock.

use std::num::NonZeroU64;

/// A point on `CLOCK_MONOTONIC` in integer microseconds.
///
/// Integer, so that two engines which are given the same inputs agree to the bit. Never zero, so that an
/// `Option<Time>` costs no more than a `Time`: a session holds a dozen of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(NonZeroU64);

impl Time {
    /// The given number of microseconds; zero, which no running clock shows, becomes one.
    #[must_use]
    pub const fn from_micros(micros: u64) -> Self {
        match NonZeroU64::new(micros) {
            Some(value) => Self(value),
            None => Self(NonZeroU64::MIN),
        }
    }

    /// Microseconds since the clock began.
    #[must_use]
    pub const fn micros(self) -> u64 {
        self.0.get()
    }

    /// This time and so many microseconds.
    #[must_use]
    pub const fn plus(self, micros: u64) -> Self {
        Self(self.0.saturating_add(micros))
    }

    /// This time less so many microseconds, but not before the clock began.
    #[must_use]
    pub const fn minus(self, micros: u64) -> Self {
        Self::from_micros(self.micros().saturating_sub(micros))
    }

    /// Microseconds from `earlier` to this time; zero where `earlier` is the later one.
    #[must_use]
    pub const fn since(self, earlier: Self) -> u64 {
        self.micros().saturating_sub(earlier.micros())
    }
}

/// A pair of readings of both clocks, taken together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClockReading {
    /// `CLOCK_MONOTONIC`.
    pub monotonic: Time,
    /// Microseconds since the epoch.
    pub wall_us: i64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_optional_time_costs_no_more_than_a_time() {
        assert_eq!(size_of::<Option<Time>>(), 8);
    }

    #[test]
    fn differences_never_wrap() {
        let early = Time::from_micros(5);
        let late = Time::from_micros(9);
        assert_eq!(late.since(early), 4);
        assert_eq!(early.since(late), 0);
        assert_eq!(early.minus(100).micros(), 1);
    }
}
