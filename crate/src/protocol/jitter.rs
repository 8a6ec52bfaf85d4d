//! The one random draw that a transmit makes.

/// Marsaglia's xorshift32 (shifts 13, 17, 5): small enough to be the same in two languages, and good enough to
/// keep sessions from marching in step. Not for secrets; discriminators come from the system.
#[derive(Clone, Debug)]
pub struct Xorshift32(u32);

impl Xorshift32 {
    /// A generator with the given seed; zero, on which xorshift would stay, becomes one.
    #[must_use]
    pub const fn new(seed: u32) -> Self {
        Self(if seed == 0 { 1 } else { seed })
    }

    /// The next number.
    pub const fn next_u32(&mut self) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 17;
        self.0 ^= self.0 << 5;
        self.0
    }

    /// A number from 0 to `span - 1`, from the upper 24 bits of one draw: what a double can do exactly as well.
    pub const fn below(&mut self, span: u64) -> u64 {
        ((self.next_u32() >> 8) as u64 * span) >> 24
    }
}

/// One draw, uniform between the bounds, of a packet that may leave up to `slack_us` early: the draw leaves so much room
/// above the least.
#[must_use]
pub const fn between((least_us, most_us): (u64, u64), slack_us: u64, random: &mut Xorshift32) -> u64 {
    let least_us = least_us + slack_us;
    least_us + random.below(most_us - least_us + 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::Protocol;
    use crate::protocol::bfd::Bfd;
    use crate::protocol::liveness::Liveness;

    fn jittered(interval_us: u64, peer_mult: u8, slack_us: u64, random: &mut Xorshift32) -> u64 {
        between(Liveness::jitter_bounds_us(interval_us, 3, peer_mult), slack_us, random)
    }

    #[test]
    fn the_generator_is_the_published_one() {
        let mut random = Xorshift32::new(1);
        let drawn: Vec<u32> = (0..4).map(|_| random.next_u32()).collect();
        assert_eq!(drawn, [270_369, 67_634_689, 2_647_435_461, 307_599_695]);
    }

    #[test]
    fn jitter_fills_plus_minus_ten_percent_and_no_more() {
        let mut random = Xorshift32::new(7);
        let drawn: Vec<u64> = (0..20_000).map(|_| jittered(100_000, 3, 0, &mut random)).collect();
        assert!(drawn.iter().all(|us| (90_000..=110_000).contains(us)));
        assert!(drawn.iter().any(|us| *us < 90_100) && drawn.iter().any(|us| *us > 109_900));
    }

    #[test]
    fn a_packet_that_leaves_early_by_its_slack_is_within_ten_percent() {
        let mut random = Xorshift32::new(7);
        let drawn: Vec<u64> = (0..20_000).map(|_| jittered(100_000, 3, 1_000, &mut random)).collect();
        assert!(drawn.iter().all(|us| (91_000..=110_000).contains(us)));
        assert!(drawn.iter().any(|us| *us < 91_100) && drawn.iter().any(|us| *us > 109_900));
    }

    #[test]
    fn a_peer_with_multiplier_one_is_always_sent_to_early() {
        let mut random = Xorshift32::new(7);
        let drawn: Vec<u64> = (0..20_000).map(|_| jittered(100_000, 1, 0, &mut random)).collect();
        assert!(drawn.iter().all(|us| (75_000..=90_000).contains(us)));
        assert!(drawn.iter().any(|us| *us < 75_100) && drawn.iter().any(|us| *us > 89_900));
    }

    #[test]
    fn a_packet_of_bfd_that_leaves_early_by_its_slack_is_within_75_and_100_percent_and_90_with_a_multiplier_of_one() {
        let mut random = Xorshift32::new(7);
        for (multiplier, most_us) in [(3, 100_000), (1, 90_000)] {
            let slack_us = 100_000 / Bfd::SLACK_DIVISOR;
            let bounds_us = Bfd::jitter_bounds_us(100_000, multiplier, 3);
            let drawn: Vec<u64> = (0..20_000).map(|_| between(bounds_us, slack_us, &mut random)).collect();
            assert!(drawn.iter().all(|us| *us - slack_us >= 75_000 && *us <= most_us));
            assert!(drawn.iter().any(|us| *us - slack_us < 75_100) && drawn.iter().any(|us| *us > most_us - 100));
        }
    }
}
