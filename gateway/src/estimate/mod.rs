//! Token counts where the provider reports none: from what was asked and what was said. Always marked as estimated.
//!
//! Only the beginning of a text is counted, the rest in proportion to its characters, so that an estimate takes a
//! millisecond however long the answer was.

mod prompt;
mod sample;
mod tokens;

#[cfg(test)]
mod tests;

pub use self::prompt::{Prompt, Size};
pub use self::sample::Sample;
pub use self::tokens::Scheme;

use tokio::runtime::{Handle, RuntimeFlavor};

/// Tokens of a prompt.
pub fn prompt_tokens(scheme: Scheme, prompt: Prompt) -> u64 {
    prompt.digest().tokens(scheme)
}

/// Tokens of `chars` characters of output that began like this; `None` where nothing was said, or kept.
pub fn output_tokens(scheme: Scheme, sample: &Sample, chars: u64) -> Option<u64> {
    (chars > 0 && !sample.is_empty()).then(|| sampled(scheme, sample, chars))
}

/// The tokens of a text of which the beginning is known, and how many characters all of it has.
fn sampled(scheme: Scheme, sample: &Sample, chars: u64) -> u64 {
    let text = sample.text();
    let (counted, of) = (u128::from(scheme.count(&text)), text.chars().count() as u128);
    let all = (counted * u128::from(chars) + of / 2).checked_div(of).unwrap_or(0);
    u64::try_from(all).unwrap_or(u64::MAX).max(1)
}

/// Runs an estimate without keeping a worker thread from the other streams: it takes up to a few milliseconds, and a
/// tenth of a second the first time, when a vocabulary is unpacked.
pub fn off_the_worker<T>(work: impl FnOnce() -> T) -> T {
    match Handle::try_current().map(|handle| handle.runtime_flavor()) {
        Ok(RuntimeFlavor::MultiThread) => tokio::task::block_in_place(work),
        _ => work(),
    }
}
