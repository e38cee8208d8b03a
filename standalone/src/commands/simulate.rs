//! `weir simulate`: the simulated provider alone.

use std::net::SocketAddr;

use clap::Args;
use schemas::config::Span;
use tokio::net::TcpListener;

use super::{Failure, stop};
use crate::simulate::{Options, Simulator};
use crate::terminal;

/// Serves the simulated provider: Anthropic Messages, OpenAI Chat Completions and Responses, and Gemini; faults on demand, and a tally.
///
/// A fault is asked for by the model's name (`claude-sonnet-5-5-sim-cut`) or the header `x-simulate`: error-<status>,
/// html, drop, hang, silent, cut, stall, stream-error, early-error, slow, no-usage. `GET /tally` tells what was served.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Where to listen.
    #[arg(long, default_value = "127.0.0.1:9400")]
    listen: SocketAddr,
    /// Time from the request to the first token, like 300ms.
    #[arg(long, default_value = "300ms")]
    first_token: Span,
    /// Time per token, like 10ms.
    #[arg(long, default_value = "10ms")]
    per_token: Span,
    /// Shortest answer, in tokens.
    #[arg(long, default_value_t = 20)]
    output_tokens_min: u64,
    /// Longest answer, in tokens.
    #[arg(long, default_value_t = 200)]
    output_tokens_max: u64,
    /// Tokens per event of a stream.
    #[arg(long, default_value_t = 1)]
    tokens_per_event: u64,
    /// Changes every answer.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// The environment variable with the only key that is let in; without it everybody is.
    #[arg(long)]
    key_env: Option<String>,
    /// How many answers the tally keeps one by one.
    #[arg(long, default_value_t = 100_000)]
    answers_max: usize,
}

pub(super) async fn run(arguments: Arguments) -> Result<(), Failure> {
    if arguments.output_tokens_min > arguments.output_tokens_max {
        return Err(Failure::Failed("--output-tokens-min is above --output-tokens-max".to_owned()));
    }
    let key = match &arguments.key_env {
        None => None,
        Some(name) => Some(
            std::env::var(name)
                .map_err(|_| Failure::Failed(format!("the environment variable {name} is not set (--key-env)")))?,
        ),
    };
    let Span(first_token) = arguments.first_token;
    let Span(per_token) = arguments.per_token;
    let options = Options {
        seed: arguments.seed,
        first_token,
        per_token,
        output_tokens: arguments.output_tokens_min..=arguments.output_tokens_max,
        tokens_per_event: arguments.tokens_per_event,
        key,
        answers_max: arguments.answers_max,
        ..Options::default()
    };
    let listener = TcpListener::bind(arguments.listen)
        .await
        .map_err(|error| Failure::Failed(format!("cannot listen on {}: {error}", arguments.listen)))?;
    let address = listener.local_addr().unwrap_or(arguments.listen);
    terminal::out(format_args!("simulated provider on http://{address} (tally: http://{address}/tally)"));
    Simulator::new(options).serve(listener, stop::token()?).await;
    Ok(())
}
