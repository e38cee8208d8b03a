//! What the process is told from outside. Only `main` listens: [`crate::run`] is given the outcome.

use std::io;
use std::sync::Arc;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// SIGTERM and SIGINT cancel the token; SIGHUP notifies `reload`.
pub fn listen(reload: Arc<Notify>) -> io::Result<CancellationToken> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let mut hangup = signal(SignalKind::hangup())?;
    let shutdown = CancellationToken::new();
    let stop = shutdown.clone();
    tokio::spawn(async move {
        loop {
            tokio::select! {
                _ = terminate.recv() => break stop.cancel(),
                _ = interrupt.recv() => break stop.cancel(),
                _ = hangup.recv() => reload.notify_one(),
            }
        }
    });
    Ok(shutdown)
}
