//! A histogram of delays, exact to an eighth.

/// Buckets per doubling.
const PER_OCTAVE: u32 = 8;
const OCTAVE_BITS: u32 = PER_OCTAVE.trailing_zeros();

/// Up to 2^26 µs, a minute; what is later is counted in the last bucket.
const BUCKETS: usize = 192;

/// Counts of delays in microseconds. Eight buckets to each doubling, and one to each microsecond below eight.
#[derive(Clone, Debug)]
pub struct DelayHistogram([u64; BUCKETS]);

impl Default for DelayHistogram {
    fn default() -> Self {
        Self([0; BUCKETS])
    }
}

impl DelayHistogram {
    /// Counts a delay.
    pub fn note(&mut self, delay_us: u64) {
        self.0[bucket_of(delay_us).min(BUCKETS - 1)] += 1;
    }

    /// The buckets that hold something: each with its upper bound in microseconds, which belongs to the next bucket.
    pub fn buckets(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        self.0.iter().enumerate().filter(|(_, count)| **count > 0).map(|(at, count)| (end_of(at), *count))
    }
}

const fn bucket_of(delay_us: u64) -> usize {
    if delay_us < PER_OCTAVE as u64 {
        return delay_us as usize;
    }
    let octave = delay_us.ilog2();
    let within = (delay_us >> (octave - OCTAVE_BITS)) & (PER_OCTAVE as u64 - 1);
    ((octave - OCTAVE_BITS + 1) * PER_OCTAVE) as usize + within as usize
}

/// The least value of the bucket after this one.
const fn end_of(bucket: usize) -> u64 {
    let (octave, within) = ((bucket + 1) as u32 / PER_OCTAVE, (bucket + 1) as u64 % PER_OCTAVE as u64);
    match octave {
        0 => within,
        octave => (PER_OCTAVE as u64 + within) << (octave - 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_value_lies_in_the_bucket_that_ends_next_above_it() {
        for us in (0..5_000).chain([65_535, 65_536, 1_000_000, 66_000_000]) {
            let bucket = bucket_of(us);
            assert!(us < end_of(bucket), "{us}");
            assert!(bucket == 0 || us >= end_of(bucket - 1), "{us}");
            assert!(end_of(bucket) - us <= 1 + us / 8, "{us}: to an eighth");
        }
    }

    #[test]
    fn a_delay_beyond_all_buckets_is_counted_in_the_last() {
        let mut lateness = DelayHistogram::default();
        for us in [3, 3, u64::MAX] {
            lateness.note(us);
        }
        assert_eq!(lateness.buckets().collect::<Vec<_>>(), [(4, 2), (end_of(BUCKETS - 1), 1)]);
    }
}
