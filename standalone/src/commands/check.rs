//! `weir check`: tells every mistake in a configuration at once.

use std::path::PathBuf;

use clap::Args;
use schemas::config::{Config, Mistake, Mistakes};

use super::Failure;
use crate::terminal;

/// Validates a configuration and prints every mistake with the path of its key.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The configuration file.
    #[arg(default_value = "weir.toml")]
    config: PathBuf,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let config = Config::load(&arguments.config)?;
    config.check_secrets()?;
    config
        .prices
        .book()
        .map_err(|error| Mistakes(vec![Mistake { path: String::new(), message: error.to_string() }]))?;
    let endpoints: usize = config.providers.iter().map(|provider| provider.endpoints.len()).sum();
    terminal::out(format_args!(
        "{} is ok: {}, {}, {}, {}",
        arguments.config.display(),
        count(config.providers.len(), "provider"),
        count(endpoints, "endpoint"),
        count(config.models.len(), "model"),
        count(config.clients.len(), "client"),
    ));
    Ok(())
}

fn count(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}
