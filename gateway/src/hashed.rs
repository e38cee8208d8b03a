//! Maps by numbers that are hashes already: nothing is gained by hashing them again.

use std::hash::{BuildHasherDefault, Hasher};

/// For maps whose keys are 64-bit hashes. Whoever chooses what was hashed could make them collide, so it is for keys that
/// nobody can choose (digests), or where only those who choose them are the slower for it (a client's own users).
pub(crate) type Hashed = BuildHasherDefault<AsItIs>;

/// Takes a number for its own hash.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct AsItIs(u64);

/// 2^64 divided by the golden ratio: it spreads what differs in few bits over all of them.
const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;

impl Hasher for AsItIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = (self.0 ^ number).wrapping_mul(SPREAD);
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::hash::BuildHasher;

    use super::*;

    #[test]
    fn numbers_that_are_alike_are_spread_over_the_bits_that_maps_look_at() {
        let hashed = Hashed::default();
        let (mut lower, mut upper) = (std::collections::BTreeSet::new(), std::collections::BTreeSet::new());
        for number in 0_u64..1_024 {
            let hash = hashed.hash_one(number);
            lower.insert(hash & 0x3ff);
            upper.insert(hash >> 57);
        }
        assert_eq!(lower.len(), 1_024, "an odd factor permutes the lower bits");
        assert_eq!(upper.len(), 128);
    }
}
