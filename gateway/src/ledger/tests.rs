use std::collections::BTreeMap;
use std::path::Path;

use schemas::events::{Bodies, Body, Candidate, Captured, Event, Opened, Prepared, Receipt};
use schemas::money::Factor;
use schemas::outcome::{CaptureScope, ErrorClass, Format, Operation, Outcome, UsageSource, Verdict};
use schemas::time::Timestamp;
use schemas::usage::Usage;
use uuid::Uuid;

use super::cursor::Cursor;
use super::*;

fn options(dir: &Path) -> Options {
    Options {
        dir: dir.to_owned(),
        max_bytes: 1 << 20,
        fsync: LedgerFsync::Never,
        on_full: OnLedgerFull::Refuse,
        partitions: 1,
        gateway: "test".into(),
    }
}

fn open(dir: &Path) -> (Ledger, Recovered) {
    Ledger::open(options(dir)).unwrap()
}

fn opened(id: Uuid) -> Prepared {
    let body = Opened {
        client: "c".into(),
        user: None,
        tags: BTreeMap::new(),
        format: Format::Anthropic,
        operation: Operation::Generate,
        is_stream: true,
        model_requested: "m".into(),
        model: "m".into(),
        request_bytes: 10,
        received_at: Timestamp::from_micros(1),
        client_request_id: None,
        user_agent: None,
    };
    Prepared::new(id, Timestamp::now(), &Body::Opened(Box::new(body))).unwrap()
}

fn receipt(outcome: Outcome) -> Receipt {
    let json = serde_json::json!({
        "outcome": outcome, "format": "anthropic", "status": 200, "attempts": 1, "received_at": Timestamp::from_micros(1),
        "duration_ms": 1.0, "usage_source": "none", "normaliser": 1, "model": "m", "client": "c",
    });
    serde_json::from_value(json).unwrap()
}

fn terminal(id: Uuid) -> Prepared {
    Prepared::new(id, Timestamp::now(), &Body::Terminal(Box::new(receipt(Outcome::Completed)))).unwrap()
}

fn candidate(id: Uuid) -> Prepared {
    let body = Candidate {
        candidate_index: 0,
        attempt_index: 0,
        verdict: Verdict::Succeeded,
        reason: String::new(),
        provider: "p".into(),
        endpoint: "e".into(),
        key: "k".into(),
        model: "m".into(),
        model_upstream: "m".into(),
        model_reported: String::new(),
        cost_multiplier: Factor::ONE,
        status: Some(200),
        error_class: None,
        error_message: None,
        started_at: Timestamp::from_micros(1),
        headers_ms: None,
        first_content_ms: None,
        duration_ms: 1.0,
        response_bytes: 1,
        usage: Usage::UNKNOWN,
        reported_cost: None,
        received_at: Timestamp::from_micros(1),
        client: "c".into(),
    };
    Prepared::new(id, Timestamp::now(), &Body::Candidate(Box::new(body))).unwrap()
}

fn events(ledger: &Ledger) -> Vec<Event> {
    let mut cursor = Cursor::at_start(ledger.dir()).unwrap();
    let mut events = Vec::new();
    while let Some(payload) = cursor.next(ledger.tail()).unwrap() {
        if payload.first() == Some(&b'{') {
            events.push(Event::decode(&payload).unwrap());
        }
    }
    events
}

fn seqs(ledger: &Ledger) -> Vec<u64> {
    events(ledger).into_iter().map(|event| event.head.seq).collect()
}

#[test]
fn numbers_are_gapless_and_go_on_after_a_restart_under_the_same_epoch() {
    let dir = tempfile::tempdir().unwrap();
    let id = Uuid::now_v7();
    let (ledger, _) = open(dir.path());
    let epoch = ledger.epoch();
    ledger.append(&[opened(id)]).unwrap();
    ledger.append(&[candidate(id), terminal(id)]).unwrap();
    assert!(matches!(Ledger::open(options(dir.path())), Err(RecoveryError::Locked(_))));
    drop(ledger);
    let (ledger, recovered) = open(dir.path());
    assert_eq!((ledger.epoch(), recovered), (epoch, Recovered { events: 3, torn_bytes: 0, settled: 0 }));
    ledger.append(&[opened(Uuid::now_v7())]).unwrap();
    assert_eq!(seqs(&ledger), [1, 2, 3, 4]);
}

#[test]
fn what_a_dead_process_left_open_is_settled_once_with_its_checkpoint() {
    let dir = tempfile::tempdir().unwrap();
    let (with_usage, without, done) = (Uuid::now_v7(), Uuid::now_v7(), Uuid::now_v7());
    let (ledger, _) = open(dir.path());
    for id in [with_usage, without, done] {
        ledger.append(&[opened(id)]).unwrap();
    }
    let mut so_far = receipt(Outcome::Interrupted);
    so_far.usage = Usage { input: Some(7), fresh_input: Some(7), ..Usage::UNKNOWN };
    so_far.usage_source = UsageSource::Provider;
    so_far.cost_multiplier = Factor::ONE;
    ledger.checkpoint(with_usage, &so_far).unwrap();
    ledger.append(&[terminal(done)]).unwrap();
    drop(ledger);

    let (ledger, recovered) = open(dir.path());
    assert_eq!(recovered.settled, 2);
    for (id, input) in [(with_usage, Some(7)), (without, None)] {
        let all = events(&ledger);
        let terminals: Vec<&Receipt> = all
            .iter()
            .filter(|event| event.head.request_id == id)
            .filter_map(|event| if let Body::Terminal(receipt) = &event.body { Some(&**receipt) } else { None })
            .collect();
        assert_eq!(terminals.len(), 1);
        assert_eq!((terminals[0].outcome, terminals[0].usage.input), (Outcome::Interrupted, input));
        assert_eq!(terminals[0].error.as_ref().unwrap().class, ErrorClass::GatewayDied);
    }
    drop(ledger);
    assert_eq!(open(dir.path()).1.settled, 0);
}

#[test]
fn a_torn_tail_is_cut_at_any_byte_and_damage_before_it_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (ledger, _) = open(dir.path());
    let id = Uuid::now_v7();
    ledger.append(&[opened(id), terminal(id)]).unwrap();
    let whole = ledger.tail().len as usize;
    ledger.append(&[opened(id), terminal(id)]).unwrap();
    drop(ledger);
    let path = segments::path(dir.path(), 1);
    let bytes = std::fs::read(&path).unwrap();
    for cut in (whole..bytes.len()).step_by(37) {
        std::fs::write(&path, &bytes[..cut]).unwrap();
        let (ledger, recovered) = open(dir.path());
        assert!(recovered.events == 2 || recovered.events == 3, "cut at {cut}: {recovered:?}");
        ledger.append(&[candidate(id)]).unwrap();
        let found = seqs(&ledger);
        assert_eq!(found, (1..=found.len() as u64).collect::<Vec<_>>(), "cut at {cut}");
    }
    let mut damaged = bytes.clone();
    damaged[20] ^= 1;
    std::fs::write(&path, &damaged).unwrap();
    std::fs::write(segments::path(dir.path(), 2), b"").unwrap();
    assert!(matches!(Ledger::open(options(dir.path())), Err(RecoveryError::Damaged { at: 0, .. })));
}

#[test]
fn segments_are_trimmed_from_the_front_only_when_committed_and_settled() {
    let dir = tempfile::tempdir().unwrap();
    let (ledger, _) = open(dir.path());
    let straggler = Uuid::now_v7();
    ledger.append(&[opened(straggler)]).unwrap();
    while ledger.tail().segment < 4 {
        let id = Uuid::now_v7();
        ledger.append(&[opened(id), terminal(id)]).unwrap();
    }
    let all = BTreeMap::from([(0, u64::MAX)]);
    assert_eq!(ledger.trim(&BTreeMap::new()).unwrap(), 0);
    assert_eq!(ledger.trim(&all).unwrap(), 0, "the first segment holds the opened event of a running request");
    ledger.append(&[terminal(straggler)]).unwrap();
    assert_eq!(ledger.trim(&all).unwrap(), 3);
    let last = events(&ledger).last().unwrap().head.seq;
    drop(ledger);
    let (ledger, recovered) = open(dir.path());
    assert_eq!(recovered.settled, 0);
    ledger.append(&[opened(Uuid::now_v7())]).unwrap();
    assert_eq!(events(&ledger).last().unwrap().head.seq, last + 1);
}

/// A restarted gateway reads its ledger from the beginning, and learns meanwhile that most of it is committed.
#[test]
fn a_segment_that_is_trimmed_before_it_is_read_is_skipped() {
    let dir = tempfile::tempdir().unwrap();
    let (ledger, _) = open(dir.path());
    while ledger.tail().segment < 5 {
        let id = Uuid::now_v7();
        ledger.append(&[opened(id), terminal(id)]).unwrap();
    }
    let mut cursor = Cursor::at_start(ledger.dir()).unwrap();
    let head = |payload: Vec<u8>| serde_json::from_slice::<schemas::events::Head>(&payload).unwrap().seq;
    assert_eq!(head(cursor.next(ledger.tail()).unwrap().unwrap()), 1);
    let first_left = seqs(&ledger).len() as u64;
    assert_eq!(ledger.trim(&BTreeMap::from([(0, first_left)])).unwrap(), 4);
    let mut last = 1;
    while let Some(payload) = cursor.next(ledger.tail()).unwrap() {
        assert!(head(payload.clone()) > last);
        last = head(payload);
    }
    assert_eq!(last, first_left);
}

#[test]
fn a_full_ledger_keeps_room_for_what_was_let_in() {
    let dir = tempfile::tempdir().unwrap();
    let (ledger, _) = open(dir.path());
    let mut running = Vec::new();
    loop {
        let id = Uuid::now_v7();
        match ledger.append(&[opened(id)]) {
            Ok(()) => running.push(id),
            Err(AppendError::Full) => break,
            Err(error) => panic!("{error}"),
        }
    }
    assert!(!ledger.admits());
    // What is turned away meanwhile leaves an event where there is room, and takes none of what is kept for the others.
    for _ in 0..200 {
        let turned_away = Uuid::now_v7();
        assert!(matches!(ledger.append(&[terminal(turned_away)]), Err(AppendError::Full)));
    }
    for id in running.into_iter().take(50) {
        ledger.append(&[candidate(id), terminal(id)]).unwrap();
    }
}

#[test]
fn the_room_kept_on_the_disk_becomes_a_segment_that_survives_a_death_and_ends_with_its_last_record() {
    let dir = tempfile::tempdir().unwrap();
    let (ledger, _) = open(dir.path());
    let (before, within) = (Uuid::now_v7(), Uuid::now_v7());
    ledger.append(&[opened(before)]).unwrap();
    let spare_bytes = std::fs::metadata(dir.path().join("spare")).unwrap().len();
    assert!(ledger.lock().begin_spare().unwrap());
    let kept = segments::path(dir.path(), ledger.tail().segment);
    assert_eq!(std::fs::metadata(&kept).unwrap().len(), spare_bytes, "its blocks are not given back");
    ledger.append(&[terminal(before)]).unwrap();
    ledger.append(&[opened(within)]).unwrap();
    assert_eq!(std::fs::metadata(&kept).unwrap().len(), spare_bytes);
    assert_eq!(seqs(&ledger), [1, 2, 3]);
    drop(ledger);

    let (ledger, recovered) = open(dir.path());
    assert_eq!(recovered, Recovered { events: 3, torn_bytes: 0, settled: 1 });
    assert!(ledger.lock().begin_spare().unwrap(), "a start with room takes it again");
    assert!(std::fs::metadata(&kept).unwrap().len() < spare_bytes, "closed, it ends with its last record");
    ledger.append(&[opened(Uuid::now_v7())]).unwrap();
    assert!(!ledger.lock().begin_spare().unwrap(), "there is one");
    assert_eq!(seqs(&ledger), [1, 2, 3, 4, 5]);
}

fn bodies(id: Uuid, bytes: usize) -> Prepared {
    let said = Captured { bytes: bytes as u64, text: "a ".repeat(bytes / 2), ..Captured::default() };
    let body = Bodies {
        scope: CaptureScope::Exchange,
        candidate_index: None,
        attempt_index: None,
        client: "c".into(),
        format: Format::Anthropic,
        model: "m".into(),
        provider: "p".into(),
        endpoint: "e".into(),
        outcome: Outcome::Completed,
        status: Some(200),
        error_class: None,
        received_at: Timestamp::now(),
        request: Some(said),
        response: None,
    };
    Prepared::new(id, Timestamp::now(), &Body::Bodies(Box::new(body))).unwrap()
}

/// How many bodies of 10 KB are taken before the first is refused.
fn bodies_taken(ledger: &Ledger) -> usize {
    let is_taken = |_: &usize| match ledger.append(&[bodies(Uuid::now_v7(), 10_000)]) {
        Ok(()) => true,
        Err(AppendError::Full) => false,
        Err(error) => panic!("{error}"),
    };
    (0..1_000).take_while(is_taken).count()
}

#[test]
fn bodies_take_a_share_of_the_ledger_and_are_the_first_to_go() {
    let dir = tempfile::tempdir().unwrap();
    let (ledger, _) = open(dir.path());
    let taken = bodies_taken(&ledger);
    assert!(ledger.bytes() <= (1 << 20) / 4 && ledger.bytes() > (1 << 20) / 4 - 11_000, "{taken}: {}", ledger.bytes());
    assert!(ledger.admits());
    ledger.append(&[opened(Uuid::now_v7())]).unwrap();
    drop(ledger);
    let (ledger, _) = open(dir.path());
    assert_eq!(bodies_taken(&ledger), 0, "a restart remembers what they took");
    assert!(ledger.trim(&BTreeMap::from([(0, u64::MAX)])).unwrap() > 0);
    assert!(bodies_taken(&ledger) > 0, "what is committed makes room");

    let dir = tempfile::tempdir().unwrap();
    let (ledger, _) = open(dir.path());
    while ledger.bytes() < (1 << 20) / 2 {
        ledger.append(&[opened(Uuid::now_v7())]).unwrap();
    }
    assert_eq!(bodies_taken(&ledger), 0, "half of it is for what is billed");
    ledger.append(&[opened(Uuid::now_v7())]).unwrap();
}
