//! The clock of a host: it has an offset from the clock of the world, and it drifts.

use crate::protocol::time::Time;

const MILLION: u64 = 1_000_000;

/// The clock of a host.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    offset_us: u64,
    /// Ticks per million microseconds of the world.
    rate: u64,
}

impl Clock {
    /// A clock that showed `offset_us` at time 0 of the world, and gains `ppm` millionths.
    #[must_use]
    pub const fn new(offset_us: u64, ppm: i32) -> Self {
        Self { offset_us, rate: MILLION.saturating_add_signed(ppm as i64) }
    }

    /// The time on this clock at a time of the world.
    #[must_use]
    pub const fn local(&self, world: Time) -> Time {
        let ticks = if self.rate == MILLION { world.micros() } else { world.micros() * self.rate / MILLION };
        Time::from_micros(self.offset_us + ticks)
    }

    /// The first time of the world at which this clock shows `local`.
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
    fn the_world_time_of_a_local_time_is_the_first_at_which_the_clock_shows_the_local_time() {
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
