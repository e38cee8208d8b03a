//! Who is told what, without NATS: a listener's queue, what it owes, and what filters mean.

use schemas::events::Receipt;
use serde_json::json;

use super::listeners::QUEUE_MAX;
use super::*;
use crate::params::Live;

fn receipt(client: &str) -> Receipt {
    serde_json::from_value(json!({
        "outcome": "failed", "client": client, "tags": { "project": "alpha" }, "format": "gemini", "provider": "google",
        "status": 529, "attempts": 1, "received_at": "2026-11-21T09:00:00.000000Z", "duration_ms": 5.0,
        "usage_source": "none", "normaliser": 1,
    }))
    .unwrap()
}

fn filters(query: &str) -> Vec<crate::params::Filter> {
    Live::parse(query).unwrap().filters
}

fn tell(listeners: &Listeners, client: &str) {
    listeners.tell(&receipt(client), || Some(client.into()));
}

/// What waits for a listener at present.
fn waiting(listener: &mut listeners::Listener) -> Vec<Told> {
    let mut told = Vec::new();
    let mut next = Box::pin(async {
        while let Some(one) = listener.next().await {
            told.push(one);
        }
    });
    let _ = futures_util::FutureExt::now_or_never(&mut next);
    drop(next);
    told
}

#[test]
fn filters_mean_what_they_mean_for_rows() {
    let passes = |query: &str| matching::matches(&filters(query), &receipt("a"));
    for query in [
        "",
        "client=a",
        "client=b&client=a",
        "client=a&outcome=failed&format=gemini&operation=generate",
        "tag:project=alpha",
        "user=",
        "tag:team=",
        "provider=google&model=",
    ] {
        assert!(passes(query), "{query}");
    }
    for query in ["client=b", "client=a&outcome=completed", "client=", "tag:project=", "tag:team=alpha", "key=main"] {
        assert!(!passes(query), "{query}");
    }
}

#[test]
fn the_tail_is_no_file_and_has_no_range() {
    assert_eq!(Live::parse("format=csv").unwrap_err().parameter, "format");
    assert_eq!(Live::parse("from=-1h").unwrap_err().parameter, "from");
    assert_eq!(Live::parse("outcome=done").unwrap_err().parameter, "outcome");
}

#[test]
fn a_slow_listener_is_told_how_many_it_missed_and_others_miss_nothing() {
    let listeners = Listeners::default();
    listeners.found();
    let (mut slow, mut other) = (listeners.join(filters("client=a")).unwrap(), listeners.join(Vec::new()).unwrap());
    assert_eq!(waiting(&mut slow), [Told::Listening]);
    assert_eq!(waiting(&mut other), [Told::Listening]);
    for number in 0..QUEUE_MAX + 7 {
        tell(&listeners, "a");
        tell(&listeners, "b");
        if number % 100 == 0 {
            waiting(&mut other);
        }
    }
    let told = waiting(&mut slow);
    assert_eq!(told.len(), QUEUE_MAX);
    assert!(told.iter().all(|told| *told == Told::Ended("a".into())));
    // Told as soon as there is room, before anything newer.
    tell(&listeners, "a");
    assert_eq!(waiting(&mut slow), [Told::Dropped(Some(7)), Told::Ended("a".into())]);
    assert!(!waiting(&mut other).iter().any(|told| matches!(told, Told::Dropped(_))));
}

#[test]
fn what_was_missed_is_told_though_nothing_follows_it() {
    let listeners = Listeners::default();
    let mut slow = listeners.join(Vec::new()).unwrap();
    (0..=QUEUE_MAX).for_each(|_| tell(&listeners, "a"));
    listeners.lost();
    assert_eq!(waiting(&mut slow).len(), QUEUE_MAX);
    assert!(listeners.still_wanted());
    assert_eq!(waiting(&mut slow), [Told::Dropped(Some(1)), Told::Interrupted]);
    listeners.missed_some();
    assert!(listeners.still_wanted());
    assert_eq!(waiting(&mut slow), [Told::Dropped(None)]);
}

#[test]
fn what_becomes_of_the_connection_is_told_once() {
    let listeners = Listeners::default();
    let mut early = listeners.join(Vec::new()).unwrap();
    assert_eq!(waiting(&mut early), []);
    listeners.found();
    listeners.still_connecting();
    assert_eq!(waiting(&mut early), [Told::Listening]);
    listeners.lost();
    listeners.lost();
    let mut late = listeners.join(Vec::new()).unwrap();
    listeners.found();
    listeners.found();
    for listener in [&mut early, &mut late] {
        let told = waiting(listener);
        assert!(matches!(told[..], [Told::Interrupted, Told::Resumed(_)]), "{told:?}");
    }
}

#[test]
fn places_are_limited_given_back_and_closed() {
    let listeners = Listeners::default();
    let mut places: Vec<_> = (0..LISTENERS_MAX).map(|_| listeners.join(Vec::new()).unwrap()).collect();
    assert!(listeners.join(Vec::new()).is_none());
    places.pop();
    let mut last = listeners.join(Vec::new()).unwrap();
    listeners.close();
    assert!(listeners.join(Vec::new()).is_none());
    // The end of the stream, not a wait.
    let end = futures_util::FutureExt::now_or_never(last.next());
    assert_eq!(end, Some(None));
    drop(places);
    assert!(!listeners.still_wanted());
}
