//! Chat traffic: recordings, and small streams for what recordings do not show.

use bytes::Bytes;
use schemas::outcome::{ErrorClass, Format, Operation};
use schemas::usage::Usage;
use url::Url;

use crate::formats::corpus::{self, Recording, relay};
use crate::formats::{OwnError, Reading, StreamReader, Wanted, peek, read_body, rewrite, upstream_url};

/// Weir's definition, worked out from the raw numbers of the recording. Who counts reasoning beside the completion is
/// known by name here, and told from the numbers in the code under test.
fn expected_usage(recording: &Recording) -> Usage {
    let raw = &recording.expected;
    let cached = raw.cache_read_tokens.unwrap_or(0) + raw.cache_creation_tokens.unwrap_or(0);
    let reasoning = raw.reasoning_tokens.unwrap_or(0);
    let beside = match recording.provider.as_str() {
        "xai" | "azure" => {
            raw.total_tokens > raw.input_tokens.zip(raw.output_tokens).map(|(input, output)| input + output)
        }
        "vercel-gateway" | "doubleword" => Some(reasoning) > raw.output_tokens,
        _ => false,
    };
    Usage {
        input: raw.input_tokens,
        fresh_input: raw.input_tokens.map(|tokens| tokens.saturating_sub(cached)),
        cache_read: raw.cache_read_tokens,
        cache_write_5m: raw.cache_creation_tokens.map(|all| all - raw.cache_creation_1h_tokens.unwrap_or(0)),
        cache_write_1h: raw.cache_creation_1h_tokens,
        output: raw.output_tokens.map(|tokens| if beside { tokens + reasoning } else { tokens }),
        reasoning: raw.reasoning_tokens,
    }
}

#[test]
fn every_recording_is_read_right() {
    corpus::check(Format::OpenaiChat, expected_usage, &[]);
}

/// The stream without its usage-only chunks, found by other means than the reader's.
fn without_usage_chunks(body: &str) -> String {
    let (mut kept, mut rest) = (String::new(), body);
    while !rest.is_empty() {
        let end = ["\n\n", "\r\n\r\n"].iter().filter_map(|blank| Some(rest.find(blank)? + blank.len())).min();
        let (event, after) = rest.split_at(end.unwrap_or(rest.len()));
        let data = event.lines().find_map(|line| line.strip_prefix("data:")).unwrap_or_default();
        let chunk: serde_json::Value = serde_json::from_str(data.trim()).unwrap_or_default();
        if chunk["choices"].as_array().is_none_or(|choices| !choices.is_empty()) || !chunk["usage"].is_object() {
            kept.push_str(event);
        }
        rest = after;
    }
    kept
}

#[test]
fn the_usage_chunk_is_hidden_and_every_other_byte_stays() {
    let mut hidden = 0;
    for recording in corpus::recordings(Format::OpenaiChat).iter().filter(|one| one.has("sse_body") && !one.has("bom"))
    {
        let body = &recording.response.body;
        let expected = without_usage_chunks(body);
        hidden += usize::from(expected.len() < body.len());
        let bytes = Bytes::copy_from_slice(body.as_bytes());
        for sizes in [&[bytes.len().max(1)][..], &[1], &[7], &[3, 500, 1, 90]] {
            let (forwarded, reader) = relay(Format::OpenaiChat, true, &bytes, sizes);
            assert_eq!(String::from_utf8(forwarded).unwrap(), expected, "{} at {sizes:?}", recording.name);
            let (_, plain) = relay(Format::OpenaiChat, false, &bytes, sizes);
            assert_eq!(reader.reading(), plain.reading(), "{} at {sizes:?}", recording.name);
        }
    }
    println!("{hidden} recordings have a usage chunk");
}

fn read(stream: &str) -> Reading {
    relay(Format::OpenaiChat, false, &Bytes::copy_from_slice(stream.as_bytes()), &[6]).1.reading().clone()
}

const ROLE: &str = "data: {\"model\":\"\",\"choices\":[],\"prompt_filter_results\":[{\"prompt_index\":0}]}\n\n\
                    : OPENROUTER PROCESSING\n\n\
                    data: {\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"},\"finish_reason\":null}],\"usage\":null,\"error\":null}\n\n";
const TEXT: &str =
    "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"h\\u00e9 \\\"usage\\\":{\"}}],\"usage\":null}\n\n";
const FINISH: &str = "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}],\"usage\":null}\n\n";
const USAGE: &str =
    "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":4,\"total_tokens\":13}}\n\n";
const DONE: &str = "data: [DONE]\n\n";

#[test]
fn content_is_neither_a_comment_nor_a_filter_result_nor_an_empty_role() {
    assert!(!read(ROLE).has_content);
    assert_eq!(read(ROLE).model_reported.as_deref(), Some("m"));
    for delta in [
        r#"{"content":"x"}"#,
        r#"{"content":[{"type":"text","text":"x"}]}"#,
        r#"{"reasoning_content":"x"}"#,
        r#"{"reasoning":"x","reasoning_details":[{"text":"x"}]}"#,
        r#"{"refusal":"x"}"#,
        r#"{"tool_calls":[{"function":{"name":"f","arguments":""}}]}"#,
        r#"{"images":[{"image_url":{}}]}"#,
    ] {
        let stream = format!("{ROLE}data: {{\"choices\":[{{\"delta\":{delta}}}]}}\n\n");
        assert!(read(&stream).has_content, "{delta}");
    }
    assert!(read(&format!("{ROLE}{FINISH}")).has_content, "an empty answer has its end as content");
}

#[test]
fn a_finish_reason_or_done_completes_and_an_error_undoes_it() {
    assert!(read(&format!("{ROLE}{TEXT}{FINISH}")).completed);
    assert!(read(&format!("{ROLE}{TEXT}{DONE}")).completed);
    assert!(!read(&format!("{ROLE}{TEXT}")).completed);
    for error in [
        "data: {\"error\":{\"message\":\"m\",\"type\":\"t\"}}\n\n",
        "event: error\ndata: {\"error\":{\"message\":\"m\",\"type\":\"t\"}}\n\n",
        "error: {\"error\":{\"message\":\"m\",\"type\":\"t\"}}\n\n",
        "event: error\ndata: {\"object\":\"error\",\"message\":\"m\",\"type\":\"t\"}\n\n",
        "{\"error\":{\"message\":\"m\",\"type\":\"t\"}}\n\n",
        "{\n  \"error\": {\n    \"message\": \"m\",\n    \"type\": \"t\"\n  }\n}\n",
    ] {
        let reading = read(&format!("{ROLE}{TEXT}{FINISH}{error}{DONE}"));
        assert!(!reading.completed && reading.error.as_ref().is_some_and(|error| error.kind == "t"), "{error}");
    }
}

#[test]
fn an_event_named_error_is_one_whatever_it_holds() {
    let stream = format!("{ROLE}event: error\ndata: upstream gone\n\n{DONE}");
    assert_eq!(read(&stream).error.unwrap().message, "upstream gone");
    for none in ["null", "\"\"", "{}", "false"] {
        let stream = format!("{ROLE}data: {{\"choices\":[],\"error\":{none}}}\n\n{DONE}");
        assert!(read(&stream).error.is_none(), "{none}");
    }
}

#[test]
fn usage_is_found_wherever_it_stands() {
    let usage = r#"{"prompt_tokens":9,"completion_tokens":4}"#;
    for chunk in [
        format!(r#"{{"choices":[],"usage":{usage}}}"#),
        format!(r#"{{"choices":[{{"delta":{{}},"finish_reason":"stop"}}],"usage":{usage}}}"#),
        format!(r#"{{"choices":[],"x_groq":{{"id":"r","usage":{usage}}}}}"#),
        format!(r#"{{"choices":[{{"delta":{{}},"usage":{usage}}}]}}"#),
    ] {
        let zeros = r#"data: {"choices":[],"usage":{"prompt_tokens":0,"completion_tokens":0}}"#;
        let reading = read(&format!("{ROLE}{TEXT}data: {chunk}\n\n{zeros}\n\n{DONE}"));
        assert_eq!((reading.usage().input, reading.usage().output), (Some(9), Some(4)), "{chunk}");
        assert_eq!(reading.raw_usage.as_deref(), Some(usage));
    }
}

#[test]
fn usage_is_asked_for_in_streams_and_nowhere_else() {
    let on = r#""stream_options":{"include_usage":true}"#;
    for (body, expected) in [
        (r#"{"model":"m","stream":true}"#.to_owned(), Some(format!(r#"{{"model":"m","stream":true,{on}}}"#))),
        (
            r#"{"model":"m","stream":true,"stream_options":null} "#.into(),
            Some(format!(r#"{{"model":"m","stream":true,{on}}} "#)),
        ),
        (
            r#"{"model":"m","stream":true,"stream_options":{}}"#.into(),
            Some(format!(r#"{{"model":"m","stream":true,{on}}}"#)),
        ),
        (
            r#"{"stream_options":{ "include_obfuscation":false},"model":"m","stream":true}"#.into(),
            Some(
                r#"{"stream_options":{"include_usage":true, "include_obfuscation":false},"model":"m","stream":true}"#
                    .into(),
            ),
        ),
        (
            r#"{"model":"m","stream":true,"stream_options":{"include_usage":false,"x":[1]}}"#.into(),
            Some(r#"{"model":"m","stream":true,"stream_options":{"include_usage":true,"x":[1]}}"#.into()),
        ),
        (format!(r#"{{"model":"m","stream":true,{on}}}"#), None),
        (r#"{"model":"m","stream":false}"#.into(), None),
        (r#"{"model":"m"}"#.into(), None),
        (r#"{"model":"m","stream":true,"stream_options":"odd"}"#.into(), None),
    ] {
        let bytes = Bytes::from(body.clone());
        let peeked = peek(Format::OpenaiChat, &bytes).unwrap();
        let rewritten = rewrite(&bytes, &peeked, "m");
        assert_eq!(rewritten.hides_usage, expected.is_some(), "{body}");
        assert_eq!(rewritten.body, expected.unwrap_or(body));
        if !rewritten.hides_usage {
            assert_eq!(rewritten.body.as_ptr(), bytes.as_ptr(), "not copied");
        }
    }
}

#[test]
fn an_upstreams_name_and_the_usage_request_go_in_together() {
    let body = Bytes::from_static(br#"{"stream_options":{},"model":"a","stream":true,"max_tokens":5,"user":"u"}"#);
    let peeked = peek(Format::OpenaiChat, &body).unwrap();
    assert_eq!((peeked.max_output_tokens, peeked.user.as_deref()), (Some(5), Some("u")));
    let expected =
        r#"{"stream_options":{"include_usage":true},"model":"longer","stream":true,"max_tokens":5,"user":"u"}"#;
    assert_eq!(rewrite(&body, &peeked, "longer").body, expected);
    let base = Url::parse("https://api.z.ai/api/paas/v4").unwrap();
    assert_eq!(
        upstream_url(Format::OpenaiChat, &base, Wanted { operation: Operation::Generate, model: "m", stream: true })
            .path(),
        "/api/paas/v4/chat/completions"
    );
}

#[test]
fn only_the_usage_chunk_is_hidden() {
    let with_error = "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":9},\"error\":{\"message\":\"m\"}}\n\n";
    let filter = "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":0},\"prompt_filter_results\":[]}\n\n";
    let comment = ": a comment in the same block\n";
    for (stream, expected) in [
        (format!("{TEXT}{USAGE}{DONE}"), format!("{TEXT}{DONE}")),
        (format!("{TEXT}{USAGE}{USAGE}"), TEXT.to_owned()),
        (format!("{TEXT}{comment}{USAGE}{DONE}"), format!("{TEXT}{comment}{DONE}")),
        (format!("{filter}{with_error}"), format!("{filter}{with_error}")),
        (USAGE.trim_end().to_owned(), String::new()),
        ("data: {\"choi".to_owned(), "data: {\"choi".to_owned()),
    ] {
        for line_end in ["\n", "\r\n", "\r"] {
            let stream = Bytes::from(stream.replace('\n', line_end));
            let expected = expected.replace('\n', line_end);
            for sizes in [&[1][..], &[2], &[1000], &[40, 1]] {
                let (forwarded, _) = relay(Format::OpenaiChat, true, &stream, sizes);
                assert_eq!(String::from_utf8(forwarded).unwrap(), expected, "{stream:?} at {sizes:?}");
            }
        }
    }
}

#[test]
fn nothing_but_an_unfinished_event_waits() {
    let mut reader = StreamReader::new(Format::OpenaiChat, true);
    assert_eq!(reader.push(Bytes::from_static(b": keep-alive\n: half a comm")), ": keep-alive\n: half a comm");
    assert_eq!(reader.push(Bytes::from_static(b"ent\n\ndata: {\"choices\"")), "ent\n\n");
    assert_eq!(reader.push(Bytes::from_static(b":[]}\n\ndata")), "data: {\"choices\":[]}\n\n");
    let chunk = Bytes::from(format!(": {{}}\n\n{TEXT}"));
    assert_eq!(reader.push(Bytes::from_static(b": 1\n\n")), "data: 1\n\n");
    assert_eq!(reader.push(chunk.clone()).as_ptr(), chunk.as_ptr(), "not copied");
    // An event that is too large to be the usage chunk does not wait for its end.
    let large = Bytes::from(format!("data: {{\"x\":\"{}", "y".repeat(100_000)));
    assert_eq!(reader.push(large.clone()), large);
    assert_eq!(
        reader.push(Bytes::from_static(b"\",\"choices\":[],\"usage\":{}}\n\nda")),
        "\",\"choices\":[],\"usage\":{}}\n\n"
    );
    assert_eq!(reader.finish(), "da");
}

#[test]
fn a_cut_stream_ends_in_a_readable_error_hidden_usage_or_not() {
    let error = OwnError { status: 502, class: ErrorClass::StreamCut, message: "cut", param: None, request_id: "r" };
    let stream = format!(": c\n\n{TEXT}{USAGE}{}", TEXT.replace('\n', "\r\n"));
    for (cut, hides) in (0..stream.len()).flat_map(|cut| [(cut, true), (cut, false)]) {
        let mut reader = StreamReader::new(Format::OpenaiChat, hides);
        let mut sent = reader.push(Bytes::copy_from_slice(&stream.as_bytes()[..cut])).to_vec();
        if cut % 2 == 0 {
            sent.extend_from_slice(&reader.finish());
        }
        sent.extend_from_slice(&reader.error_event(&error));
        let read = corpus::relay(Format::OpenaiChat, false, &sent.into(), &[11]).1;
        assert_eq!(
            read.reading().error.as_ref().map(|error| error.kind.as_str()),
            Some("server_error"),
            "cut at {cut}"
        );
        assert!(!read.reading().completed && !read.is_ended());
    }
}

#[test]
fn a_body_that_is_no_completion_is_an_error() {
    for body in [
        "",
        "<!doctype html>",
        "null",
        "{}",
        "{\"error\":{\"message\":\"m\"}}",
        "{\"object\":\"error\",\"message\":\"m\"}",
    ] {
        let reading = read_body(Format::OpenaiChat, body.as_bytes());
        assert!(reading.error.is_some() && !reading.completed && !reading.has_content, "{body}");
    }
    let reading = read_body(
        Format::OpenaiChat,
        b"\n\n{\"error\":null,\"choices\":[{\"message\":{\"content\":\"a\"},\"finish_reason\":\"stop\"}]}",
    );
    assert!(
        reading.completed && reading.text_chars == 1 && reading.usage() == Usage::UNKNOWN && !reading.usage_is_final
    );
}
