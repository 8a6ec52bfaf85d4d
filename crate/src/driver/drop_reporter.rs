//! Log lines about received packets that were dropped: at most one of each kind in five seconds.

use crate::engine::stats::Stats;
use crate::protocol::drop_reason::DropReason;
use crate::protocol::time::Time;

const QUIET_US: u64 = 5_000_000;

/// The reasons of `DropReason`, and unknown peers.
const KINDS: usize = DropReason::COUNT + 1;

/// What was reported so far.
#[derive(Debug, Default)]
pub(crate) struct DropReporter {
    reported: [u64; KINDS],
    reported_at: Option<Time>,
}

impl DropReporter {
    /// How many packets were dropped since the last report, by reason; nothing within five seconds of that.
    pub(crate) fn report(&mut self, stats: &Stats, now: Time) -> Vec<(&'static str, u64)> {
        if self.reported_at.is_some_and(|at| now.since(at) < QUIET_US) {
            return Vec::new();
        }
        self.reported_at = Some(now);
        let mut counted = [0; KINDS];
        for (_, counters) in stats.iter() {
            for (sum, count) in counted.iter_mut().zip(counters.rx_invalid.iter().chain([&counters.unknown_peer])) {
                *sum += count;
            }
        }
        let before = std::mem::replace(&mut self.reported, counted);
        let names = DropReason::NAMES.into_iter().chain(["unknown_peer"]);
        let since = counted.into_iter().zip(before).map(|(now, before)| now - before);
        names.zip(since).filter(|(_, count)| *count > 0).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::stats::LocalEndpoint;

    #[test]
    fn a_flood_is_one_line_per_reason_in_five_seconds_and_every_packet_is_in_one_of_them() {
        let (mut stats, mut drop_reporter) = (Stats::default(), DropReporter::default());
        let endpoint = stats.endpoint(LocalEndpoint::OTHER);
        let at = |second: u64| Time::from_micros(second * 1_000_000);
        assert_eq!(drop_reporter.report(&stats, at(1)), []);
        stats.at(endpoint).rx_invalid[DropReason::Short as usize] = 10;
        stats.at(endpoint).unknown_peer = 3;
        assert_eq!(drop_reporter.report(&stats, at(5)), [], "too soon after the last look");
        assert_eq!(drop_reporter.report(&stats, at(6)), [("short", 10), ("unknown_peer", 3)]);
        stats.at(endpoint).rx_invalid[DropReason::Short as usize] = 1_000_010;
        assert_eq!(drop_reporter.report(&stats, at(10)), []);
        assert_eq!(drop_reporter.report(&stats, at(11)), [("short", 1_000_000)]);
        assert_eq!(drop_reporter.report(&stats, at(20)), []);
    }
}
