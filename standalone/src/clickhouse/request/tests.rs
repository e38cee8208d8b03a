//! Requests as curl, the `clickhouse` crate and Python clients send them.

use http::HeaderValue;

use super::*;

fn facts() -> Facts {
    let settings = ["max_threads", "readonly", "enable_http_compression", "http_wait_end_of_query"];
    Facts { settings: settings.into_iter().map(str::to_owned).collect(), ..Facts::default() }
}

fn call(method: Method, url: &str, headers: &[(&'static str, &'static str)]) -> Result<Call, Exception> {
    Call::read(&method, &header_map(headers), &url_pairs(Some(url)), &facts())
}

fn header_map(headers: &[(&'static str, &'static str)]) -> HeaderMap {
    headers.iter().map(|(name, value)| (name.parse().expect("a name"), HeaderValue::from_static(value))).collect()
}

fn pair(name: &str, value: &str) -> (String, String) {
    (name.to_owned(), value.to_owned())
}

#[test]
fn an_insert_of_the_clickhouse_crate() {
    let url = "query=INSERT+INTO+t%28a%29+FORMAT+RowBinary&database=weir&decompress=1&max_threads=2&param_x=a%26b";
    let call = call(Method::POST, url, &[("x-clickhouse-user", "default")]).expect("a call");
    assert_eq!(call.query, "INSERT INTO t(a) FORMAT RowBinary");
    assert_eq!(call.database.as_deref(), Some("weir"));
    assert!(call.encoding.native_blocks);
    assert_eq!(call.settings, [pair("max_threads", "2")]);
    assert_eq!(call.params, [pair("x", "a&b")]);
    assert!(!call.query_id.is_empty());
}

#[test]
fn reading_methods_cannot_change_anything() {
    let readonly = |method, url| call(method, url, &[]).expect("a call").settings;
    assert_eq!(readonly(Method::GET, "query=SELECT+1"), [pair("readonly", "2")]);
    assert_eq!(readonly(Method::GET, "query=SELECT+1&readonly=0"), [pair("readonly", "2")]);
    assert_eq!(readonly(Method::GET, "query=SELECT+1&readonly=1"), [pair("readonly", "1")]);
    assert_eq!(readonly(Method::POST, "query=SELECT+1"), []);
}

#[test]
fn what_is_unknown_is_refused_and_not_ignored() {
    let code =
        |url, headers: &[(&'static str, &'static str)]| call(Method::POST, url, headers).expect_err("refused").code();
    assert_eq!(code("max_threds=1", &[]), 115);
    assert_eq!(code("role=admin", &[]), 511);
    assert_eq!(code("", &[("content-encoding", "br")]), 48);
}

#[test]
fn answers_are_encoded_as_asked() {
    let wanted =
        |url, headers: &[(&'static str, &'static str)]| call(Method::POST, url, headers).expect("a call").wanted;
    assert_eq!(wanted("", &[]), None);
    assert_eq!(wanted("", &[("accept-encoding", "lz4")]), Some(Wanted::Lz4));
    assert_eq!(wanted("enable_http_compression=0", &[("accept-encoding", "lz4")]), None);
    assert_eq!(wanted("compress=1", &[("accept-encoding", "gzip")]), Some(Wanted::NativeBlocks));
}

#[test]
fn one_user_is_let_in_by_headers_basic_or_url() {
    let credentials = Credentials { user: "default".to_owned(), password: "s3cret".to_owned() };
    let check =
        |headers: &[(&'static str, &'static str)], url| credentials.check(&header_map(headers), &url_pairs(Some(url)));
    assert_eq!(check(&[("x-clickhouse-user", "default"), ("x-clickhouse-key", "s3cret")], ""), Ok(()));
    assert_eq!(check(&[("x-clickhouse-key", "s3cret")], ""), Ok(()));
    assert_eq!(check(&[("authorization", "Basic ZGVmYXVsdDpzM2NyZXQ=")], ""), Ok(()));
    assert_eq!(check(&[], "user=default&password=s3cret"), Ok(()));

    for (headers, url) in [
        (&[][..], ""),
        (&[("x-clickhouse-user", "default"), ("x-clickhouse-key", "wrong")][..], "password=s3cret"),
        (&[("x-clickhouse-user", "root"), ("x-clickhouse-key", "s3cret")][..], ""),
        (&[("authorization", "Bearer s3cret")][..], ""),
    ] {
        let exception = check(headers, url).expect_err("must be refused");
        assert_eq!(exception.code(), 516);
        assert!(!exception.text("1").contains("s3cret"), "{exception}");
    }
}

#[test]
fn web_pages_are_kept_out() {
    let refused = |headers: &[(&'static str, &'static str)]| refuse_web_pages(&header_map(headers)).is_err();
    assert!(!refused(&[]));
    assert!(!refused(&[("host", "127.0.0.1:8123")]));
    assert!(!refused(&[("host", "localhost")]));
    assert!(!refused(&[("host", "[::1]:8123"), ("origin", "http://[::1]:8123")]));
    assert!(refused(&[("host", "127.0.0.1:8123"), ("origin", "https://evil.example")]));
    assert!(refused(&[("host", "127.0.0.1:8123"), ("origin", "http://127.0.0.1:3000")]));
    assert!(refused(&[("host", "127.0.0.1:8123"), ("origin", "null")]));
    assert!(refused(&[("host", "evil.example:8123")]));
}
