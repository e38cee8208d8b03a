//! Taking over a changed configuration while requests run.
//!
//! A file is taken over whole or not at all: everything that can fail comes before the first change. New requests see
//! the new configuration; running ones keep theirs. Keys that only a start can take over are named in the log.

mod current;
mod counts;
mod fixed;
mod stamp;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use schemas::config::Config;
use tokio::sync::Notify;
use tokio::time::MissedTickBehavior;

pub(crate) use self::counts::Counts;
pub(crate) use self::current::Current;
use self::stamp::{Stamp, Watch};
use crate::app::{App, StartError};

/// How often the file is looked at.
const PERIOD: Duration = Duration::from_millis(500);

/// Where a changed configuration comes from.
#[derive(Debug)]
pub struct Reload {
    file: PathBuf,
    asked: Arc<Notify>,
    /// Of the file as it was read at the start, or before it.
    stamp: Stamp,
}

impl Reload {
    /// Reloads this file when it changes. Call before it is read for the first time, so that no change escapes.
    pub fn new(file: &Path) -> Self {
        Self { file: file.to_owned(), asked: Arc::default(), stamp: Stamp::of(file) }
    }

    /// Notified, it has the file read again, changed or not: the files that secrets are in may have changed.
    pub fn asked(&self) -> Arc<Notify> {
        Arc::clone(&self.asked)
    }
}

/// Follows the file for ever; the caller drops it. `started` is what the gateway was started with.
pub(crate) async fn follow(reload: Reload, started: Config, current: Arc<Current>) {
    let mut watch = Watch::new(reload.stamp);
    let mut ticks = tokio::time::interval(PERIOD);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let is_asked = tokio::select! {
            _ = ticks.tick() => false,
            () = reload.asked.notified() => true,
        };
        let file = reload.file.clone();
        let Ok(stamp) = tokio::task::spawn_blocking(move || Stamp::of(&file)).await else { return };
        if !is_asked && !watch.is_due(stamp) {
            continue;
        }
        let (file, app) = (reload.file.clone(), current.get());
        let reading = tokio::task::spawn_blocking(move || read(&file, stamp, &app));
        let read = match reading.await {
            Ok(Some(read)) => read,
            // It is being written again: there will be another look.
            Ok(None) => continue,
            Err(_) => return,
        };
        watch.was_read(stamp);
        take_over(read, &started, &current);
    }
}

/// The configuration and what is built from it; nothing if the file has changed meanwhile.
fn read(file: &Path, stamp: Stamp, running: &App) -> Option<Result<(Config, App), StartError>> {
    let config = Config::load(file);
    if Stamp::of(file) != stamp {
        return None;
    }
    Some(config.map_err(StartError::from).and_then(|config| {
        let app = running.reconfigured(&config)?;
        Ok((config, app))
    }))
}

fn take_over(read: Result<(Config, App), StartError>, started: &Config, current: &Current) {
    match read {
        Ok((config, app)) => {
            let waiting = fixed::waiting(started, &config);
            app.metrics.reloads.taken_over(waiting.len());
            current.set(app);
            let (clients, models) = (config.clients.len(), config.models.len());
            tracing::info!(clients, models, "a new configuration is in force");
            if !waiting.is_empty() {
                tracing::warn!(keys = waiting.join(", "), "these keys have changed and wait for a restart");
            }
        }
        Err(error) => {
            current.get().metrics.reloads.refused();
            tracing::error!("the new configuration is refused, the old one stays in force: {error}");
        }
    }
}
