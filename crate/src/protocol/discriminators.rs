//! Discriminators that carry the slot of their session, encrypted with a key. A packet that names one leads to its session
//! without a search; without the key, one discriminator says nothing about the next.

/// How many bits of a discriminator are the slot, at most and at least. The others number the sessions that use the slot one
/// after another.
const MOST_SLOT_BITS: u32 = 24;
const LEAST_SLOT_BITS: u32 = 8;

/// Words of the key, one to a round.
const ROUNDS: usize = 4;

/// A key; from the system's random source where discriminators must not be guessed.
pub(crate) type Key = [u64; ROUNDS];

/// A permutation of all 32-bit numbers: a Feistel network of four rounds, in which none but the key is secret.
#[derive(Clone, Debug)]
pub(crate) struct Discriminators {
    key: Key,
    slot_bits: u32,
    slot_mask: u32,
    drawn: u32,
}

impl Discriminators {
    /// For so many slots.
    #[must_use]
    pub(crate) fn new(key: Key, slots: usize) -> Self {
        let slot_bits = slots.next_power_of_two().ilog2().clamp(LEAST_SLOT_BITS, MOST_SLOT_BITS);
        Self { key, slot_bits, slot_mask: (1 << slot_bits) - 1, drawn: 0 }
    }

    /// A discriminator for the next session of a slot, never 0 (RFC 5880 §6.8.1). It may be taken: slots from 2^24 on share
    /// their numbers with smaller ones.
    ///
    /// When all numbers of a slot were used (524 288 with the slots of 5 120 sessions), the key changes. Sessions with
    /// discriminators from before are found by their path then.
    pub(crate) fn draw(&mut self, slot: u32) -> u32 {
        loop {
            self.drawn += 1;
            if self.drawn >> (u32::BITS - self.slot_bits) != 0 {
                self.drawn = 0;
                self.key = self.key.map(next_word);
            }
            let discr = self.hide(self.drawn << self.slot_bits | slot & self.slot_mask);
            if discr != 0 {
                return discr;
            }
        }
    }

    /// The slot that a discriminator was drawn for. Of one that was not drawn here, any.
    #[must_use]
    pub(crate) fn slot_of(&self, discr: u32) -> u32 {
        let (mut left, mut right) = halves(discr);
        for key in self.key.iter().rev() {
            (left, right) = (right ^ mixed(left, *key), left);
        }
        joined(left, right) & self.slot_mask
    }

    fn hide(&self, plain: u32) -> u32 {
        let (mut left, mut right) = halves(plain);
        for key in &self.key {
            (left, right) = (right, left ^ mixed(right, *key));
        }
        joined(left, right)
    }
}

/// Another word, which follows from this one: a step of splitmix64.
const fn next_word(word: u64) -> u64 {
    let sum = word.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let once = (sum ^ sum >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let twice = (once ^ once >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
    twice ^ twice >> 31
}

const fn halves(word: u32) -> (u16, u16) {
    ((word >> 16) as u16, word as u16)
}

const fn joined(left: u16, right: u16) -> u32 {
    (left as u32) << 16 | right as u32
}

/// Two multiplications with the key between them: every bit of either reaches every bit of the result.
const fn mixed(half: u16, key: u64) -> u16 {
    let once = (half as u64 ^ key).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let twice = (once ^ once >> 32 ^ key.rotate_left(32)).wrapping_mul(0xD6E8_FEB8_6659_FD93);
    (twice >> 48) as u16
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn two_sessions_of_a_slot_and_two_keys_have_different_discriminators() {
        let mut one = Discriminators::new([1, 2, 3, 4], 1_000);
        let mut other = Discriminators::new([1, 2, 3, 5], 1_000);
        let (first, second) = (one.draw(7), one.draw(7));
        assert_ne!(first, second);
        assert_ne!(first, other.draw(7));
        assert_eq!((one.slot_of(first), one.slot_of(second)), (7, 7));
    }

    #[test]
    fn neighbouring_slots_have_discriminators_that_differ_in_half_of_their_bits() {
        let mut discriminators = Discriminators::new([11, 22, 33, 44], 5_120);
        let drawn: Vec<u32> = (0..4_096).map(|slot| discriminators.draw(slot)).collect();
        let differing: u32 = drawn.windows(2).map(|pair| (pair[0] ^ pair[1]).count_ones()).sum();
        let share = f64::from(differing) / (4_095.0 * 32.0);
        assert!((0.49..0.51).contains(&share), "{share}");
    }

    #[test]
    fn the_sessions_of_a_slot_have_different_discriminators_however_many_there_are() {
        // With 2^24 slots there are 256 numbers a slot, then another key.
        for slots in [1 << 24, 5_120] {
            let mut discriminators = Discriminators::new([1, 2, 3, 4], slots);
            let mut drawn: Vec<u32> = (0..10_000).map(|_| discriminators.draw(7)).collect();
            let last = drawn[9_999];
            assert_eq!(discriminators.slot_of(last), 7, "the newest is found by it");
            drawn.sort_unstable();
            drawn.dedup();
            assert!(drawn.len() >= 9_998, "{} of 10 000, of which chance repeats one in a hundred runs", drawn.len());
        }
    }

    proptest! {
        #[test]
        fn a_slot_is_found_again_by_its_discriminator(key: Key, slot in 0u32..1 << 24) {
            let mut discriminators = Discriminators::new(key, 1 << 24);
            let discr = discriminators.draw(slot);
            prop_assert_ne!(discr, 0);
            prop_assert_eq!(discriminators.slot_of(discr), slot);
        }
    }
}
