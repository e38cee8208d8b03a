//! Health that all gateways share: what one has learned of a key, all obey within a second.

use std::sync::Arc;
use std::time::Duration;

use super::Topic;
use crate::health::{Moment, Word};
use crate::reload::Current;

/// How often this gateway's own decisions are looked for. Requests do not tell of them: they would have to wait for it.
const PERIOD: Duration = Duration::from_millis(100);

/// Tells and obeys for ever; the caller drops it.
pub(crate) async fn share_health(current: Arc<Current>) {
    let mut heard = current.get().peers.heard();
    let mut ticks = tokio::time::interval(PERIOD);
    loop {
        // The sender lives as long as `current`: this never fails.
        let is_news = tokio::select! {
            _ = ticks.tick() => false,
            changed = heard.changed() => changed.is_ok(),
        };
        let (app, moment) = (current.get(), Moment::this());
        if is_news {
            for told in app.peers.told::<Vec<Word>>(Topic::Health, moment.now) {
                app.health.hear(&told.value, moment);
            }
        }
        app.health.take_turns(app.peers.place(moment.now));
        // Every gateway is heard of, also one with nothing to tell.
        app.peers.tell(Topic::Health, &app.health.tell(moment));
    }
}
