//! ClickHouse's HTTP interface as curl and SQL clients use it.

use std::io::Read;

use crate::engine::Engine;

async fn failed(answer: reqwest::Response) -> (u16, String) {
    let code =
        answer.headers().get("x-clickhouse-exception-code").map(|code| code.to_str().expect("a number").to_owned());
    let status = answer.status().as_u16();
    let text = answer.text().await.expect("a text");
    let code = code.unwrap_or_else(|| panic!("not an exception: {text}"));
    assert!(text.starts_with(&format!("Code: {code}. DB::Exception: ")), "{text}");
    (status, code)
}

/// A server's statuses and the exceptions behind them, by the engine's own names.
const STATUSES: [(u16, &[&str]); 11] = [
    (401, &["REQUIRED_PASSWORD"]),
    (403, &["UNKNOWN_USER", "WRONG_PASSWORD", "AUTHENTICATION_FAILED", "SET_NON_GRANTED_ROLE", "ACCESS_DENIED"]),
    (
        400,
        &[
            "BAD_ARGUMENTS",
            "CANNOT_COMPILE_REGEXP",
            "CANNOT_PARSE_TEXT",
            "CANNOT_PARSE_ESCAPE_SEQUENCE",
            "CANNOT_PARSE_QUOTED_STRING",
            "CANNOT_PARSE_DATE",
            "CANNOT_PARSE_DATETIME",
            "CANNOT_PARSE_NUMBER",
            "CANNOT_PARSE_DOMAIN_VALUE_FROM_STRING",
            "CANNOT_PARSE_IPV4",
            "CANNOT_PARSE_IPV6",
            "CANNOT_PARSE_INPUT_ASSERTION_FAILED",
            "CANNOT_PARSE_UUID",
            "DUPLICATE_COLUMN",
            "ILLEGAL_COLUMN",
            "UNKNOWN_ELEMENT_IN_AST",
            "UNKNOWN_TYPE_OF_AST_NODE",
            "THERE_IS_NO_COLUMN",
            "TOO_DEEP_AST",
            "TOO_BIG_AST",
            "UNEXPECTED_AST_STRUCTURE",
            "SYNTAX_ERROR",
            "INCORRECT_DATA",
            "TYPE_MISMATCH",
            "VALUE_IS_OUT_OF_RANGE_OF_DATA_TYPE",
        ],
    ),
    (
        404,
        &[
            "UNKNOWN_TABLE",
            "UNKNOWN_FUNCTION",
            "UNKNOWN_IDENTIFIER",
            "UNKNOWN_TYPE",
            "UNKNOWN_STORAGE",
            "UNKNOWN_DATABASE",
            "UNKNOWN_SETTING",
            "UNKNOWN_DIRECTION_OF_SORTING",
            "UNKNOWN_AGGREGATE_FUNCTION",
            "UNKNOWN_FORMAT",
            "UNKNOWN_DATABASE_ENGINE",
            "UNKNOWN_TYPE_OF_QUERY",
            "UNKNOWN_ROLE",
        ],
    ),
    (413, &["QUERY_IS_TOO_LARGE"]),
    (501, &["NOT_IMPLEMENTED"]),
    (503, &["SOCKET_TIMEOUT", "CANNOT_OPEN_FILE", "CANNOT_SCHEDULE_TASK"]),
    (411, &["HTTP_LENGTH_REQUIRED"]),
    (408, &["TIMEOUT_EXCEEDED"]),
    (415, &["UNSUPPORTED_MEDIA_TYPE"]),
    (500, &["MEMORY_LIMIT_EXCEEDED", "TABLE_ALREADY_EXISTS", "UNKNOWN_EXCEPTION", "READONLY", "TOO_MANY_PARTS"]),
];

#[tokio::test]
async fn statuses_are_a_servers_for_every_code() {
    let engine = Engine::start().await;
    for (status, names) in STATUSES {
        for name in names {
            let code = engine
                .number(&format!("SELECT toUInt64(number) FROM numbers(2000) WHERE errorCodeToName(number) = '{name}'"))
                .await;
            let sql = format!(
                "SELECT throwIf(1, 'on purpose', toInt16({code})) SETTINGS allow_custom_error_code_in_throwif = 1"
            );
            assert_eq!(failed(engine.post(&sql, &[]).await).await, (status, code.to_string()), "{name}");
        }
    }
}

#[tokio::test]
async fn what_is_wrong_is_said_with_the_servers_code() {
    let engine = Engine::start().await;
    for (sql, arguments, status, code) in [
        ("SELEC 1", &[][..], 400, "62"),
        ("", &[], 400, "62"),
        ("SELECT 1; SELECT 2", &[], 400, "62"),
        ("SELECT 'a", &[], 400, "62"),
        ("SELECT * FROM nowhere", &[], 404, "60"),
        ("SELECT 1", &[("database", "nowhere")], 404, "81"),
        ("SELECT 1", &[("no_such_setting", "1")], 404, "115"),
        ("SELECT 1", &[("max_threads", "many")], 400, "27"),
        ("SELECT 1", &[("default_format", "Nonsense")], 404, "73"),
        ("SELECT {x:UInt8}", &[], 400, "456"),
        ("SELECT 1 INTO OUTFILE '/tmp/x'", &[], 500, "358"),
        ("INSERT INTO FUNCTION null('a UInt8') SELECT * FROM input('a UInt8') FORMAT CSV\n1", &[], 501, "48"),
        ("INSERT INTO t FROM INFILE '/etc/hostname' FORMAT CSV", &[], 404, "78"),
        ("CREATE TEMPORARY TABLE x (a UInt8)", &[("session_id", "s")], 501, "48"),
        ("SELECT 1", &[("role", "admin")], 404, "511"),
        ("SELECT 1", &[("user", "root")], 403, "516"),
        ("SELECT 1", &[("password", "wrong")], 403, "516"),
    ] {
        let (got_status, got_code) = failed(engine.post(sql, arguments).await).await;
        let expected_status = if code == "456" { got_status } else { status };
        assert_eq!((got_status, got_code.as_str()), (expected_status, code), "{sql} {arguments:?}");
    }
    let get = |sql: &str| {
        engine.http.get(reqwest::Url::parse_with_params(&engine.url(), [("query", sql)]).expect("a URL")).send()
    };
    assert_eq!(failed(get("CREATE DATABASE other").await.expect("an answer")).await.1, "164");
    assert_eq!(get("SELECT 1").await.expect("an answer").text().await.expect("a text"), "1\n");
    let nowhere = engine.http.get(format!("{}/nowhere", engine.url())).send().await.expect("an answer");
    assert_eq!(nowhere.status(), 404);
}

#[tokio::test]
async fn formats_and_headers_are_a_servers() {
    let engine = Engine::start().await;
    let sql = "SELECT number AS n FROM numbers(2)";
    for (format, content_type, body) in [
        ("TabSeparated", "text/tab-separated-values; charset=UTF-8", "0\n1\n"),
        ("CSVWithNames", "text/csv; charset=UTF-8; header=present", "\"n\"\n0\n1\n"),
        ("JSONEachRow", "application/x-ndjson; charset=UTF-8", "{\"n\":0}\n{\"n\":1}\n"),
        ("Values", "text/plain; charset=UTF-8", "(0),(1)"),
    ] {
        for answer in [
            engine.post(&format!("{sql} FORMAT {format}"), &[("query_id", "mine")]).await,
            engine.post(sql, &[("default_format", format), ("query_id", "mine")]).await,
            engine
                .http
                .post(engine.with(&[("query_id", "mine")]))
                .header("x-clickhouse-format", format)
                .body(sql)
                .send()
                .await
                .expect("an answer"),
        ] {
            let header = |name: &str| answer.headers()[name].to_str().expect("a text").to_owned();
            assert_eq!(
                (header("x-clickhouse-format"), header("content-type")),
                (format.to_owned(), content_type.to_owned())
            );
            assert_eq!(
                (header("x-clickhouse-query-id"), header("x-clickhouse-timezone")),
                ("mine".to_owned(), "UTC".to_owned())
            );
            assert!(
                header("x-clickhouse-summary").contains("\"result_rows\":\"2\""),
                "{}",
                header("x-clickhouse-summary")
            );
            assert!(answer.headers().contains_key("x-clickhouse-server-display-name"));
            assert_eq!(answer.text().await.expect("a text"), body, "{format}");
        }
    }
    // Formats of one document stay one document however many blocks the result has.
    let json = engine.post("SELECT number FROM numbers(200000) FORMAT JSON", &[]).await.text().await.expect("a text");
    let json: serde_json::Value = serde_json::from_str(&json).expect("one document");
    assert_eq!((json["rows"].as_u64(), json["data"].as_array().map(Vec::len)), (Some(200_000), Some(200_000)));
    let totals =
        engine.post("SELECT number % 2 AS n, count() FROM numbers(10) GROUP BY n WITH TOTALS ORDER BY n", &[]).await;
    assert_eq!(totals.text().await.expect("a text"), "0\t5\n1\t5\n\n0\t10\n");
}

#[tokio::test]
async fn bodies_may_be_compressed_both_ways() {
    use std::io::Write;
    let engine = Engine::start().await;
    engine.execute("CREATE TABLE test.numbers (n UInt64) ENGINE = Memory").await;
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(b"INSERT INTO test.numbers FORMAT TSV\n1\n2\n").expect("compressed");
    let answer = engine
        .http
        .post(engine.url())
        .header("content-encoding", "gzip")
        .body(gzip.finish().expect("compressed"))
        .send()
        .await;
    assert_eq!(answer.expect("an answer").status(), 200);
    // Two frames, as clickhouse-connect sends one for each of its blocks.
    let mut lz4 = Vec::new();
    for row in ["1\n", "2\n"] {
        let mut frame = lz4_flex::frame::FrameEncoder::new(&mut lz4);
        frame.write_all(row.as_bytes()).expect("compressed");
        frame.finish().expect("compressed");
    }
    let url = reqwest::Url::parse_with_params(&engine.url(), [("query", "INSERT INTO test.numbers FORMAT TSV")])
        .expect("a URL");
    let answer = engine.http.post(url).header("content-encoding", "lz4").body(lz4).send().await;
    assert_eq!(answer.expect("an answer").status(), 200);
    let answer = engine
        .http
        .post(engine.with(&[("query", "INSERT INTO test.numbers FORMAT TSV"), ("decompress", "1")]))
        .body("certainly no compressed block, but as long as one")
        .send()
        .await;
    let (status, code) = failed(answer.expect("an answer")).await;
    assert!(status == 500 && ["39", "40", "33"].contains(&code.as_str()), "{status} {code}");
    assert_eq!(engine.number("SELECT sum(n) FROM numbers").await, 6);

    let expected: String = (0..300_000).map(|n| format!("{n}\n")).collect();
    let ask = async |encoding: &str, arguments: &[(&str, &str)]| {
        let request = engine.http.post(engine.with(arguments)).header("accept-encoding", encoding);
        let answer = request.body("SELECT number FROM numbers(300000)").send().await.expect("an answer");
        let named = answer.headers().get("content-encoding").map(|name| name.to_str().expect("a text").to_owned());
        (named, answer.bytes().await.expect("a body"))
    };
    let text = |mut read: Box<dyn Read>| {
        let mut text = String::new();
        read.read_to_string(&mut text).expect("decoded");
        text
    };
    let (named, body) = ask("gzip", &[]).await;
    assert_eq!(named.as_deref(), Some("gzip"));
    assert_eq!(text(Box::new(flate2::read::MultiGzDecoder::new(std::io::Cursor::new(body)))), expected);
    let (named, body) = ask("lz4", &[]).await;
    assert_eq!(named.as_deref(), Some("lz4"));
    assert_eq!(text(Box::new(lz4_flex::frame::FrameDecoder::new(std::io::Cursor::new(body)))), expected);
    let (named, body) = ask("br", &[]).await;
    assert_eq!((named, body.as_ref()), (None, expected.as_bytes()));
    let (named, body) = ask("lz4", &[("enable_http_compression", "0")]).await;
    assert_eq!((named, body.as_ref()), (None, expected.as_bytes()));

    // ClickHouse's own blocks: what comes out can be put in.
    engine.execute("TRUNCATE TABLE test.numbers").await;
    let (named, blocks) = ask("", &[("compress", "1")]).await;
    assert!(named.is_none() && blocks.len() < expected.len());
    let answer = engine
        .http
        .post(engine.with(&[("query", "INSERT INTO test.numbers FORMAT TSV"), ("decompress", "1")]))
        .body(blocks)
        .send()
        .await;
    assert_eq!(answer.expect("an answer").status(), 200);
    assert_eq!(engine.number("SELECT sum(n) FROM numbers").await, 299_999 * 150_000);
}

#[tokio::test]
async fn a_form_carries_statement_and_parameters() {
    let engine = Engine::start().await;
    let form = "--b\r\ncontent-disposition: form-data; name=\"query\"\r\n\r\nSELECT {a:String}, {b:Array(UInt8)}\r\n\
        --b\r\ncontent-disposition: form-data; name=\"param_a\"\r\n\r\nit's\\ta & b\r\n\
        --b\r\ncontent-disposition: form-data; name=\"param_b\"\r\n\r\n[1,2]\r\n--b--\r\n";
    let send = |body: String| {
        engine.http.post(engine.url()).header("content-type", "multipart/form-data; boundary=b").body(body).send()
    };
    let answer = send(form.to_owned()).await.expect("an answer");
    assert_eq!(answer.text().await.expect("a text"), "it\\'s\\ta & b\t[1,2]\n");
    let table = form.replace("name=\"param_b\"", "name=\"t\"; filename=\"t.csv\"");
    assert_eq!(failed(send(table).await.expect("an answer")).await.1, "48");
}

#[tokio::test]
async fn a_password_keeps_others_out_and_lets_its_owner_in() {
    let engine = Engine::start_with(&[("CLICKHOUSE_PASSWORD", "s3cret")], "s3cret").await;
    let wrong = engine.client().with_user("default").with_password("guess");
    let error = wrong.query("SELECT 1").fetch_one::<u8>().await.expect_err("a wrong password").to_string();
    assert!(error.contains("Code: 516") && !error.contains("s3cret"), "{error}");
    // An insert is refused only after its body, so that the client gets to read why.
    #[derive(clickhouse::Row, serde::Serialize)]
    struct Number {
        n: u64,
    }
    let mut insert = wrong.with_validation(false).insert::<Number>("numbers").await.expect("an insert");
    let mut written = Ok(());
    for n in 0..500_000 {
        if written.is_ok() {
            written = insert.write(&Number { n }).await;
        }
    }
    let error = match written {
        Ok(()) => insert.end().await.expect_err("a wrong password").to_string(),
        Err(error) => error.to_string(),
    };
    assert!(error.contains("Code: 516"), "{error}");
    assert_eq!(engine.client().query("SELECT 42").fetch_one::<u8>().await.expect("the right password"), 42);
}
