//! How long a route is not put back that another process deletes again and again. Pure, given the time.

use crate::protocol::time::Time;

/// A route that another process deletes is restored at once, also when it is deleted again after so long …
const QUIET_US: u64 = 10_000_000;

/// … and one that is deleted again sooner is restored after a delay that doubles from this …
const FIRST_DELAY_US: u64 = 1_000_000;

/// … to this.
const LONGEST_DELAY_US: u64 = 60_000_000;

/// A route that another process deletes again and again.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Contention {
    pub(crate) losses: u32,
    pub(crate) lost_at: Time,
    /// It is not put back before.
    pub(crate) restore_at: Option<Time>,
}

impl Contention {
    /// Counts a loss, and gives how long the route is not put back.
    pub(crate) fn lose(&mut self, now: Time) -> u64 {
        let quiet_us = QUIET_US.max(2 * delay_us(self.losses));
        if now.since(self.lost_at) > quiet_us {
            self.losses = 0;
        }
        self.losses += 1;
        self.lost_at = now;
        let delay_us = delay_us(self.losses);
        self.restore_at = (delay_us > 0).then(|| now.plus(delay_us));
        delay_us
    }
}

/// How long a route is not restored that was deleted so often, each time soon after it was restored.
fn delay_us(losses: u32) -> u64 {
    match losses {
        0 | 1 => 0,
        _ => (FIRST_DELAY_US << (losses - 2).min(10)).min(LONGEST_DELAY_US),
    }
}
