//! SIGTERM and SIGINT as a cancellation.

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::Failure;

/// A token that the first SIGTERM or SIGINT cancels. The second ends the process at once.
pub(super) fn token() -> Result<CancellationToken, Failure> {
    listen(|| std::process::exit(1))
}

/// A token that SIGTERM and SIGINT cancel, however often they come.
pub(super) fn patient_token() -> Result<CancellationToken, Failure> {
    listen(|| {})
}

fn listen(on_second: impl Fn() + Send + 'static) -> Result<CancellationToken, Failure> {
    let unavailable = |error| Failure::Failed(format!("cannot listen to signals: {error}"));
    let mut terminate = signal(SignalKind::terminate()).map_err(unavailable)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(unavailable)?;
    let token = CancellationToken::new();
    let cancelled = token.clone();
    tokio::spawn(async move {
        let mut is_second = false;
        loop {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            if is_second {
                on_second();
            }
            is_second = true;
            cancelled.cancel();
        }
    });
    Ok(token)
}
