//! An error inside a success moves on in every format, be it the first event or one after a preamble.

use bytes::Bytes;
use schemas::outcome::Format;
use serde_json::{Value, json};
use tests::answers::{self, unnamed};
use tests::configuration::KEY_A;
use tests::provider::{Received, Reply};
use tests::stack::{Plan, Stack};

use super::{FALLBACK, PRIMARY, candidates, model};

/// Where the error stands.
const PLACES: [&str; 3] = ["first", "late", "whole"];

fn error(format: Format) -> Value {
    match format {
        Format::Anthropic => json!({ "type": "error", "error": { "type": "overloaded_error", "message": "m" } }),
        Format::OpenaiChat => json!({ "error": { "type": "server_error", "message": "m" } }),
        Format::OpenaiResponses => json!({ "type": "error", "error": { "type": "server_error", "message": "m" } }),
        Format::Gemini => json!({ "error": { "code": 503, "status": "UNAVAILABLE", "message": "m" } }),
    }
}

/// What a stream says before it says anything: who speaks, pings, counts.
fn preamble(format: Format) -> Vec<Bytes> {
    let events = answers::events(format, "primary-model", PRIMARY, &["one "]);
    let count = match format {
        Format::Anthropic => 3,
        Format::OpenaiChat => 1,
        Format::OpenaiResponses => 4,
        Format::Gemini => return vec![unnamed(&json!({ "usageMetadata": { "promptTokenCount": 11 } }))],
    };
    events.into_iter().take(count).collect()
}

fn answer(received: &Received) -> Reply {
    let endpoint = received.uri.path().split('/').nth(1).unwrap();
    let [format, place, side] = endpoint.split('-').collect::<Vec<_>>()[..] else { panic!("{endpoint}") };
    let format: Format = format.parse().unwrap();
    match (side, place) {
        ("primary", "whole") => Reply::whole(200, "application/json", error(format).to_string()),
        ("primary", "first") => Reply::events(vec![unnamed(&error(format))]),
        ("primary", _) => {
            let mut events = preamble(format);
            events.push(unnamed(&error(format)));
            Reply::events(events)
        }
        _ => Reply::events(answers::events(format, "fallback-model", FALLBACK, &["one ", "two"])),
    }
}

fn catalogue() -> String {
    let mut catalogue = format!("[[clients]]\nname = \"team-a\"\nkey = {{ plain = \"{KEY_A}\" }}\n");
    for format in Format::ALL {
        for place in PLACES {
            let name = format!("{format}-{place}");
            for (side, priority) in [("primary", 1), ("fallback", 2)] {
                catalogue += &format!(
                    "[[providers]]\nname = \"{name}-{side}\"\npriority = {priority}\n[[providers.endpoints]]\n\
                     name = \"{name}-{side}\"\nformat = \"{format}\"\nbase_url = \"{{provider}}/{name}-{side}\"\n"
                );
            }
            catalogue += &model(&name, &["primary", "fallback"]);
        }
    }
    catalogue
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_inside_a_success_moves_on_in_every_format() {
    let stack = Stack::planned(Plan { catalogue: catalogue(), ..Plan::default() }, answer).await;
    for (format, place) in Format::ALL.iter().flat_map(|format| PLACES.map(|place| (*format, place))) {
        let name = format!("{format}-{place}");
        let (path, body) = answers::streaming_request(format, &name, "Hello");
        let answer = stack.caller().send(&path, &body).await;
        let text = answer.text();
        assert_eq!(answer.status, 200, "{name}: {text}");
        assert!(text.contains("two") && !text.contains("error\":{"), "{name}: {text}");
        let row = stack.row(answer.request_id()).await;
        let told = (row.outcome.as_str(), row.endpoint.clone(), row.attempts, row.output_tokens);
        assert_eq!(told, ("completed", format!("{name}-fallback"), 3, Some(FALLBACK.output)), "{row:?}");
        let received = stack.provider.received();
        let asked: Vec<String> = received
            .iter()
            .filter_map(|one| one.uri.path().split('/').nth(1))
            .filter(|endpoint| endpoint.starts_with(&format!("{name}-")))
            .map(str::to_owned)
            .collect();
        let rows = candidates(&stack, answer.request_id(), asked.len()).await;
        assert_eq!(rows.iter().map(|row| row.endpoint.clone()).collect::<Vec<_>>(), asked, "{name}");
        assert!(rows.iter().all(|row| row.status == Some(200)), "{name}: {rows:?}");
    }
}
