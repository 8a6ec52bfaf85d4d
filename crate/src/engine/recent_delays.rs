//! The recent scheduling delays of this process: they tell whether a silence was the peer's or our own.

use std::collections::VecDeque;

use crate::protocol::time::Time;

/// Delays below this are normal and not kept.
const NOTEWORTHY_US: u64 = 1_000;

/// Enough for any detection window: entries that a later, worse one covers are dropped.
const MOST_KEPT: usize = 64;

/// Delays in the order of time, each smaller than the one before it: an older and smaller one is never the worst of a window
/// that reaches to now.
#[derive(Debug, Default)]
pub(crate) struct RecentDelays {
    kept: VecDeque<(Time, u64)>,
    worst_us: u64,
}

impl RecentDelays {
    /// Notes that at `now` the process was so late.
    pub(crate) fn note(&mut self, now: Time, delay_us: u64) {
        self.worst_us = self.worst_us.max(delay_us);
        self.note_receive_delay(now, delay_us);
    }

    /// Notes that packets were handed over or read so late, until `now`: no turn that began late.
    pub(crate) fn note_receive_delay(&mut self, now: Time, delay_us: u64) {
        if delay_us < NOTEWORTHY_US {
            return;
        }
        while self.kept.back().is_some_and(|(_, smaller)| *smaller <= delay_us) {
            self.kept.pop_back();
        }
        if self.kept.len() == MOST_KEPT {
            self.kept.pop_front();
        }
        self.kept.push_back((now, delay_us));
    }

    /// The worst delay noted at or after `start`, in microseconds.
    #[must_use]
    pub(crate) fn worst_since(&self, start: Time) -> u64 {
        self.kept.iter().find(|(at, _)| *at >= start).map_or(0, |(_, delay_us)| *delay_us)
    }

    /// The worst lateness of all, in microseconds.
    #[must_use]
    pub(crate) fn worst(&self) -> u64 {
        self.worst_us
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_delay_of_a_window_is_found_whatever_came_before_it() {
        let mut recent_delays = RecentDelays::default();
        let at = Time::from_micros;
        recent_delays.note(at(10_000), 9_000);
        recent_delays.note(at(20_000), 400);
        recent_delays.note(at(30_000), 2_000);
        recent_delays.note(at(40_000), 5_000);
        assert_eq!(recent_delays.worst_since(at(5_000)), 9_000);
        assert_eq!(recent_delays.worst_since(at(10_001)), 5_000);
        assert_eq!(recent_delays.worst_since(at(40_001)), 0);
        assert_eq!(recent_delays.worst(), 9_000);
    }
}
