//! Any chunking cuts the same, and nothing is lost, added or said twice.

use std::path::PathBuf;

use bytes::Bytes;
use proptest::prelude::*;
use schemas::outcome::Format;
use serde_json::Value;

use super::smoother::{Part, Smoother};
use crate::formats::{Reading, StreamReader};
use crate::upstream::sse::Decoder;

/// What goes out for a stream that comes in chunks of the given sizes, over and over: event by event where one is cut.
fn deal(format: Format, chunk_chars: usize, stream: &Bytes, sizes: &[usize]) -> Vec<Bytes> {
    let mut smoother = Smoother::new(format, chunk_chars);
    let mut out = Vec::new();
    let mut take = |part| match part {
        Part::Verbatim(bytes) => out.push(bytes),
        Part::Cut(mut cut) => out.extend(std::iter::from_fn(|| cut.next_piece())),
    };
    let (mut rest, mut sizes) = (stream.clone(), sizes.iter().cycle());
    while !rest.is_empty() {
        let chunk = rest.split_to(rest.len().min(*sizes.next().unwrap()));
        smoother.push(&chunk, &mut take);
    }
    smoother.finish(&mut take);
    out
}

fn read(format: Format, stream: &[u8]) -> Reading {
    let mut reader = StreamReader::new(format, false);
    reader.push(Bytes::copy_from_slice(stream));
    reader.finish();
    // The number of events is what smoothing changes.
    let mut reading = reader.reading().clone();
    reading.events = 0;
    reading
}

/// The texts of a stream's deltas, found by another reader of JSON than the one under test.
fn texts(format: Format, stream: &[u8]) -> Vec<String> {
    let mut found = Vec::new();
    let mut take = |data: &[u8]| {
        let Ok(event) = serde_json::from_slice::<Value>(data) else { return };
        let text = match format {
            Format::Anthropic if event["delta"]["type"] == "text_delta" => &event["delta"]["text"],
            Format::OpenaiChat => &event["choices"][0]["delta"]["content"],
            Format::OpenaiResponses if event["type"] == "response.output_text.delta" => &event["delta"],
            Format::Gemini => &event["candidates"][0]["content"]["parts"][0]["text"],
            _ => return,
        };
        found.extend(text.as_str().map(str::to_owned));
    };
    let mut decoder = Decoder::default();
    decoder.push(stream, |event| take(event.data));
    decoder.finish(|event| take(event.data));
    found
}

/// A stream, and what it becomes in pieces of four characters.
const CUT: &[(Format, &str, &[&str])] = &[
    (
        Format::Anthropic,
        "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"abcdefghij\"}   }\n\n",
        &[
            "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"abcd\"}   }\n\n",
            "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"efgh\"}   }\n\n",
            "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"ij\"}   }\n\n",
        ],
    ),
    // The name behind the data; no space after the colon.
    (
        Format::Anthropic,
        "data:{\"delta\":{\"text\":\"abcde\",\"type\":\"text_delta\"},\"type\":\"content_block_delta\"}\nevent:content_block_delta\n\n",
        &[
            "data:{\"delta\":{\"text\":\"abcd\",\"type\":\"text_delta\"},\"type\":\"content_block_delta\"}\nevent:content_block_delta\n\n",
            "data:{\"delta\":{\"text\":\"e\",\"type\":\"text_delta\"},\"type\":\"content_block_delta\"}\nevent:content_block_delta\n\n",
        ],
    ),
    // Role, end, usage, id, comment and retry time: each once.
    (
        Format::OpenaiChat,
        "id: 7\n: c\ndata: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"abcdefghi\",\"refusal\":null},\"logprobs\":null,\"finish_reason\":\"stop\",\"native_finish_reason\":\"STOP\"}],\"x_groq\":{\"usage\":{}},\"usage\":{\"total_tokens\":3}}\nretry: 9\n\n",
        &[
            "data: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"abcd\",\"refusal\":null},\"logprobs\":null,\"finish_reason\":null}],\"usage\":null}\n\n",
            "data: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"efgh\",\"refusal\":null},\"logprobs\":null,\"finish_reason\":null}],\"usage\":null}\n\n",
            "id: 7\n: c\ndata: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"i\",\"refusal\":null},\"logprobs\":null,\"finish_reason\":\"stop\",\"native_finish_reason\":\"STOP\"}],\"x_groq\":{\"usage\":{}},\"usage\":{\"total_tokens\":3}}\nretry: 9\n\n",
        ],
    ),
    (
        Format::OpenaiResponses,
        "event: response.output_text.delta\ndata: {\"type\":\"response.output_text.delta\",\"sequence_number\":4,\"delta\":\"abcde\",\"logprobs\":[],\"obfuscation\":\"x\"}\n\n",
        &[
            "event: response.output_text.delta\ndata: {\"type\":\"response.output_text.delta\",\"sequence_number\":4,\"delta\":\"abcd\",\"logprobs\":[],\"obfuscation\":\"x\"}\n\n",
            "event: response.output_text.delta\ndata: {\"type\":\"response.output_text.delta\",\"sequence_number\":4,\"delta\":\"e\",\"logprobs\":[],\"obfuscation\":\"x\"}\n\n",
        ],
    ),
    (
        Format::Gemini,
        "data: {\"candidates\": [{\"content\": {\"role\":\"model\",\"parts\": [{\"text\": \"abcde\"}]},\"finishReason\": \"STOP\",\"index\": 0,\"safetyRatings\":[{}]}],\"usageMetadata\": {\"totalTokenCount\":1},\"modelVersion\": \"m\"}\n\n",
        &[
            "data: {\"candidates\": [{\"content\": {\"role\":\"model\",\"parts\": [{\"text\": \"abcd\"}]},\"index\": 0}],\"modelVersion\": \"m\"}\n\n",
            "data: {\"candidates\": [{\"content\": {\"role\":\"model\",\"parts\": [{\"text\": \"e\"}]},\"finishReason\": \"STOP\",\"index\": 0,\"safetyRatings\":[{}]}],\"usageMetadata\": {\"totalTokenCount\":1},\"modelVersion\": \"m\"}\n\n",
        ],
    ),
    // Never inside a character or an escape, however long it is spelt.
    (
        Format::OpenaiResponses,
        "data: {\"type\":\"response.output_text.delta\",\"delta\":\"\\ud83d\\ude00\\\\\\\"\\u00e9\u{1f600}é漢z\\u00E9\\n\\u0041\\/\\/\"}\n\n",
        &[
            "data: {\"type\":\"response.output_text.delta\",\"delta\":\"\\ud83d\\ude00\\\\\\\"\\u00e9\"}\n\n",
            "data: {\"type\":\"response.output_text.delta\",\"delta\":\"\u{1f600}é漢z\"}\n\n",
            "data: {\"type\":\"response.output_text.delta\",\"delta\":\"\\u00E9\\n\\u0041\\/\"}\n\n",
            "data: {\"type\":\"response.output_text.delta\",\"delta\":\"\\/\"}\n\n",
        ],
    ),
];

#[test]
fn a_text_is_dealt_out_and_what_is_said_once_is_said_once() {
    for (format, stream, expected) in CUT {
        for line_end in ["\n", "\r\n", "\r"] {
            let stream = Bytes::from(format!(": before\n\n{stream}data: [DONE]\n\n").replace('\n', line_end));
            let expected = format!(": before\n\n{}data: [DONE]\n\n", expected.concat()).replace('\n', line_end);
            for size in 1..=stream.len() {
                let dealt = deal(*format, 4, &stream, &[size]).concat();
                assert_eq!(String::from_utf8(dealt).unwrap(), expected, "in chunks of {size}");
            }
        }
    }
}

#[test]
fn what_waits_is_sent_whole_when_there_is_no_time_left() {
    for (format, stream, expected) in CUT {
        let stream = Bytes::from_static(stream.as_bytes());
        for pieces in 0..expected.len() {
            let mut dealt = Vec::new();
            Smoother::new(*format, 4).push(&stream, |part| {
                let Part::Cut(mut cut) = part else { panic!("{part:?} is not cut") };
                dealt.extend((0..pieces).map_while(|_| cut.next_piece()));
                dealt.extend(cut.rest());
                assert!(cut.is_done() && cut.rest().is_none() && cut.next_piece().is_none());
            });
            assert_eq!(dealt.len(), pieces + 1);
            assert_eq!(texts(*format, &dealt.concat()).concat(), texts(*format, &stream).concat());
            assert_eq!(read(*format, &dealt.concat()), read(*format, &stream));
            if pieces == 0 {
                assert_eq!(dealt, std::slice::from_ref(&stream), "nothing has been cut yet");
            }
        }
    }
}

/// Long texts that stay whole.
const WHOLE: &[(Format, &str)] = &[
    (
        Format::Anthropic,
        "data: {\"type\":\"content_block_delta\",\"delta\":{\"type\":\"input_json_delta\",\"partial_json\":\"abcdef\"}}\n\n",
    ),
    (
        Format::Anthropic,
        "data: {\"type\":\"content_block_delta\",\"delta\":{\"type\":\"thinking_delta\",\"thinking\":\"abcdef\"}}\n\n",
    ),
    (
        Format::Anthropic,
        "data: {\"type\":\"content_block_delta\",\"delta\":{\"type\":\"text_delta\",\"text\":\"abcdef\",\"new\":[1]}}\n\n",
    ),
    (
        Format::Anthropic,
        "data: {\"type\":\"content_block_delta\",\ndata: \"delta\":{\"type\":\"text_delta\",\"text\":\"abcdef\"}}\n\n",
    ),
    (
        Format::Anthropic,
        "data: {\"type\":\"content_block_delta\",\"delta\":{\"type\":\"text_delta\",\"text\":\"abcd\"}}\n\n",
    ),
    (
        Format::Anthropic,
        "data: {\"type\":\"content_block_delta\",\"delta\":{\"type\":\"text_delta\",\"text\":\"abcdef\"}}",
    ),
    (
        Format::Anthropic,
        "\u{feff}data: {\"type\":\"content_block_delta\",\"delta\":{\"type\":\"text_delta\",\"text\":\"abcdef\"}}\n\n",
    ),
    (Format::OpenaiChat, "data: {\"choices\":[{\"delta\":{\"content\":\"abcdef\",\"reasoning\":\"more\"}}]}\n\n"),
    (
        Format::OpenaiChat,
        "data: {\"choices\":[{\"delta\":{\"content\":\"abcdef\"},\"logprobs\":{\"content\":[]}}]}\n\n",
    ),
    (Format::OpenaiChat, "data: {\"choices\":[{\"delta\":{\"content\":\"abcdef\"}},{\"delta\":{}}]}\n\n"),
    (Format::OpenaiChat, "data: {\"choices\":[{\"delta\":{\"content\":\"abcdef\",\"content\":\"ghijkl\"}}]}\n\n"),
    (Format::OpenaiChat, "data: {\"choices\":[{\"delta\":{\"content\":[\"abcdef\"]}}]}\n\n"),
    (
        Format::OpenaiChat,
        "data: {\"choices\":[{\"delta\":{\"tool_calls\":[{\"function\":{\"arguments\":\"abcdef\"}}]}}]}\n\n",
    ),
    (Format::OpenaiChat, "data: {\"choices\":[{\"delta\":{\"content\":\"abcdef\"}}]\n\n"),
    (Format::OpenaiChat, "data: [DONE]     \n\n"),
    (Format::OpenaiResponses, "data: {\"type\":\"response.function_call_arguments.delta\",\"delta\":\"abcdef\"}\n\n"),
    (
        Format::OpenaiResponses,
        "data: {\"type\":\"response.output_text.delta\",\"delta\":\"abcdef\",\"logprobs\":[{}]}\n\n",
    ),
    (Format::OpenaiResponses, "data: {\"type\":\"response.output_text.done\",\"text\":\"abcdef\"}\n\n"),
    (Format::Gemini, "data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"abcdef\",\"thought\":true}]}}]}\n\n"),
    (Format::Gemini, "data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"abcdef\"},{\"text\":\"g\"}]}}]}\n\n"),
    (Format::Gemini, "[{\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"abcdef\"}]}}]}\n,\n{}]"),
    (Format::Gemini, " \n[{\"a\":\n\n\"data: b\"}]"),
];

#[test]
fn what_is_not_understood_or_not_long_stays_as_it_is() {
    for (format, stream) in WHOLE {
        for line_end in ["\n", "\r\n", "\r"] {
            let stream = Bytes::from(stream.replace('\n', line_end));
            for size in 1..=stream.len() {
                assert_eq!(deal(*format, 4, &stream, &[size]).concat(), stream, "{stream:?} in chunks of {size}");
            }
        }
    }
}

#[test]
fn nothing_but_an_open_event_is_held_back() {
    let mut smoother = Smoother::new(Format::OpenaiChat, 4);
    let mut push = |chunk: &'static str| {
        let mut out = Vec::new();
        smoother.push(&Bytes::from_static(chunk.as_bytes()), |part| match part {
            Part::Verbatim(bytes) => out.extend_from_slice(&bytes),
            Part::Cut(mut cut) => out.extend(std::iter::from_fn(|| cut.next_piece()).flatten()),
        });
        String::from_utf8(out).unwrap()
    };
    assert_eq!(push(": keep"), ": keep");
    assert_eq!(push("-alive\r"), "-alive\r");
    assert_eq!(push("\n\r\ndata: 1"), "\n\r\n");
    assert_eq!(push("\r\n\r"), "data: 1\r\n\r");
    assert_eq!(push("\ndata: 2\r\rdata: 3\n"), "\ndata: 2\r\r");
    assert_eq!(push("\n"), "data: 3\n\n");
}

#[test]
fn an_event_beyond_the_bound_is_not_kept() {
    let text = "x".repeat(1 << 20);
    let stream =
        Bytes::from(format!("data: {{\"choices\":[{{\"delta\":{{\"content\":\"{text}\"}}}}]}}\n\ndata: 1\n\n"));
    for sizes in [vec![stream.len()], vec![1000], vec![70_000]] {
        let mut smoother = Smoother::new(Format::OpenaiChat, 4);
        let (mut rest, mut pushed, mut given) = (stream.clone(), 0, Vec::new());
        while !rest.is_empty() {
            let chunk = rest.split_to(rest.len().min(sizes[0]));
            pushed += chunk.len();
            smoother.push(&chunk, |part| match part {
                Part::Verbatim(bytes) => given.extend_from_slice(&bytes),
                Part::Cut(_) => panic!("it is cut"),
            });
            assert!(pushed - given.len() <= (64 << 10));
        }
        assert!(given == stream);
    }
}

const FRAGMENTS: &[&str] = &[
    "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"h\u{e9}llo \\ud83d\\ude00 \\\"w\u{f6}rld\\\"\"}}\n\n",
    "id: 3\ndata: {\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"one two three\"}}],\"usage\":null}\n\n",
    "data: {\"choices\":[{\"delta\":{\"content\":\"\u{6f22}\u{5b57}\u{6f22}\u{5b57}\\n\\n\"},\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":4}}\n\n",
    "data: {\"choices\":[{\"delta\":{\"content\":\"oh no\"}}],\"error\":{\"message\":\"m\",\"code\":502}}\n\n",
    "data: {\"type\":\"response.output_text.delta\",\"sequence_number\":7,\"delta\":\"four five six\"}\n\n",
    "data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"seven eight\"}]},\"finishReason\":\"STOP\"}],\"usageMetadata\":{\"promptTokenCount\":1}}\n\n",
    "data: {\"choices\":[{\"delta\":{\"content\":\"one\n",
    "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"usage\":{\"input_tokens\":3,\"output_tokens\":1}}}\n\n",
    "data: {\"type\":\"message_stop\"}\n\n",
    "data: [DONE]\n\n",
    "error: x\n",
    "event: e\n",
    ": c\n",
    ": half a comment",
    "\n",
    "\u{feff}",
    "data\n\n",
    "id: 7\n",
    "  ",
    "[",
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_chunking_cuts_the_same_and_says_the_same(
        format in prop::sample::select(Format::ALL),
        chunk_chars in 1usize..12,
        fragments in prop::collection::vec(prop::sample::select(FRAGMENTS), 0..10),
        line_end in prop::sample::select(vec!["\n", "\r\n", "\r"]),
        noise in prop::collection::vec(any::<u8>(), 0..6),
        sizes in prop::collection::vec(1usize..40, 1..20),
    ) {
        let mut stream = fragments.concat().replace('\n', line_end).into_bytes();
        stream.extend(noise);
        let stream = Bytes::from(stream);
        let whole = deal(format, chunk_chars, &stream, &[stream.len().max(1)]).concat();
        let dealt = deal(format, chunk_chars, &stream, &sizes).concat();
        prop_assert_eq!(String::from_utf8_lossy(&dealt), String::from_utf8_lossy(&whole));
        prop_assert_eq!(read(format, &dealt), read(format, &stream));
        prop_assert_eq!(texts(format, &dealt).concat(), texts(format, &stream).concat());
        let unlimited = deal(format, stream.len().max(1), &stream, &sizes).concat();
        prop_assert_eq!(&unlimited[..], &stream[..]);
    }
}

#[derive(Debug, serde::Deserialize)]
struct Recording {
    name: String,
    features: Vec<String>,
    response: Response,
}

#[derive(Debug, serde::Deserialize)]
struct Response {
    status: u16,
    body: String,
}

#[test]
fn recorded_streams_say_the_same_in_pieces() {
    for &format in Format::ALL {
        let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/corpus").join(format.as_str());
        let Ok(files) = std::fs::read_dir(&folder) else {
            println!("SKIPPED: no recordings at {}", folder.display());
            continue;
        };
        let (mut streams, mut smoothed) = (0, 0);
        for file in files {
            let recording: Recording = serde_json::from_slice(&std::fs::read(file.unwrap().path()).unwrap()).unwrap();
            if recording.response.status >= 400 || !recording.features.iter().any(|feature| feature == "sse_body") {
                continue;
            }
            let stream = Bytes::from(recording.response.body);
            let (name, expected) = (recording.name, texts(format, &stream));
            for (chunk_chars, sizes) in [(20, vec![stream.len()]), (3, vec![1, 300, 2, 64, 5, 1460, 3, 17])] {
                let dealt = deal(format, chunk_chars, &stream, &sizes).concat();
                let found = texts(format, &dealt);
                assert_eq!(found.concat(), expected.concat(), "{name}");
                assert_eq!(read(format, &dealt), read(format, &stream), "{name}");
                smoothed += usize::from(found.len() > expected.len());
                if found.len() == expected.len() {
                    assert_eq!(dealt, stream, "{name}: nothing was cut");
                }
            }
            streams += 1;
        }
        assert!(smoothed > 0, "{format}: no stream of {streams} had a long text");
        println!("{format}: {streams} streams, {smoothed} of {} times smoothed", 2 * streams);
    }
}
