//! Limits and budgets that all gateways share: each tells what it counted, and adds up what the others told.

use std::sync::Arc;
use std::time::Duration;

use schemas::time::Timestamp;
use tokio::time::Instant;

use super::Topic;
use crate::app::App;
use crate::limits::{self, BudgetWord, Kept, UseWord};
use crate::reload::Current;

/// How often this gateway's own counts are looked at. Requests do not tell of them: they would have to wait for it.
const PERIOD: Duration = Duration::from_millis(200);
/// Where that takes long it is done less often: one part in so many of a processor's time goes into it at most.
const BUSY_SHARE: u32 = 20;
/// How often what was spent is written beside the ledger, and users that are gone are forgotten.
const KEEP_PERIOD: Duration = Duration::from_secs(1);

/// Tells, listens and keeps for ever; the caller drops it.
pub(crate) async fn share_limits(current: Arc<Current>) {
    let (mut kept, mut kept_at) = (Vec::new(), Instant::now());
    loop {
        let (begin, app) = (Instant::now(), current.get());
        // Away from the threads that serve requests: with thousands of busy clients there is much to read.
        if tokio::task::spawn_blocking(move || exchange(&app)).await.is_err() {
            tracing::error!("what other gateways have counted cannot be taken in");
        }
        tokio::time::sleep(PERIOD.max(begin.elapsed() * BUSY_SHARE)).await;
        if kept_at.elapsed() >= KEEP_PERIOD {
            kept_at = Instant::now();
            let app = current.get();
            app.limits.sweep(Timestamp::now());
            kept = keep(&app, kept).await;
        }
    }
}

/// What others told is taken in at each turn, news or not: it ages.
fn exchange(app: &App) {
    let (now, moment, me) = (Timestamp::now(), std::time::Instant::now(), app.ledger.epoch());
    let mut told = app.peers.told::<UseWord>(Topic::Limits, moment);
    // What this gateway told before it was restarted is no longer under way, and its minutes are over or soon will be. What
    // it had spent still counts.
    told.retain(|told| told.instance != me);
    app.limits.hear_use(&told, now);
    app.limits.hear_spent(me, &app.peers.told::<BudgetWord>(Topic::Budgets, moment), now);
    app.peers.tell(Topic::Limits, &app.limits.tell_use(now));
    app.peers.tell(Topic::Budgets, &app.limits.tell_spent(now));
}

/// Writes down what was spent, if it is other than `before`. Returns what stands there now.
pub(crate) async fn keep(app: &App, before: Vec<Kept>) -> Vec<Kept> {
    let (kept, dir) = (app.limits.kept(Timestamp::now()), app.ledger.dir().to_owned());
    if kept == before {
        return before;
    }
    let writing = tokio::task::spawn_blocking(move || limits::write_kept(&dir, &kept).map(|()| kept));
    match writing.await {
        Ok(Ok(kept)) => kept,
        Ok(Err(error)) => {
            tracing::error!(%error, "what was spent of budgets cannot be written down");
            before
        }
        Err(_) => before,
    }
}
