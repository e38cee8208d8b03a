//! A request of any shape is survived; one that is rewritten differs in what had to change and in nothing else.

#![no_main]

use bytes::Bytes;
use gateway::estimate::{Prompt, Scheme, prompt_tokens};
use gateway::formats::{peek_at, rewrite};
use libfuzzer_sys::fuzz_target;
use schemas::outcome::Format;
use serde_json::{Map, Value};

const PATH: &str = "/v1beta/models/in-path:streamGenerateContent";

fuzz_target!(|input: &[u8]| {
    let Some((choice, body)) = input.split_first() else { return };
    let format = Format::ALL[usize::from(*choice) % Format::ALL.len()];
    let body = Bytes::copy_from_slice(body);
    assert!(prompt_tokens(Scheme::Rule, Prompt::new(format, body.clone())) > 0);
    let Ok(peeked) = peek_at(format, PATH, &body) else { return };
    let rewritten = rewrite(&body, &peeked, "up\"s");
    if format == Format::Gemini {
        return assert_eq!(rewritten.body, body);
    }
    // What serde_json as a map cannot hold (numbers beyond its range, lone surrogates) is passed on all the same.
    let Ok(mut expected) = serde_json::from_slice::<Map<String, Value>>(&body) else { return };
    let mut actual: Map<String, Value> = serde_json::from_slice(&rewritten.body).expect("still a JSON object");
    assert_eq!(actual.remove("model"), Some("up\"s".into()));
    expected.remove("model");
    if rewritten.hides_usage {
        assert_eq!(actual["stream_options"]["include_usage"], Value::Bool(true));
        actual.remove("stream_options");
        expected.remove("stream_options");
    }
    assert_eq!(actual, expected);
    let again = peek_at(format, PATH, &rewritten.body).expect("still a request");
    assert_eq!(again.model, "up\"s");
    assert_eq!(rewrite(&rewritten.body, &again, "up\"s").body, rewritten.body);
});
