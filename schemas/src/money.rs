//! Exact money: pico-dollars in 128 bits, the twin of ClickHouse's `Decimal(38, 12)`.
//!
//! List prices are whole pico-dollars per token ($0.0375 per million is 37,500 of them), so tokens times price needs no
//! rounding. The only place where rounding can occur is a key's `cost_multiplier`, once per request, half to even.

use std::fmt;
use std::iter::Sum;
use std::ops::Add;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

const SCALE_DIGITS: usize = 12;
const SCALE: i128 = 1_000_000_000_000;

/// An amount in units of 1e-12 US dollars.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pico(pub i128);

/// The text was not a decimal number of at most twelve fractional digits.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{0:?} is not an amount: write a decimal number with at most 12 digits after the point, as a string")]
pub struct InvalidAmount(String);

impl Pico {
    /// Nothing owed. Not the same as an unknown amount, which is `None`.
    pub const ZERO: Self = Self(0);

    /// `self * factor`, rounded half to even at the twelfth digit. `None` on overflow.
    pub fn checked_mul_factor(self, factor: Factor) -> Option<Self> {
        let product = self.0.checked_mul(factor.0)?;
        let (quotient, remainder) = (product.div_euclid(FACTOR_SCALE), product.rem_euclid(FACTOR_SCALE));
        let up = match (remainder * 2).cmp(&FACTOR_SCALE) {
            std::cmp::Ordering::Less => 0,
            std::cmp::Ordering::Greater => 1,
            std::cmp::Ordering::Equal => quotient & 1,
        };
        Some(Self(quotient + up))
    }

    /// `self * count`; `None` on overflow.
    pub fn checked_mul_count(self, count: u64) -> Option<Self> {
        self.0.checked_mul(i128::from(count)).map(Self)
    }

    /// `self + other`; `None` on overflow.
    pub fn checked_add(self, other: Self) -> Option<Self> {
        self.0.checked_add(other.0).map(Self)
    }
}

impl Add for Pico {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self(self.0 + other.0)
    }
}

impl Sum for Pico {
    fn sum<I: Iterator<Item = Self>>(iter: I) -> Self {
        iter.fold(Self::ZERO, Add::add)
    }
}

impl fmt::Display for Pico {
    /// Always with twelve fractional digits, as ClickHouse's `toString` of a `Decimal(38, 12)` would pad it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let magnitude = self.0.unsigned_abs();
        let scale = SCALE.unsigned_abs();
        write!(f, "{sign}{}.{:012}", magnitude / scale, magnitude % scale)
    }
}

impl FromStr for Pico {
    type Err = InvalidAmount;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        parse_decimal(text, SCALE_DIGITS).map(Self).ok_or_else(|| InvalidAmount(text.to_owned()))
    }
}

impl Serialize for Pico {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Pico {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(crate::text::Parsed::default())
    }
}

const FACTOR_DIGITS: usize = 9;
const FACTOR_SCALE: i128 = 1_000_000_000;

/// A key's `cost_multiplier`: what a request costs us relative to the list price. At most nine fractional digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Factor(i128);

/// The text was not a non-negative decimal number of at most nine fractional digits, or beyond a million.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error(
    "{0:?} is not a multiplier: write a number from 0 to 1000000 with at most 9 digits after the point, as a string"
)]
pub struct InvalidFactor(String);

impl Factor {
    /// The list price itself.
    pub const ONE: Self = Self(FACTOR_SCALE);

    /// The factor from units of 1e-9, as stored; what no factor can be counts as nearest to it.
    pub fn from_nano(nano: i64) -> Self {
        Self(i128::from(nano).clamp(0, 1_000_000 * FACTOR_SCALE))
    }

    /// The number in units of 1e-9, as `Decimal(18, 9)` stores it.
    pub fn as_nano(self) -> i64 {
        // Bounded by a million in the constructor, so it always fits.
        i64::try_from(self.0).unwrap_or(i64::MAX)
    }
}

impl Default for Factor {
    fn default() -> Self {
        Self::ONE
    }
}

impl fmt::Display for Factor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fraction = format!("{:09}", self.0 % FACTOR_SCALE);
        let fraction = fraction.trim_end_matches('0');
        write!(f, "{}.{}", self.0 / FACTOR_SCALE, if fraction.is_empty() { "0" } else { fraction })
    }
}

impl FromStr for Factor {
    type Err = InvalidFactor;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        parse_decimal(text, FACTOR_DIGITS)
            .filter(|value| (0..=1_000_000 * FACTOR_SCALE).contains(value))
            .map(Self)
            .ok_or_else(|| InvalidFactor(text.to_owned()))
    }
}

impl Serialize for Factor {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if *self == Self::ONE {
            // As nearly every event has it, twice.
            return serializer.serialize_str("1.0");
        }
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Factor {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(crate::text::Parsed::default())
    }
}

/// Reads `-12.345` as an integer scaled by `10^digits`; `None` for anything else, exponents and excess digits included.
fn parse_decimal(text: &str, digits: usize) -> Option<i128> {
    let (negative, unsigned) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, ""));
    let only_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !only_digits(whole) || !only_digits(fraction) || fraction.len() > digits {
        return None;
    }
    if unsigned.ends_with('.') {
        return None;
    }
    let padding = std::iter::repeat_n(b'0', digits - fraction.len());
    let value = whole
        .bytes()
        .chain(fraction.bytes())
        .chain(padding)
        .try_fold(0_i128, |value, digit| value.checked_mul(10)?.checked_add(i128::from(digit - b'0')))?;
    Some(if negative { -value } else { value })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_read_and_print_exactly() {
        for (text, pico) in [("0", 0), ("0.000000000001", 1), ("12.5", 12_500_000_000_000), ("-0.1", -100_000_000_000)]
        {
            assert_eq!(text.parse::<Pico>().unwrap(), Pico(pico), "{text}");
        }
        assert_eq!(Pico(12_500_000_000_001).to_string(), "12.500000000001");
        assert_eq!(Pico(-1).to_string(), "-0.000000000001");
    }

    #[test]
    fn what_cannot_be_held_exactly_is_refused() {
        for text in ["", ".", "1.", ".5", "1e3", "0.0000000000001", "1,5", "+1", " 1", "--1"] {
            assert!(text.parse::<Pico>().is_err(), "{text}");
        }
        for text in ["-1", "1000001", "0.0000000001"] {
            assert!(text.parse::<Factor>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_multiplier_rounds_half_to_even_once() {
        let half: Factor = "0.5".parse().unwrap();
        let products: Vec<i128> = [1, 2, 3, 5, 7].map(|pico| Pico(pico).checked_mul_factor(half).unwrap().0).to_vec();
        assert_eq!(products, [0, 1, 2, 2, 4]);
        assert_eq!("1.25".parse::<Factor>().unwrap().to_string(), "1.25");
        assert_eq!(Factor::ONE.to_string(), "1.0");
    }
}
