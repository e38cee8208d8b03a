//! Statements told apart, whole and at every cut.

use super::*;

fn insert(head: &str, format: &str, data_at: usize) -> Parsed {
    Parsed::Insert { head: head.as_bytes().to_vec(), format: Some(format.to_owned()), data_at }
}

#[track_caller]
fn refused(result: Result<impl std::fmt::Debug, Exception>) -> u16 {
    result.expect_err("must be refused").code()
}

#[test]
fn inserts_are_cut_before_their_data() {
    for (text, head, format, data) in [
        ("INSERT INTO t FORMAT RowBinary\n\x01\x02", "INSERT INTO t ", "RowBinary", "\x01\x02"),
        ("INSERT INTO t(a,b) FORMAT CSV \r\n1,2\n", "INSERT INTO t(a,b) ", "CSV", "1,2\n"),
        ("insert into db.t (a) values (1),(2)", "insert into db.t (a) ", "Values", " (1),(2)"),
        ("INSERT INTO t VALUES\n('FORMAT CSV')", "INSERT INTO t ", "Values", "\n('FORMAT CSV')"),
        ("INSERT INTO values VALUES (1)", "INSERT INTO values ", "Values", " (1)"),
        ("INSERT INTO `format`.format FORMAT TSV\n1", "INSERT INTO `format`.format ", "TSV", "1"),
        ("INSERT INTO TABLE t FORMAT TSV\n1", "INSERT INTO TABLE t ", "TSV", "1"),
        ("INSERT INTO FUNCTION null('a UInt8') FORMAT CSV\n1", "INSERT INTO FUNCTION null('a UInt8') ", "CSV", "1"),
        ("INSERT INTO t SETTINGS a = 1 FORMAT CSV\n1", "INSERT INTO t SETTINGS a = 1 ", "CSV", "1"),
        (
            "-- why\n/* VALUES */ INSERT INTO t /* FORMAT x */ FORMAT CSV\n1",
            "-- why\n/* VALUES */ INSERT INTO t /* FORMAT x */ ",
            "CSV",
            "1",
        ),
    ] {
        assert_eq!(parse(text.as_bytes(), true), Ok(insert(head, format, text.len() - data.len())), "{text}");
    }
}

#[test]
fn settings_behind_the_format_move_before_it() {
    let text = "INSERT INTO t FORMAT CSV SETTINGS a = 1.5, b = 'x', c = -1\n1,2";
    assert_eq!(
        parse(text.as_bytes(), true),
        Ok(insert("INSERT INTO t  SETTINGS a = 1.5, b = 'x', c = -1", "CSV", text.len() - 3))
    );
}

#[test]
fn a_cut_text_is_decided_later_and_never_differently() {
    for text in [
        "INSERT INTO t (a, `b)`) FORMAT RowBinary SETTINGS x = 12\n\x01\x02\x03",
        "INSERT INTO t FORMAT CSV\r\n1,2\n",
        "INSERT INTO t FORMAT CSV\nSET,1\n",
        "INSERT INTO t FORMAT CSV\nSETTINGS a = 1\n1,2\n",
        "INSERT INTO t SELECT 1",
        "SELECT 1",
        "/* x */ INSERT INTO t VALUES (1)",
        "INSERT INTO t (SELECT 1)",
    ] {
        let whole = parse(text.as_bytes(), true).expect("parses");
        for cut in 0..text.len() {
            let part = parse(&text.as_bytes()[..cut], false).expect("parses");
            assert!(part == Parsed::Incomplete || part == whole, "{text:?} cut at {cut}: {part:?}");
        }
    }
}

#[test]
fn other_inserts_are_statements() {
    for text in [
        "INSERT INTO t SELECT 1",
        "INSERT INTO t (a) SELECT 1 FORMAT Null",
        "INSERT INTO t (SELECT 1)",
        "INSERT INTO t WITH 1 AS x SELECT x",
    ] {
        assert_eq!(parse(text.as_bytes(), true), Ok(Parsed::Statement), "{text}");
    }
}

#[test]
fn what_cannot_be_done_is_refused() {
    assert_eq!(refused(describe(b"INSERT INTO t SELECT * FROM input('a UInt8') FORMAT CSV")), 48);
    assert_eq!(refused(parse(b"INSERT INTO t FROM INFILE 'x' FORMAT CSV", true)), 78);
    assert_eq!(refused(describe(b"SELECT 1 INTO OUTFILE 'x'")), 358);
    assert_eq!(refused(describe(b"SELECT 1; SELECT 2")), 62);
    assert_eq!(refused(describe(b"SELECT 'a")), 62);
    assert_eq!(refused(parse(b" -- nothing", true)), 62);
    assert_eq!(refused(parse(b"INSERT INTO t FORMAT CSV;", true)), 62);
}

#[test]
fn statements_are_described() {
    let describe = |text: &str| describe(text.as_bytes()).expect(text);
    assert!(!describe("WITH 1 AS x INSERT INTO t SELECT x").is_read);
    assert!(!describe("SHOW TABLES").is_read);
    assert!(describe("(SELECT 1) UNION ALL (SELECT 2)").is_read);
    let select = |format: Option<&str>, is_streamable| Description {
        format: format.map(str::to_owned),
        is_streamable,
        is_read: true,
        needs_session: false,
    };
    assert_eq!(describe("SELECT 1"), select(None, true));
    assert_eq!(describe("with 1 as x select x format JSON;"), select(Some("JSON"), true));
    assert_eq!(describe("SELECT 1 FORMAT CSV SETTINGS max_threads = 1 ; -- end"), select(Some("CSV"), true));
    assert_eq!(describe("SELECT 'FORMAT CSV; SELECT 2' AS format"), select(None, true));
    assert_eq!(describe("SELECT $x$ ; it's $x$, 1"), select(None, true));
    assert_eq!(describe("SELECT a, count() FROM t GROUP BY a WITH TOTALS"), select(None, false));
    assert_eq!(describe("SHOW TABLES FORMAT TSV").format.as_deref(), Some("TSV"));
    assert!(describe("SET max_threads = 1").needs_session);
    assert!(describe("CREATE TEMPORARY TABLE t (a UInt8)").needs_session);
    assert!(!describe("CREATE TABLE t (a UInt8)").needs_session);
}
