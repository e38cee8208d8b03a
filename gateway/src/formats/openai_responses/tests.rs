//! Responses traffic: recordings, and small streams for what recordings do not show.

use bytes::Bytes;
use schemas::outcome::{ErrorClass, Format, Operation};
use schemas::usage::Usage;
use url::Url;

use crate::formats::corpus::{self, Recording};
use crate::formats::{OwnError, Reading, Wanted, error_event, peek, read_body, rewrite, upstream_url};

/// Weir's definition, worked out from the raw numbers of the recording.
fn expected_usage(recording: &Recording) -> Usage {
    let raw = &recording.expected;
    let cached = raw.cache_read_tokens.unwrap_or(0) + raw.cache_creation_tokens.unwrap_or(0);
    Usage {
        input: raw.input_tokens,
        fresh_input: raw.input_tokens.map(|tokens| tokens.saturating_sub(cached)),
        cache_read: raw.cache_read_tokens,
        cache_write_5m: raw.cache_creation_tokens,
        cache_write_1h: None,
        output: raw.output_tokens,
        reasoning: raw.reasoning_tokens,
    }
}

#[test]
fn every_recording_is_read_right() {
    corpus::check(Format::OpenaiResponses, expected_usage, &[]);
}

fn read(stream: &str) -> Reading {
    let stream = Bytes::copy_from_slice(stream.as_bytes());
    corpus::relay(Format::OpenaiResponses, false, &stream, &[9]).1.reading().clone()
}

const CREATED: &str = "event: response.created\ndata: {\"type\":\"response.created\",\"response\":{\"model\":\"m\",\"status\":\"in_progress\",\"usage\":null}}\n\n";
const ITEM: &str = "data: {\"type\":\"response.output_item.added\",\"item\":{\"type\":\"message\",\"content\":[]}}\n\n";
const TEXT: &str = "data: {\"type\":\"response.output_text.delta\",\"delta\":\"hi\",\"obfuscation\":\"xyz\"}\n\n";

fn end(kind: &str, rest: &str) -> String {
    format!("data: {{\"type\":\"response.{kind}\",\"response\":{{\"status\":\"{kind}\"{rest}}}}}\n\ndata: [DONE]\n\n")
}

#[test]
fn content_begins_with_a_delta_or_a_call() {
    assert!(!read(&format!("{CREATED}{ITEM}event: keepalive\ndata: {{\"type\":\"keepalive\"}}\n\n")).has_content);
    let reading = read(&format!("{CREATED}{ITEM}{TEXT}"));
    assert!(reading.has_content && reading.text_chars == 2 && !reading.completed);
    let call = ITEM.replace("message", "function_call");
    assert!(read(&format!("{CREATED}{call}")).has_content);
}

#[test]
fn the_terminal_event_says_how_it_ended() {
    let usage = ",\"usage\":{\"input_tokens\":9,\"input_tokens_details\":{\"cached_tokens\":4},\"output_tokens\":3}";
    let reading = read(&format!("{CREATED}{TEXT}{}", end("completed", usage)));
    assert!(reading.completed && reading.usage_is_final);
    assert_eq!(
        (reading.usage().input, reading.usage().fresh_input, reading.usage().output),
        (Some(9), Some(5), Some(3))
    );
    let cut = ",\"incomplete_details\":{\"reason\":\"max_output_tokens\"}";
    let reading = read(&format!("{CREATED}{TEXT}{}", end("incomplete", cut)));
    assert!(reading.completed && reading.stop_reason.as_deref() == Some("max_output_tokens"));
    let failed = ",\"error\":{\"code\":\"server_error\",\"message\":\"m\"}";
    let reading = read(&format!("{CREATED}{TEXT}{}", end("failed", failed)));
    assert!(!reading.completed && reading.error.unwrap().kind == "server_error");
    assert!(read(&end("failed", "")).error.is_some(), "a failure without a reason is one");
}

#[test]
fn errors_are_read_flat_and_nested_and_ours_is_one() {
    let flat = "data: {\"type\":\"error\",\"code\":\"rate_limit_exceeded\",\"message\":\"m\",\"param\":null}\n\n";
    let reading = read(&format!("{CREATED}{flat}"));
    assert_eq!(reading.error.unwrap().kind, "rate_limit_exceeded");
    let error = OwnError { status: 502, class: ErrorClass::StreamCut, message: "cut", param: None, request_id: "r" };
    let ours = String::from_utf8(error_event(Format::OpenaiResponses, &error).to_vec()).unwrap();
    let reading = read(&format!("{CREATED}{TEXT}{ours}"));
    assert!(!reading.completed && reading.error.unwrap().code.as_deref() == Some("stream_cut"));
}

#[test]
fn a_body_that_is_no_response_is_an_error_and_a_queued_one_is_not() {
    for body in ["", "{}", "{\"error\":{\"message\":\"m\"}}", "<html>"] {
        let reading = read_body(Format::OpenaiResponses, body.as_bytes());
        assert!(reading.error.is_some() && !reading.completed && !reading.has_content, "{body}");
    }
    let reading =
        read_body(Format::OpenaiResponses, b"{\"status\":\"queued\",\"error\":null,\"output\":[],\"model\":\"m\"}");
    assert!(reading.error.is_none() && !reading.completed && reading.stop_reason.as_deref() == Some("queued"));
}

#[test]
fn what_goes_on_from_what_and_whether_it_is_kept_is_read() {
    let peeked = |rest: &str| {
        let body = Bytes::from(format!(r#"{{"model":"m","input":"x"{rest}}}"#));
        let peeked = peek(Format::OpenaiResponses, &body).unwrap();
        (peeked.previous_response, peeked.keeps_response)
    };
    assert_eq!(peeked(""), (None, true));
    assert_eq!(peeked(r#","previous_response_id":"resp_1","store":false"#), (Some("resp_1".to_owned()), false));
    assert_eq!(peeked(r#","previous_response_id":null,"store":null"#), (None, true));
    assert_eq!(peeked(r#","previous_response_id":"""#), (None, true));
    let chat = peek(Format::OpenaiChat, &Bytes::from_static(br#"{"model":"m","store":true}"#)).unwrap();
    assert!(!chat.keeps_response, "no chat goes on from another");
    let begun = read(
        "event: response.created\ndata: {\"type\":\"response.created\",\"response\":{\"id\":\"resp_1\",\"model\":\"m\"}}\n\n",
    );
    assert_eq!(begun.response_id.as_deref(), Some("resp_1"));
    let whole = read_body(Format::OpenaiResponses, br#"{"id":"resp_2","status":"completed","output":[]}"#);
    assert_eq!(whole.response_id.as_deref(), Some("resp_2"));
}

#[test]
fn only_the_models_name_changes() {
    let body = Bytes::from_static(br#"{"model":"a","input":"x","stream":true,"max_output_tokens":7,"user":"u"}"#);
    let peeked = peek(Format::OpenaiResponses, &body).unwrap();
    assert!(peeked.stream && peeked.max_output_tokens == Some(7) && peeked.user.as_deref() == Some("u"));
    let rewritten = rewrite(&body, &peeked, "b");
    assert_eq!(rewritten.body, &br#"{"model":"b","input":"x","stream":true,"max_output_tokens":7,"user":"u"}"#[..]);
    assert!(!rewritten.hides_usage);
    let base = Url::parse("https://api.openai.com").unwrap();
    assert_eq!(
        upstream_url(
            Format::OpenaiResponses,
            &base,
            Wanted { operation: Operation::Generate, model: "b", stream: true }
        )
        .path(),
        "/v1/responses"
    );
}
