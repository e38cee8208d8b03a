//! Answers short and long, whole and broken.

use super::*;

fn reply() -> (Reply, Arrival) {
    let facts = Facts { version: "26.7".to_owned(), timezone: "UTC".to_owned(), ..Facts::default() };
    Reply::new(Arc::new(facts), "q-1")
}

fn header<'h>(head: &'h Head, name: &str) -> Option<&'h str> {
    head.headers.get(name).and_then(|value| value.to_str().ok())
}

#[test]
fn a_short_answer_comes_whole_and_with_its_final_summary() {
    let (mut reply, mut arrival) = reply();
    reply.describe("TabSeparated", "text/tab-separated-values; charset=UTF-8");
    reply.write(b"1\n").expect("someone listens");
    reply.count(Counts { result_rows: 1, read_rows: 7, ..Counts::default() });
    reply.finish();
    let head = arrival.head.try_recv().expect("a head");
    assert_eq!((head.status, head.whole.as_deref()), (StatusCode::OK, Some(&b"1\n"[..])));
    assert_eq!(header(&head, "x-clickhouse-format"), Some("TabSeparated"));
    assert_eq!(header(&head, "x-clickhouse-query-id"), Some("q-1"));
    let summary: serde_json::Value =
        serde_json::from_str(header(&head, "x-clickhouse-summary").expect("a summary")).expect("JSON");
    assert_eq!((&summary["result_rows"], &summary["read_rows"]), (&"1".into(), &"7".into()));
}

#[test]
fn an_early_exception_has_its_own_status_and_no_rows() {
    let (mut reply, mut arrival) = reply();
    reply.encode(Some(Wanted::Lz4), false);
    reply.write(b"1\n").expect("someone listens");
    reply.fail(&Exception::syntax_error("no"));
    let head = arrival.head.try_recv().expect("a head");
    assert_eq!(head.status, StatusCode::BAD_REQUEST);
    assert_eq!(header(&head, "x-clickhouse-exception-code"), Some("62"));
    assert_eq!(header(&head, "content-encoding"), None);
    assert_eq!(head.whole.as_deref(), Some(&b"Code: 62. DB::Exception: no (SYNTAX_ERROR) (version 26.7 (chdb))\n"[..]));
}

#[test]
fn a_late_exception_is_marked_and_breaks_the_body_off() {
    let (mut reply, mut arrival) = reply();
    let rows = vec![b'x'; HELD_BYTES];
    reply.write(&rows).expect("someone listens");
    reply.fail(&Exception::from_engine("Code: 394. DB::Exception: enough (QUERY_WAS_CANCELLED)"));
    let head = arrival.head.try_recv().expect("a head");
    assert_eq!((head.status, head.whole.is_none()), (StatusCode::OK, true));
    let tag = header(&head, "x-clickhouse-exception-tag").expect("a tag").to_owned();
    assert_eq!(tag.len(), 16);
    let Ok(Piece::Data(data)) = arrival.pieces.try_recv() else { panic!("rows come first") };
    assert_eq!(data, rows);
    let Ok(Piece::Data(block)) = arrival.pieces.try_recv() else { panic!("then the exception") };
    let text = "Code: 394. DB::Exception: enough (QUERY_WAS_CANCELLED) (version 26.7 (chdb))\n";
    let expected = format!("\r\n__exception__\r\n{tag}\r\n{text}{} {tag}\r\n__exception__\r\n", text.len());
    assert_eq!(block, expected.as_bytes());
    assert!(matches!(arrival.pieces.try_recv(), Ok(Piece::Broken)));
}

#[test]
fn waiting_for_the_end_holds_everything() {
    let (mut reply, mut arrival) = reply();
    reply.encode(None, true);
    reply.write(&vec![b'x'; 3 * HELD_BYTES]).expect("someone listens");
    assert!(arrival.head.try_recv().is_err());
    reply.finish();
    assert_eq!(arrival.head.try_recv().expect("a head").whole.map(|whole| whole.len()), Some(3 * HELD_BYTES));
}

#[test]
fn a_client_that_has_gone_is_noticed() {
    let (mut reply, arrival) = reply();
    drop(arrival);
    assert_eq!(reply.write(b"1"), Err(ClientGone));
}
