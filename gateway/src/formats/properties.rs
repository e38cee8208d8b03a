//! What holds for all formats and any input: a stream reads the same and passes unchanged however it is split; bodies
//! of any shape are survived; a rewritten request is the client's but for what had to change.

use bytes::Bytes;
use proptest::prelude::*;
use schemas::outcome::Format;
use serde_json::{Value, json};

use super::corpus::relay;
use super::syntax::Syntax;
use super::{peek_at, read_body, read_error, rewrite};

const PATH: &str = "/v1beta/models/in-path:streamGenerateContent";

const FRAGMENTS: &[&str] = &[
    "data: {\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}],\"usage\":null}\n\n",
    "data: {\"choices\":[{\"delta\":{\"content\":\"h\u{e9} \\\"usage\\\":{\"}}]}\n\n",
    "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n",
    "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":4}}\n\n",
    "data: {\"choices\":[],\ndata: \"usage\":{\"prompt_tokens\":1}}\n\n",
    "data: [DONE]\n\n",
    "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"usage\":{\"input_tokens\":3,\"output_tokens\":1}}}\n\n",
    "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"delta\":{\"type\":\"text_delta\",\"text\":\"\\ud83d\\ude00\"}}\n\n",
    "data: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"},\"usage\":{\"output_tokens\":5}}\n\n",
    "data: {\"type\":\"message_stop\"}\n\n",
    "data: {\"type\":\"response.output_text.delta\",\"delta\":\"hi\"}\n\n",
    "data: {\"type\":\"response.completed\",\"response\":{\"status\":\"completed\",\"usage\":{\"input_tokens\":2}}}\n\n",
    "[{\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"a]}\"}]},\"finishReason\":\"STOP\"}]}\n,{\"usageMetadata\":{}}]",
    "data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"a\"}]}}],\"usageMetadata\":{\"promptTokenCount\":1}}\n\n",
    "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"t\"}}\n\n",
    "{\n \"error\": {\"code\": 500}\n}\n",
    "error: x\n",
    "event: error\n",
    "data: {\"err",
    ": c\n",
    ": half a comment",
    "\n",
    "\u{feff}",
    "data\n\n",
    "id: 7\n",
    "  ",
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_split_reads_the_same(
        format in prop::sample::select(Format::ALL),
        fragments in prop::collection::vec(prop::sample::select(FRAGMENTS), 0..10),
        line_end in prop::sample::select(vec!["\n", "\r\n", "\r"]),
        noise in prop::collection::vec(any::<u8>(), 0..6),
        sizes in prop::collection::vec(1usize..40, 1..20),
        hides_usage in any::<bool>(),
    ) {
        let mut stream = fragments.concat().replace('\n', line_end).into_bytes();
        stream.extend(noise);
        let stream = Bytes::from(stream);
        let (whole, expected) = relay(format, hides_usage, &stream, &[stream.len().max(1)]);
        let (forwarded, reader) = relay(format, hides_usage, &stream, &sizes);
        prop_assert_eq!(reader.reading(), expected.reading());
        prop_assert_eq!(reader.is_ended(), expected.is_ended());
        prop_assert_eq!(&forwarded, &whole);
        if !hides_usage || format != Format::OpenaiChat {
            prop_assert_eq!(&forwarded[..], &stream[..]);
        }
    }

    #[test]
    fn any_body_is_survived(
        format in prop::sample::select(Format::ALL),
        fragments in prop::collection::vec(prop::sample::select(FRAGMENTS), 0..4),
        noise in prop::collection::vec(any::<u8>(), 0..20),
        cut in 0usize..200,
    ) {
        let text = fragments.concat().replace("data: ", "");
        for body in [text.as_bytes(), text.as_bytes().get(cut..).unwrap_or_default(), &noise] {
            let reading = read_body(format, body);
            prop_assert!(!(reading.completed && reading.error.is_some()));
            prop_assert_eq!(read_error(format, 500, body).status, Some(500));
            let _either_way = peek_at(format, PATH, &Bytes::copy_from_slice(body));
        }
    }

    #[test]
    fn a_rewritten_request_is_the_clients_but_for_what_had_to_change(
        format in prop::sample::select(Format::ALL),
        before in prop::collection::vec(prop::sample::select(MEMBERS), 0..5),
        after in prop::collection::vec(prop::sample::select(MEMBERS), 0..5),
        space in prop::sample::select(vec!["", " ", "\n\t"]),
        model in prop::sample::select(vec!["m", "a \"b\"", "\u{1f600}"]),
    ) {
        let named = format!("\"model\":{space}{}", Value::from(model));
        let members = [before.as_slice(), &[named.as_str()], &after].concat();
        let body = format!("{space}{{{space}{}{space}}}{space}", members.join(&format!("{space},")));
        let bytes = Bytes::from(body.clone());
        let peeked = peek_at(format, PATH, &bytes).unwrap();
        let rewritten = rewrite(&bytes, &peeked, "up");
        let mut expected: serde_json::Map<String, Value> = serde_json::from_str(&body).unwrap();
        if format != Format::Gemini {
            prop_assert_eq!(&peeked.model, model);
            expected.insert("model".to_owned(), "up".into());
        }
        if rewritten.hides_usage {
            prop_assert!(format == Format::OpenaiChat && peeked.stream);
            let options = expected.entry("stream_options").or_insert_with(|| json!({}));
            if options.is_null() {
                *options = json!({});
            }
            options["include_usage"] = true.into();
        } else if format == Format::OpenaiChat && peeked.stream {
            prop_assert!(!expected["stream_options"].is_object() || expected["stream_options"]["include_usage"] == true);
        }
        let actual: serde_json::Map<String, Value> = serde_json::from_slice(&rewritten.body).unwrap();
        prop_assert_eq!(actual, expected);
        // White space, order and spelling stay: without what was put in, the lengths agree.
        if !rewritten.hides_usage && format != Format::Gemini {
            let spelt = Value::from(model).to_string();
            prop_assert_eq!(rewritten.body, body.replacen(&named, &named.replace(&spelt, "\"up\""), 1));
        }
    }
}

/// Members of a request, in odd spellings.
const MEMBERS: &[&str] = &[
    "\"stream\":true",
    "\"stream\" : false",
    "\"messages\":[{\"model\":\"inner\",\"content\":\"\\\"model\\\":\"}]",
    "\"stream_options\":null",
    "\"stream_options\":{ }",
    "\"stream_options\":{\"include_usage\":true}",
    "\"stream_options\":{\"include_usage\":false,\"include_usage\":null, \"x\":1}",
    "\"stream_options\":{\"y\":{\"include_usage\":true}}",
    "\"stream_options\":7",
    "\"n\":1.50e2",
    "\"u\\u0073er\":\"\\u00e9}\"",
];

/// Where a JSON value that begins a text ends.
fn value_end(text: &[u8]) -> Option<usize> {
    Syntax::of(text).value_end(0)
}

/// JSON values of all kinds.
pub(super) fn values() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(|number| json!(number)),
        ".*".prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 40, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::vec((".*", inner), 0..6).prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn json_ends_where_serde_json_says(value in values(), is_pretty in any::<bool>(), cut in any::<prop::sample::Index>()) {
        let text = if is_pretty { serde_json::to_string_pretty(&value) } else { serde_json::to_string(&value) }.unwrap();
        prop_assert_eq!(value_end(text.as_bytes()), Some(text.len()));
        // Cut anywhere, it has no end, but for a number, which is one still.
        let cut = cut.index(text.len());
        if let Some(part) = text.get(..cut).filter(|_| !value.is_number()) {
            prop_assert_eq!(value_end(part.as_bytes()), None);
        }
    }

    #[test]
    fn whatever_serde_json_takes_as_json_has_an_end(bytes in prop::collection::vec(prop::sample::select(b"{}[]\",:\\ \n1-enulltrue".to_vec()), 0..40)) {
        let end = value_end(&bytes);
        let strict = serde_json::from_slice::<serde::de::IgnoredAny>(&bytes).is_ok();
        // Not the other way round: numbers and escapes are looked at less closely.
        prop_assert!(!strict || bytes.first() == Some(&b' ') || bytes.first() == Some(&b'\n')
            || end.is_some_and(|end| bytes.get(end..).unwrap().trim_ascii().is_empty()), "{:?}", bytes);
    }
}
