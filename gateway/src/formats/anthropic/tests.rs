//! Anthropic's traffic: recordings, and small streams for what recordings do not show.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue};
use schemas::config::Secret;
use schemas::outcome::{ErrorClass, Format, Operation};
use schemas::usage::Usage;
use url::Url;

use crate::formats::corpus::{self, Recording};
use crate::formats::{
    OwnError, Reading, StreamReader, Wanted, error_body, peek, read_body, upstream_headers, upstream_url,
};

/// Weir's definition, worked out from the raw numbers of the recording.
fn expected_usage(recording: &Recording) -> Usage {
    let raw = &recording.expected;
    let cached = raw.cache_read_tokens.unwrap_or(0) + raw.cache_creation_tokens.unwrap_or(0);
    Usage {
        input: raw.input_tokens.map(|tokens| tokens + cached),
        fresh_input: raw.input_tokens,
        cache_read: raw.cache_read_tokens,
        cache_write_5m: raw.cache_creation_tokens.map(|all| all - raw.cache_creation_1h_tokens.unwrap_or(0)),
        cache_write_1h: raw.cache_creation_1h_tokens,
        output: raw.output_tokens,
        reasoning: raw.reasoning_tokens,
    }
}

#[test]
fn every_recording_is_read_right() {
    corpus::check(Format::Anthropic, expected_usage, &[]);
}

fn read(stream: &str) -> Reading {
    corpus::relay(Format::Anthropic, false, &Bytes::copy_from_slice(stream.as_bytes()), &[5]).1.reading().clone()
}

const START: &str = r#"event: message_start
data: {"type":"message_start","message":{"model":"m","content":[],"usage":{"input_tokens":25,"cache_read_input_tokens":100,"cache_creation_input_tokens":40,"cache_creation":{"ephemeral_5m_input_tokens":30,"ephemeral_1h_input_tokens":10},"output_tokens":1}}}

"#;
const BLOCK: &str = r#"event: content_block_start
data: {"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}

event: ping
data: {"type": "ping"}

: comment

"#;
const TEXT: &str = r#"event: content_block_delta
data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Say \"stop\" \ud83d\ude00"}}

"#;
const END: &str = r#"event: message_delta
data: {"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"input_tokens":0,"output_tokens":12,"cache_read_input_tokens":null}}

event: message_stop
data: {"type":"message_stop"}

"#;

#[test]
fn content_begins_with_the_first_delta_that_says_something() {
    let mut reader = StreamReader::new(Format::Anthropic, false);
    for (part, has_content) in [(START, false), (BLOCK, false), (TEXT, true)] {
        reader.push(Bytes::from_static(part.as_bytes()));
        assert_eq!(reader.reading().has_content, has_content, "{part}");
    }
    assert_eq!(reader.reading().text_chars, 12);
    let tool = r#"data: {"type":"content_block_start","index":1,"content_block":{"type":"tool_use","id":"t","name":"n","input":{}}}"#;
    assert!(read(&format!("{START}{tool}\n\n")).has_content, "a tool call is content from its start");
    assert!(!read(": keep-alive\n\nevent: ping\ndata: {\"type\":\"ping\"}\n\n").has_content);
}

#[test]
fn a_zero_in_the_last_event_does_not_undo_the_first() {
    let reading = read(&format!("{START}{BLOCK}{TEXT}{END}"));
    let usage = Usage {
        input: Some(165),
        fresh_input: Some(25),
        cache_read: Some(100),
        cache_write_5m: Some(30),
        cache_write_1h: Some(10),
        output: Some(12),
        reasoning: None,
    };
    assert_eq!(reading.usage(), usage);
    assert!(reading.completed && reading.usage_is_final && reading.error.is_none());
    assert!(reading.raw_usage.unwrap().contains(r#""input_tokens":25"#));
}

#[test]
fn a_cut_stream_keeps_what_was_seen_and_is_not_complete() {
    let reading = read(&format!("{START}{BLOCK}{TEXT}"));
    assert_eq!((reading.usage().input, reading.usage().output), (Some(165), Some(1)));
    assert!(!reading.completed && !reading.usage_is_final && reading.stop_reason.is_none());
}

#[test]
fn the_bodys_type_counts_whatever_the_events_name() {
    let renamed = END.replace("event: message_stop", "event: message").replace("event: message_delta\n", "");
    assert!(read(&format!("{START}{TEXT}{renamed}")).completed);
    let nested =
        r#"data: {"delta":{"content":{"type":"message_stop"},"type":"error"},"index":0,"type":"content_block_delta"}"#;
    let reading = read(&format!("{START}{nested}\n\n"));
    assert!(!reading.completed && reading.error.is_none() && reading.has_content);
}

#[test]
fn an_error_clears_completion_before_and_after() {
    let error =
        "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"m\"}}\n\n";
    for stream in [format!("{START}{error}{END}"), format!("{START}{END}{error}")] {
        let reading = read(&stream);
        let error = reading.error.unwrap();
        assert!(!reading.completed && error.kind == "overloaded_error" && error.status == Some(529));
        assert_eq!(reading.usage.output, Some(12));
    }
    assert!(read("data: {\"type\":\"message_start\",\"error\":null}\n\n").error.is_none(), "null is no error");
}

#[test]
fn a_body_that_is_no_message_is_an_error() {
    for body in ["", "<html><title>Busy</title></html>", "[]", "{}", "{\"type\":\"error\",\"error\":{\"type\":\"t\"}}"]
    {
        let reading = read_body(Format::Anthropic, body.as_bytes());
        assert!(reading.error.is_some() && !reading.completed && !reading.has_content, "{body}");
    }
    let reading = read_body(Format::Anthropic, b" \n{\"content\":[],\"stop_reason\":\"end_turn\",\"usage\":{}}");
    assert!(reading.completed && !reading.usage().is_known() && reading.raw_usage.as_deref() == Some("{}"));
}

#[test]
fn a_plain_body_in_place_of_a_stream_is_read_as_one() {
    let body = "{\n \"content\": [{\"type\":\"text\",\"text\":\"hi\"}],\n \"model\": \"m\", \"stop_reason\": \"end_turn\",\n \"usage\": {\"input_tokens\": 3, \"output_tokens\": 2}\n}";
    let reading = read(body);
    assert!(reading.completed && reading.usage().output == Some(2) && reading.text_chars == 2);
    let reading =
        read("{\n \"type\": \"error\",\n \"error\": {\"type\": \"overloaded_error\", \"message\": \"m\"}\n}\n");
    assert_eq!(reading.error.unwrap().kind, "overloaded_error");
}

#[test]
fn requests_are_addressed_and_signed() {
    let base = Url::parse("https://api.anthropic.com").unwrap();
    assert_eq!(
        upstream_url(Format::Anthropic, &base, Wanted { operation: Operation::Generate, model: "m", stream: true })
            .path(),
        "/v1/messages"
    );
    let mut client = HeaderMap::new();
    let secret = Secret::new("sk");
    let headers = upstream_headers(Format::Anthropic, &client, Some(&secret)).unwrap();
    assert_eq!(
        (&headers["x-api-key"], &headers["anthropic-version"]),
        (&"sk".parse().unwrap(), &"2023-06-01".parse().unwrap())
    );
    client.insert("anthropic-version", HeaderValue::from_static("2099-01-01"));
    let headers = upstream_headers(Format::Anthropic, &client, None).unwrap();
    assert_eq!(headers["anthropic-version"], "2099-01-01");
    assert!(!headers.contains_key("x-api-key"));
    let body = Bytes::from_static(br#"{"model":"m","stream":true,"max_tokens":9,"metadata":{"user_id":"u"}}"#);
    let peeked = peek(Format::Anthropic, &body).unwrap();
    assert!(peeked.stream && peeked.user.as_deref() == Some("u") && peeked.max_output_tokens == Some(9));
}

#[test]
fn our_errors_read_back_as_errors_of_the_dialect() {
    let error = OwnError {
        status: 429,
        class: ErrorClass::LimitExceeded,
        message: "slow \"down\"\n",
        param: None,
        request_id: "r",
    };
    let body = error_body(Format::Anthropic, &error);
    let read = crate::formats::read_error(Format::Anthropic, 429, &body);
    assert_eq!((read.kind.as_str(), read.message.as_str()), ("rate_limit_error", "slow \"down\"\n"));
    // Wherever a stream is cut, the error that follows is read as one.
    let stream = format!("{START}{BLOCK}{TEXT}");
    for cut in 0..stream.len() {
        let mut reader = StreamReader::new(Format::Anthropic, false);
        let mut sent = reader.push(Bytes::copy_from_slice(&stream.as_bytes()[..cut])).to_vec();
        sent.extend_from_slice(&reader.finish());
        sent.extend_from_slice(&reader.error_event(&error));
        let mut client = StreamReader::new(Format::Anthropic, false);
        client.push(sent.into());
        client.finish();
        assert_eq!(client.reading().error.as_ref().unwrap().kind, "rate_limit_error", "cut at {cut}");
    }
}
