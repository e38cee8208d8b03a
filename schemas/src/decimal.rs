//! JSON numbers as exact money: the digits are read as they stand, never through a float.

use crate::money::Pico;

/// Digits after the point of a dollar that [`Pico`] holds.
const PICO_DIGITS: i32 = 12;

/// How far a number may be from a whole pico-dollar to count as one that a float has frayed: one part in a million.
const FRAYED: i128 = 1_000_000;

/// Dollars, as a JSON number or string such as `3e-06`, times ten to the power of `shift`.
///
/// What went through floats is like `8.749999999999999e-07`; what is within a millionth of a whole pico-dollar is taken
/// for it. `None`: not a number, negative, or finer than a pico-dollar.
pub fn exact(text: &str, shift: i32) -> Option<Pico> {
    let Read { digits, nearest, off } = read(text, shift)?;
    (off.checked_mul(FRAYED)? <= digits).then_some(Pico(nearest))
}

/// Dollars, as a JSON number or string, to the nearest pico-dollar. `None`: not a number, or negative.
pub fn nearest(text: &str) -> Option<Pico> {
    read(text, 0).map(|read| Pico(read.nearest))
}

/// A number beside whole pico-dollars.
struct Read {
    /// All digits that were written.
    digits: i128,
    /// The nearest whole number of pico-dollars.
    nearest: i128,
    /// How far the digits are from it, in units of the last of them.
    off: i128,
}

fn read(text: &str, shift: i32) -> Option<Read> {
    let text = text.trim_matches('"');
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
        None => (text, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let only_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !only_digits(whole) || !only_digits(fraction) || mantissa.len() > 30 {
        return None;
    }
    let digits: i128 = format!("{whole}{fraction}").parse().ok()?;
    let power = (PICO_DIGITS + shift).checked_add(exponent)?.checked_sub(i32::try_from(fraction.len()).ok()?)?;
    let magnitude = 10_i128.checked_pow(power.unsigned_abs());
    if power >= 0 {
        return Some(Read { digits, nearest: digits.checked_mul(magnitude?)?, off: 0 });
    }
    // Smaller than anything that has so many digits.
    let Some(divisor) = magnitude else { return Some(Read { digits, nearest: 0, off: digits }) };
    let nearest = digits.checked_add(divisor / 2)? / divisor;
    Some(Read { digits, nearest, off: (digits - nearest.checked_mul(divisor)?).abs() })
}
