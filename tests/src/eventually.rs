//! The only waiting in tests: look until it is so, or until a deadline.

use std::fmt::Display;
use std::time::{Duration, Instant};

/// How long to wait between two looks.
const PAUSE: Duration = Duration::from_millis(20);

/// Calls `look` until it returns `Ok`, and returns that. After `deadline` the test fails with the last `Err`.
pub async fn eventually<T, E, F>(what: &str, deadline: Duration, mut look: impl FnMut() -> F) -> T
where
    F: Future<Output = Result<T, E>>,
    E: Display,
{
    let begin = Instant::now();
    loop {
        // A look that hangs must not outlive the deadline either.
        let left = deadline.saturating_sub(begin.elapsed()).max(Duration::from_secs(1));
        let seen = match tokio::time::timeout(left, look()).await {
            Ok(Ok(value)) => return value,
            Ok(Err(error)) => error.to_string(),
            Err(_) => "the last look did not return".to_owned(),
        };
        assert!(begin.elapsed() < deadline, "not within {deadline:?}: {what}; last seen: {seen}");
        tokio::time::sleep(PAUSE).await;
    }
}
