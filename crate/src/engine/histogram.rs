//! Histograms of durations with fixed buckets, for Prometheus.

const US: u64 = 1_000;
const MS: u64 = 1_000_000;
const SECOND: u64 = 1_000_000_000;

/// Upper bounds for the handling of one received packet, in nanoseconds.
pub(crate) const HANDLE_RX_BOUNDS_NS: &[u64] =
    &[250, 500, US, 5 * US / 2, 5 * US, 10 * US, 25 * US, 50 * US, 100 * US, 250 * US, MS, 10 * MS];

/// Upper bounds for convergence, in nanoseconds: from a fraction of the fastest detection time to a minute.
pub(crate) const CONVERGENCE_BOUNDS_NS: &[u64] = &[
    MS,
    5 * MS / 2,
    5 * MS,
    10 * MS,
    25 * MS,
    50 * MS,
    100 * MS,
    250 * MS,
    500 * MS,
    SECOND,
    5 * SECOND / 2,
    5 * SECOND,
    10 * SECOND,
    30 * SECOND,
    60 * SECOND,
];

/// Counts per bucket, and the sum of what was observed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Histogram {
    bounds_ns: &'static [u64],
    /// One more than there are bounds: the last holds what is beyond them.
    counts: Box<[u64]>,
    sum_ns: u64,
}

impl Histogram {
    /// An empty one. The bounds ascend; each belongs to the bucket below it.
    #[must_use]
    pub fn new(bounds_ns: &'static [u64]) -> Self {
        Self { bounds_ns, counts: vec![0; bounds_ns.len() + 1].into(), sum_ns: 0 }
    }

    /// Counts a value, in nanoseconds.
    pub fn observe(&mut self, ns: u64) {
        self.counts[self.bounds_ns.partition_point(|bound| *bound < ns)] += 1;
        self.sum_ns = self.sum_ns.saturating_add(ns);
    }

    /// Adds what was observed by another of the same bounds.
    pub fn add(&mut self, other: &Self) {
        self.counts.iter_mut().zip(&other.counts).for_each(|(sum, count)| *sum += count);
        self.sum_ns = self.sum_ns.saturating_add(other.sum_ns);
    }

    /// The upper bounds of the buckets.
    #[must_use]
    pub fn bounds_ns(&self) -> &'static [u64] {
        self.bounds_ns
    }

    /// Per bucket, not added up.
    #[must_use]
    pub fn counts(&self) -> &[u64] {
        &self.counts
    }

    /// The sum of all values, in nanoseconds.
    #[must_use]
    pub fn sum_ns(&self) -> u64 {
        self.sum_ns
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_counted_in_the_first_bucket_whose_bound_it_does_not_exceed() {
        let mut histogram = Histogram::new(&[10, 20]);
        for ns in [0, 10, 11, 20, 21, 1_000] {
            histogram.observe(ns);
        }
        assert_eq!(histogram.counts(), [2, 2, 2]);
        assert_eq!(histogram.sum_ns(), 1_062);
    }

    #[test]
    fn bounds_go_from_250_ns_to_10_ms_for_a_packet_and_from_1_ms_to_60_s_for_convergence() {
        let handling_us = HANDLE_RX_BOUNDS_NS.iter().map(|ns| *ns as f64 / 1e3).collect::<Vec<_>>();
        assert_eq!(handling_us, [0.25, 0.5, 1., 2.5, 5., 10., 25., 50., 100., 250., 1_000., 10_000.]);
        let convergence_ms = CONVERGENCE_BOUNDS_NS.iter().map(|ns| *ns as f64 / 1e6).collect::<Vec<_>>();
        let below_a_second = [1., 2.5, 5., 10., 25., 50., 100., 250., 500.];
        let from_a_second = [1_000., 2_500., 5_000., 10_000., 30_000., 60_000.];
        assert_eq!(convergence_ms, [&below_a_second[..], &from_a_second].concat());
    }
}
