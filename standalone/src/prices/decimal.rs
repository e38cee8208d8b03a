//! JSON numbers as exact money: the digits are read as they stand, never through a float.

use schemas::money::Pico;
use serde_json::value::RawValue;

/// Digits after the point of a dollar that [`Pico`] holds.
const PICO_DIGITS: i32 = 12;

/// How far a number may be from a whole pico-dollar to count as one that a float has frayed: one part in a million.
const FRAYED: i128 = 1_000_000;

/// Dollars, as a JSON number or string such as `3e-06`, times ten to the power of `shift`.
///
/// Lists that went through floats hold numbers like `8.749999999999999e-07`; what is within a millionth of a whole
/// pico-dollar is taken for it. `None`: not a number, negative, or finer than a pico-dollar.
pub(super) fn pico(number: &RawValue, shift: i32) -> Option<Pico> {
    let text = number.get().trim_matches('"');
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
    let power = PICO_DIGITS + shift + exponent - i32::try_from(fraction.len()).ok()?;
    let magnitude = 10_i128.checked_pow(power.unsigned_abs());
    if power >= 0 {
        return digits.checked_mul(magnitude?).map(Pico);
    }
    let Some(divisor) = magnitude else { return (digits == 0).then_some(Pico::ZERO) };
    let rounded = (digits + divisor / 2) / divisor;
    let off = (digits - rounded * divisor).abs();
    (off.checked_mul(FRAYED)? <= digits).then_some(Pico(rounded))
}
