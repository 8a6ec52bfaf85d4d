//! The random number generator of the simulator.

/// SplitMix64 (Steele, Lea, Flood 2014). A seed gives the same numbers in every version; no library guarantees that.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// A generator with this seed.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number, uniform over all of `u64`.
    pub const fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number from 0 to `most`, uniform. With 0 the generator does not advance.
    pub const fn up_to(&mut self, most: u64) -> u64 {
        if most == 0 {
            return 0;
        }
        (((self.next_u64() >> 32) as u128 * (most as u128 + 1)) >> 32) as u64
    }

    /// True with this probability, in parts per million. With 0 the generator does not advance.
    pub const fn chance(&mut self, per_million: u32) -> bool {
        per_million > 0 && self.up_to(999_999) < per_million as u64
    }

    /// A new generator, seeded by this one.
    #[must_use]
    pub const fn fork(&mut self) -> Self {
        Self(self.next_u64())
    }
}
