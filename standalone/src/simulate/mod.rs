//! The simulated provider: speaks the providers' dialects over real sockets, and knows what it has served.
//!
//! Text, length, usage and tool calls of an answer are a function of the request and the seed, so a test can predict
//! them ([`Simulator::plan`]); ids are new for every answer. Faults are asked for by the model's name or by a header
//! ([`Fault`]). The [`Tally`] is the truth that bills are compared with.

mod fault;
pub(crate) mod random;
mod endpoint;
mod fields;
mod ask;
mod text;
mod plan;
mod frames;
mod dialect;
mod anthropic;
mod openai_chat;
mod openai_responses;
mod gemini;
mod tally;
mod playback;
mod reply;
mod answer;
mod server;

#[cfg(test)]
mod tests;

pub use self::ask::{Ask, Caching, Refusal};
pub use self::endpoint::{Address, Framing};
pub use self::fault::{Fault, HEADER, InvalidFault, TAG};
pub use self::plan::{Content, Plan, Stop, ToolCall};
pub use self::tally::{Answer, Ending, ModelTally, Tally};

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use self::tally::Book;

/// How the provider behaves.
#[derive(Clone, Debug)]
pub struct Options {
    /// Changes every answer.
    pub seed: u64,
    /// From the request to the first content.
    pub first_token: Duration,
    /// Between one token and the next.
    pub per_token: Duration,
    /// How long answers are, in tokens of visible content, unless the request's own limit is lower.
    pub output_tokens: RangeInclusive<u64>,
    /// How many tokens travel in one event.
    pub tokens_per_event: u64,
    /// The only key that is let in; `None` lets everybody in.
    pub key: Option<String>,
    /// What the lists of models hold.
    pub models: Vec<String>,
    /// How many answers the tally keeps one by one; totals are kept for all.
    pub answers_max: usize,
}

const MODELS: [&str; 9] = [
    "claude-opus-5-5",
    "claude-sonnet-5-5",
    "claude-haiku-5-5",
    "gpt-5.6-sol",
    "gpt-5.4",
    "gpt-4.1-mini",
    "gemini-3.1-pro-preview",
    "gemini-3.8-flash",
    "gemini-3.5-flash-lite",
];

impl Default for Options {
    fn default() -> Self {
        Self {
            seed: 0,
            first_token: Duration::ZERO,
            per_token: Duration::ZERO,
            output_tokens: 20..=200,
            tokens_per_event: 1,
            key: None,
            models: MODELS.map(str::to_owned).to_vec(),
            answers_max: 100_000,
        }
    }
}

/// A provider that makes its answers up. Clones share one tally.
#[derive(Clone, Debug)]
pub struct Simulator {
    options: Arc<Options>,
    book: Arc<Book>,
}

impl Simulator {
    /// A provider that has served nothing yet.
    pub fn new(options: Options) -> Self {
        let book = Arc::new(Book::new(options.answers_max));
        Self { options: Arc::new(options), book }
    }

    /// Serves until `shutdown`; answers still running after a second are cut.
    pub async fn serve(&self, listener: TcpListener, shutdown: CancellationToken) {
        server::serve(self.clone(), listener, shutdown).await;
    }

    /// What has been served so far.
    pub fn tally(&self) -> Tally {
        self.book.tally()
    }

    /// What the provider will answer to a request, without serving it.
    pub fn plan(&self, address: &Address, body: &[u8]) -> Result<Plan, Refusal> {
        Ok(Plan::new(&Ask::read(address, body)?, &self.options))
    }
}
