//! Gemini's traffic: recordings, and small streams for what recordings do not show.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue};
use schemas::config::Secret;
use schemas::outcome::{ErrorClass, Format, Operation};
use schemas::usage::Usage;
use url::Url;

use crate::formats::corpus::{self, Recording, relay};
use crate::formats::{
    OwnError, Reading, StreamReader, Wanted, is_stream, peek_at, read_body, rewrite, upstream_headers, upstream_url,
};

/// Weir's definition, worked out from the raw numbers of the recording.
fn expected_usage(recording: &Recording) -> Usage {
    let raw = &recording.expected;
    let Some(prompt) = raw.input_tokens else { return Usage::UNKNOWN };
    let input = prompt + raw.tool_use_prompt_tokens.unwrap_or(0);
    Usage {
        input: Some(input),
        fresh_input: raw.cache_read_tokens.map(|cached| input - cached),
        cache_read: raw.cache_read_tokens,
        cache_write_5m: None,
        cache_write_1h: None,
        output: raw.output_tokens,
        reasoning: raw.reasoning_tokens,
    }
}

#[test]
fn every_recording_is_read_right() {
    corpus::check(Format::Gemini, expected_usage, &[]);
}

const TEXT: &str = r#"{"candidates":[{"content":{"parts":[{"text":"hi"}],"role":"model"},"index":0}],"usageMetadata":{"promptTokenCount":5},"modelVersion":"g"}"#;
const THOUGHT: &str = r#"{"candidates":[{"content":{"parts":[{"text":"hm!","thought":true}]}}]}"#;
const END: &str = r#"{"candidates":[{"content":{"parts":[{"text":""}]},"finishReason":"STOP"}],"usageMetadata":{"promptTokenCount":5,"toolUsePromptTokenCount":2,"cachedContentTokenCount":3,"candidatesTokenCount":4,"thoughtsTokenCount":6}}"#;
const BLOCKED: &str = r#"{"promptFeedback":{"blockReason":"SAFETY"},"usageMetadata":{"promptTokenCount":5}}"#;
const ERROR: &str = r#"{"error":{"code":503,"message":"m","status":"UNAVAILABLE"}}"#;

fn sse(chunks: &[&str]) -> String {
    chunks.iter().map(|chunk| format!("data: {chunk}\r\n\r\n")).collect()
}

fn array(chunks: &[&str]) -> String {
    format!("[{}\n]", chunks.join("\n,\r\n"))
}

/// The reading of both forms, which must be the same but for the count of what cannot be read.
fn read(chunks: &[&str]) -> Reading {
    let read = |stream: String| relay(Format::Gemini, false, &stream.into(), &[4]).1.reading().clone();
    let reading = read(sse(chunks));
    assert_eq!(read(array(chunks)), reading, "{chunks:?}");
    reading
}

#[test]
fn the_first_id_names_the_answer() {
    let with_id = |id: &str| TEXT.replacen('{', &format!("{{\"responseId\":\"{id}\","), 1);
    let reading = read(&[TEXT, &with_id(""), &with_id("a"), &with_id("b"), END]);
    assert_eq!(reading.response_id.as_deref(), Some("a"));
    assert_eq!(read_body(Format::Gemini, with_id("c").as_bytes()).response_id.as_deref(), Some("c"));
}

#[test]
fn both_forms_of_stream_are_read() {
    let reading = read(&[TEXT, THOUGHT, END]);
    assert!(reading.completed && reading.has_content);
    assert_eq!((reading.text_chars, reading.other_chars, reading.events), (2, 3, 3));
    assert_eq!((reading.stop_reason.as_deref(), reading.model_reported.as_deref()), (Some("STOP"), Some("g")));
    let usage = Usage {
        input: Some(7),
        fresh_input: Some(4),
        cache_read: Some(3),
        cache_write_5m: None,
        cache_write_1h: None,
        output: Some(10),
        reasoning: Some(6),
    };
    assert_eq!(reading.usage(), usage);
    assert!(read(&[TEXT, END, TEXT]).completed, "content after the end does not undo it");
    assert!(!read(&[TEXT, THOUGHT]).completed);
    assert!(!read(&[END, ERROR]).completed);
    assert_eq!(read(&[BLOCKED]).stop_reason.as_deref(), Some("SAFETY"));
}

#[test]
fn wherever_a_stream_of_like_events_is_cut_its_last_counts_are_known() {
    let chunk = |text: &str, thoughts: bool, count: u32| {
        let thought = if thoughts { r#""thought":true,"# } else { "" };
        format!(
            r#"{{"candidates":[{{"content":{{"parts":[{{{thought}"text":"{text}"}}],"role":"model"}},"index":0}}],"usageMetadata":{{"promptTokenCount":9,"candidatesTokenCount":{count},"totalTokenCount":{total}}},"modelVersion":"m","responseId":"r"}}"#,
            total = 9 + count
        )
    };
    let chunks: Vec<String> = (1..40).map(|n| chunk(&"x".repeat(n), (10..20).contains(&n), n as u32 * 3)).collect();
    for end in 1..chunks.len() {
        let said: Vec<&str> = chunks.iter().take(end).map(String::as_str).collect();
        for body in [sse(&said), array(&said)] {
            let mut reader = StreamReader::new(Format::Gemini, false);
            reader.push(body.into());
            let reading = reader.reading();
            assert_eq!((reading.usage().input, reading.usage().output), (Some(9), Some(end as u64 * 3)));
            assert!(reading.raw_usage.as_ref().unwrap().ends_with(&format!("\"totalTokenCount\":{}}}", 9 + end * 3)));
            let chars = |thoughts| (1..=end).filter(|n| (10..20).contains(n) == thoughts).sum::<usize>() as u64;
            assert_eq!((reading.text_chars, reading.other_chars), (chars(false), chars(true)));
            assert!(!reading.completed && reading.usage_is_final && reading.unreadable_events == 0);
        }
    }
}

#[test]
fn an_array_ends_where_it_is_closed_and_an_event_stream_has_no_end() {
    let ended = |stream: String| relay(Format::Gemini, false, &stream.into(), &[4]).1.is_ended();
    assert!(ended(array(&[TEXT, END])) && ended(format!(" \n{}", array(&[TEXT]))));
    assert!(!ended(sse(&[TEXT, END])) && !ended(format!("[{TEXT}")));
}

#[test]
fn a_stream_that_is_cut_ends_in_an_error_in_both_forms() {
    let error = OwnError { status: 502, class: ErrorClass::StreamCut, message: "cut", param: None, request_id: "r" };
    for (stream, between) in
        [("[".to_owned(), true), (format!("[{TEXT}"), true), (sse(&[TEXT]), true), (sse(&[TEXT, &TEXT[..9]]), false)]
    {
        let mut reader = StreamReader::new(Format::Gemini, false);
        let mut sent = reader.push(stream.clone().into()).to_vec();
        reader.finish();
        sent.extend_from_slice(&reader.error_event(&error));
        let read = relay(Format::Gemini, false, &sent.clone().into(), &[sent.len()]).1;
        assert_eq!(read.reading().error.as_ref().map(|error| error.kind.as_str()), Some("UNAVAILABLE"), "{stream}");
        if stream.starts_with('[') && between {
            assert!(serde_json::from_slice::<serde_json::Value>(&sent).is_ok(), "{stream}");
        }
    }
}

#[test]
fn a_body_that_is_no_answer_is_an_error() {
    for body in ["", "{}", "[]", "[1]", "{\"x\":1}", ERROR, "<html>"] {
        let reading = read_body(Format::Gemini, body.as_bytes());
        assert!(reading.error.is_some() && !reading.completed && !reading.has_content, "{body}");
    }
    assert!(read_body(Format::Gemini, END.as_bytes()).completed);
}

#[test]
fn the_model_stands_in_the_path() {
    let body = Bytes::from_static(br#"{"contents":[],"model":"x","generationConfig":{"maxOutputTokens":8}}"#);
    let peeked = peek_at(Format::Gemini, "/v1beta/models/gemini%2D3:streamGenerateContent", &body).unwrap();
    assert_eq!((peeked.model.as_str(), peeked.stream, peeked.max_output_tokens), ("gemini-3", true, Some(8)));
    assert_eq!(rewrite(&body, &peeked, "other").body.as_ptr(), body.as_ptr());
    assert!(!peek_at(Format::Gemini, "/v1/models/a:b:generateContent", &body).unwrap().stream);
    for path in [
        "",
        "/v1beta/models/m",
        "/v1beta/models/:generateContent",
        "/v1beta/models/m:other",
        "/v1beta/models/%ff:generateContent",
    ] {
        assert_eq!(peek_at(Format::Gemini, path, &body).unwrap_err().param, Some("model"), "{path}");
    }
    for (base, path) in [
        ("https://generativelanguage.googleapis.com", "/v1beta/models/m:streamGenerateContent"),
        (
            "https://a.test/v1/projects/p/publishers/google/",
            "/v1/projects/p/publishers/google/models/m:streamGenerateContent",
        ),
    ] {
        assert_eq!(
            upstream_url(
                Format::Gemini,
                &Url::parse(base).unwrap(),
                Wanted { operation: Operation::Generate, model: "m", stream: true }
            )
            .path(),
            path
        );
    }
    let headers = upstream_headers(Format::Gemini, &HeaderMap::new(), Some(&Secret::new("k"))).unwrap();
    assert_eq!(headers["x-goog-api-key"], "k");
    let json: HeaderMap = [(http::header::CONTENT_TYPE, HeaderValue::from_static("application/json; charset=UTF-8"))]
        .into_iter()
        .collect();
    assert!(is_stream(Format::Gemini, &json) && !is_stream(Format::OpenaiChat, &json));
}
