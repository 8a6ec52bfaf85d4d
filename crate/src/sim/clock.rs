//! A host's own clock: it began somewhere, and it is a little fast or slow.

use crate::protocol::time::Time;

const MILLION: u64 = 1_000_000;

#[derive(Clone, Copy, Debug)]
pub struct Clock {
    offset_us: u64,
    /// Ticks per million microseconds of the world.
    rate: u64,
}

impl Clock {
    /// A clock that showed `offset_us` when the world began and gains `ppm` millionths.
    #[must_use]
    pub const fn new(offset_us: u64, ppm: i32) -> Self {
        Self { offset_us, rate: MILLION.saturating_add_signed(ppm as i64) }
    }

    /// What the clock shows at a time of the world's.
    #[must_use]
    pub const fn local(&self, world: Time) -> Time {
        let ticks = if self.rate == MILLION { world.micros() } else { world.micros() * self.rate / MILLION };
        Time::from_micros(self.offset_us + ticks)
    }

    /// The first time of the world's at which the clock shows this.
    #[must_use]
    pub const fn world(&self, local: Time) -> Time {
        let ticks = local.micros().saturating_sub(self.offset_us);
        Time::from_micros(if self.rate == MILLION { ticks } else { (ticks * MILLION).div_ceil(self.rate) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_is_met_at_the_first_time_that_shows_it() {
        for ppm in [-200, -1, 0, 1, 200] {
            let clock = Clock::new(77, ppm);
            for us in (1..2_000_000u64).step_by(9_973) {
                let local = Time::from_micros(us + 77);
                let world = clock.world(local);
                assert!(clock.local(world) >= local, "{ppm} {us}");
                assert!(world.micros() <= 1 || clock.local(world.minus(1)) < local, "{ppm} {us}");
            }
        }
    }
}
