//! `weir demo`: the whole pipeline on this machine, a mixed load through it, and the bill it comes to.

pub(crate) mod configuration;
pub(crate) mod script;
pub(crate) mod question;
mod load;
pub(crate) mod readback;
pub(crate) mod accounting;
pub(crate) mod report;

#[cfg(test)]
mod tests;

use std::path::Path;
use std::time::Duration;

use schemas::price::Book;
use tokio_util::sync::{CancellationToken, DropGuard};

use self::accounting::Books;
use self::configuration::Addresses;
use self::readback::Readback;
use crate::simulate::{Options, Simulator};
use crate::stack::{self, Engines, Services};
use crate::terminal;

/// How long rows may take to be readable after the last answer.
const RECORDED_TIMEOUT: Duration = Duration::from_secs(60);

/// Why the demo could not be shown.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The stack does not stand.
    #[error(transparent)]
    Stack(#[from] stack::Error),
    /// The configuration that the demo writes is wrong: a mistake of ours, or an override in the environment.
    #[error("the demo's configuration: {0}")]
    Configuration(#[from] schemas::config::Mistakes),
    /// The price book that ships with Weir is wrong.
    #[error(transparent)]
    Prices(#[from] schemas::price::InvalidBook),
    /// What was recorded cannot be read.
    #[error(transparent)]
    Readback(#[from] readback::Error),
    /// A temporary folder cannot be made.
    #[error("cannot create a temporary folder: {0}")]
    Folder(std::io::Error),
    /// Interrupted.
    #[error("interrupted")]
    Interrupted,
    /// The books do not agree.
    #[error("the books do not agree: {0}")]
    Unbalanced(String),
}

/// Shows the demo. `stays` keeps everything running after the bill until `stop`.
pub async fn run(stays: bool, stop: &CancellationToken) -> Result<(), Error> {
    let folder = tempfile::Builder::new().prefix("weir-demo-").tempdir().map_err(Error::Folder)?;
    // The engines' supervisors remove it: that holds even if we are killed.
    let folder = folder.keep();
    let mut engines = Engines::passing(folder.clone());
    let shown = tokio::select! {
        shown = show(&folder, &mut engines) => shown,
        () = stop.cancelled() => Err(Error::Interrupted),
    };
    let ended = match shown {
        Ok(mut standing) => {
            if stays {
                standing.stay(&mut engines, stop).await;
            }
            standing.stop(&engines).await
        }
        Err(error) => Err(error),
    };
    engines.stop().await;
    let _ = std::fs::remove_dir_all(&folder);
    ended
}

/// What stands when the bill has been printed.
struct Standing {
    services: Services,
    addresses: Addresses,
    readback: Readback,
    /// Whether the books agree.
    verdict: Result<(), Error>,
    /// Stops the simulated provider.
    _provider: DropGuard,
}

async fn show(folder: &Path, engines: &mut Engines) -> Result<Standing, Error> {
    let (listener, provider) = stack::bind(9400).await?;
    let simulator = Simulator::new(Options {
        first_token: Duration::from_millis(150),
        per_token: Duration::from_millis(4),
        output_tokens: 40..=240,
        ..Options::default()
    });
    let stop_provider = CancellationToken::new();
    let serving = simulator.clone();
    let _provider = stop_provider.clone().drop_guard();
    tokio::spawn(async move { serving.serve(listener, stop_provider).await });

    let (config, listeners, addresses) = configuration::build(folder, provider).await?;
    engines.start(&config).await?;
    let client = reqwest::Client::builder().no_proxy().build().map_err(stack::Error::Client)?;
    let readback = Readback { client, analytics: addresses.analytics, config: config.clone() };
    let mut services = Services::start(&config, None, listeners);
    let verdict = tokio::select! {
        told = tell(&readback, &addresses, &simulator) => told,
        failed = services.failed() => return Err(failed.into()),
        failed = engines.failed() => return Err(failed.into()),
    };
    match verdict {
        Ok(()) | Err(Error::Unbalanced(_)) => Ok(Standing { services, addresses, readback, verdict, _provider }),
        Err(error) => Err(error),
    }
}

impl Standing {
    /// Keeps everything running until the user has seen enough, or a part ends.
    async fn stay(&mut self, engines: &mut Engines, stop: &CancellationToken) {
        terminal::out(report::stays(&self.addresses));
        tokio::select! {
            () = stop.cancelled() => {}
            failed = self.services.failed() => terminal::err(failed),
            failed = engines.failed() => terminal::err(failed),
        }
        terminal::err("stopping ...");
    }

    async fn stop(self, engines: &Engines) -> Result<(), Error> {
        self.services.stop().await;
        if !engines.warehouse_is_ours() {
            // A server that stays is left as it was.
            self.readback.drop_database().await?;
        }
        self.verdict
    }
}

/// Sends the load, and prints and compares what was made of it.
async fn tell(readback: &Readback, addresses: &Addresses, simulator: &Simulator) -> Result<(), Error> {
    let sent = load::send(addresses.gateway, &readback.client, script::shots()).await;
    readback.wait_for(sent.len(), RECORDED_TIMEOUT).await;
    let (rows, costs) = (readback.rows().await?, readback.costs().await?);
    let (used, outcomes) = (readback.used().await?, readback.outcomes().await?);
    let (tries, asked) = (readback.tries().await?, readback.providers().await?);
    let analytics = addresses.analytics.to_string();
    terminal::out(report::bill(&analytics, &costs, &used));
    terminal::out(report::outcomes(&analytics, &outcomes));
    terminal::out(report::providers(&analytics, &asked));
    let prices = Book::builtin()?;
    let books = Books { sent, tally: simulator.tally(), rows, tries, used, costs, prices };
    let checks = books.checks();
    terminal::out(report::accounting(&checks));
    for difference in books.differences() {
        terminal::err(difference);
    }
    let different: Vec<&str> = checks.iter().filter(|check| !check.holds()).map(|check| check.what.trim()).collect();
    if different.is_empty() { Ok(()) } else { Err(Error::Unbalanced(different.join("; "))) }
}
