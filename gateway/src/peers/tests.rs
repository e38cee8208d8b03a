//! What is told, heard and forgotten, without NATS.

use std::time::{Duration, Instant};

use bytes::Bytes;
use uuid::Uuid;

use super::{DEAD_AFTER, HEARTBEAT, KEPT, PEERS_MAX, Peers, Topic, VALUE_MAX};

const ME: Uuid = Uuid::from_u128(1);
const OTHER: Uuid = Uuid::from_u128(2);

fn values(peers: &Peers, now: Instant) -> Vec<(Uuid, u32)> {
    peers.told(Topic::Health, now).into_iter().map(|told| (told.instance, told.value)).collect()
}

#[test]
fn only_news_and_heartbeats_are_written() {
    let (peers, now) = (Peers::new(ME), Instant::now());
    assert!(peers.due(now).is_empty());
    assert!(peers.tell(Topic::Health, &1) && peers.tell(Topic::Health, &2));
    let due = peers.due(now);
    assert_eq!(due, [(Topic::Health, Bytes::from_static(b"2"))], "only the last value goes out");
    // News of the moment in which the older value was under way is not taken for written.
    peers.tell(Topic::Health, &3);
    peers.written(Topic::Health, &due[0].1, now);
    assert_eq!(peers.due(now), [(Topic::Health, Bytes::from_static(b"3"))]);
    peers.written(Topic::Health, &Bytes::from_static(b"3"), now);
    peers.tell(Topic::Health, &3);
    assert!(peers.due(now).is_empty(), "the same again is no news");
    assert_eq!(peers.due(now + HEARTBEAT).len(), 1);
}

#[test]
fn the_dead_are_known_as_such_and_forgotten_in_the_end() {
    let (peers, now) = (Peers::new(ME), Instant::now());
    let mut heard = peers.heard();
    assert!(!peers.hear(&Topic::Health.key(OTHER), Bytes::from_static(b"7"), now));
    assert!(heard.has_changed().unwrap());
    heard.mark_unchanged();
    assert!(peers.told::<u32>(Topic::Health, now)[0].is_alive());
    assert!(!peers.told::<u32>(Topic::Health, now + DEAD_AFTER)[0].is_alive());
    assert_eq!(values(&peers, now + KEPT), []);
}

#[test]
fn running_gateways_have_a_place_each() {
    let (now, ids) = (Instant::now(), [ME, OTHER, Uuid::from_u128(3)]);
    let all = ids.map(Peers::new);
    for peers in &all {
        ids.iter().filter(|id| **id != peers.instance).for_each(|id| {
            peers.hear(&Topic::Health.key(*id), Bytes::from_static(b"1"), now);
        });
    }
    assert_eq!(all.each_ref().map(|peers| peers.place(now)), [0, 1, 2]);
    all[2].hear(&Topic::Health.key(OTHER), Bytes::from_static(b"2"), now + DEAD_AFTER);
    assert_eq!(all[2].place(now + DEAD_AFTER), 1, "the first has died");
}

#[test]
fn a_restarted_gateway_hears_what_it_said_and_a_running_one_does_not() {
    let (peers, now) = (Peers::new(ME), Instant::now());
    let key = Topic::Health.key(ME);
    peers.tell(Topic::Health, &8);
    assert!(!peers.hear(&key, Bytes::from_static(b"7"), now), "it has written nothing yet: this is of its former life");
    peers.written(Topic::Health, &Bytes::from_static(b"8"), now);
    assert!(peers.hear(&key, Bytes::from_static(b"8"), now), "its own word come back");
    assert_eq!(values(&peers, now), [(ME, 7)]);
}

#[test]
fn what_cannot_be_read_is_counted_once_and_bounded() {
    let (peers, now) = (Peers::new(ME), Instant::now());
    for foreign in ["", "health", "health.x", &format!("weather.{OTHER}")] {
        assert!(!peers.hear(foreign, Bytes::from_static(b"1"), now));
    }
    assert_eq!((values(&peers, now), peers.unreadable()), (vec![], 0), "other topics are not ours to judge");
    peers.hear(&Topic::Health.key(OTHER), Bytes::from_static(b"{"), now);
    assert_eq!((values(&peers, now), values(&peers, now), peers.unreadable()), (vec![], vec![], 1));
    peers.hear(&Topic::Health.key(OTHER), vec![b'1'; VALUE_MAX + 1].into(), now);
    assert_eq!((values(&peers, now), peers.unreadable()), (vec![], 2));
    for peer in 0..=PEERS_MAX {
        peers.hear(&Topic::Health.key(Uuid::from_u128(100 + peer as u128)), Bytes::from_static(b"1"), now);
    }
    assert_eq!((values(&peers, now).len(), peers.unreadable()), (PEERS_MAX, 3));
    assert!(!peers.tell(Topic::Health, &"x".repeat(VALUE_MAX)), "too much");
    assert_eq!(peers.due(now + Duration::from_secs(60)), []);
}
