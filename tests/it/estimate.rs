//! Where the provider reports no usage, an estimate stands in its place and says that it is one.

use bytes::Bytes;
use reqwest::Method;
use schemas::outcome::Format;
use serde_json::json;
use tests::answers::{Tokens, events, openai_events, streaming_request, unnamed};
use tests::caller::{Caller, read};
use tests::provider::{Received, Reply, Step};
use tests::stack::{Plan, Row, Stack};

const TOKENS: Tokens = Tokens { input: 33, cache_read: 0, cache_write_5m: 0, cache_write_1h: 0, output: 9 };
/// Ten words, each a token of OpenAI's.
const WORDS: [&str; 10] = ["one", " two", " three", " four", " five", " six", " seven", " eight", " nine", " ten"];
/// Six tokens; with the frame of one message thirteen.
const QUESTION: &str = "Count to ten, please.";

fn format_of(received: &Received) -> Format {
    match received.uri.path() {
        path if path.ends_with("/messages") => Format::Anthropic,
        path if path.ends_with("/chat/completions") => Format::OpenaiChat,
        path if path.ends_with("/responses") => Format::OpenaiResponses,
        _ => Format::Gemini,
    }
}

fn tokens(row: &Row) -> (Option<u64>, Option<u64>, &str) {
    (row.input_tokens, row.output_tokens, row.usage_source.as_str())
}

/// Asks each model once; the rows come back in order.
async fn ask(stack: &Stack, requests: &[(Format, &str)]) -> Vec<Row> {
    let caller = stack.caller();
    let mut rows = Vec::new();
    for (format, model) in requests {
        let (path, body) = streaming_request(*format, model, QUESTION);
        rows.push(stack.row(caller.send(&path, &body).await.request_id()).await);
    }
    rows
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_without_usage_is_counted_by_the_models_own_vocabulary() {
    let stack = Stack::start(|received| match received.json()["stream"] == json!(true) {
        true => Reply::events(openai_events("gpt-4o-mini-2024-07-18", TOKENS, &WORDS, false)),
        false => {
            let message = json!({ "role": "assistant", "content": WORDS.concat() });
            let choices = json!([{ "index": 0, "message": message, "finish_reason": "stop" }]);
            let body = json!({ "id": "c", "object": "chat.completion", "model": "gpt-4o-mini", "choices": choices });
            Reply::whole(200, "application/json", body.to_string())
        }
    })
    .await;
    let (path, mut body) = streaming_request(Format::OpenaiChat, "small", QUESTION);
    for stream in [true, false] {
        body["stream"] = json!(stream);
        let answer = stack.caller().send(&path, &body).await;
        let row = stack.row(answer.request_id()).await;
        assert_eq!(tokens(&row), (Some(13), Some(10), "estimated"), "{row:?}");
        assert_eq!((row.outcome.as_str(), row.fresh_input_tokens), ("completed", Some(13)), "{row:?}");
        assert_eq!((row.raw_usage.as_str(), row.cache_read_tokens, row.reasoning_tokens), ("", None, None), "{row:?}");
        // 13 x 0.15 + 10 x 0.60, per million.
        assert_eq!(row.cost_usd.as_deref(), Some("0.00000795"), "{row:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_broken_answer_had_said_is_counted_in_every_format() {
    let plan = Plan { gateway: "[gateway.timeouts]\nidle = \"1s\"\n".to_owned(), ..Plan::default() };
    let stack = Stack::planned(plan, |received| {
        let all = events(format_of(received), "a-model", TOKENS, &WORDS);
        let said = all.iter().position(|event| String::from_utf8_lossy(event).contains("\" ten\"")).unwrap();
        let mut steps: Vec<Step> = all.into_iter().take(said + 1).map(Step::Send).collect();
        steps.push(Step::Cut);
        Reply::steps(200, "text/event-stream", steps)
    })
    .await;
    let models = [
        (Format::Anthropic, "sonnet"),
        (Format::OpenaiChat, "small"),
        (Format::OpenaiResponses, "gpt-4o-mini"),
        (Format::Gemini, "gemini-2.5-flash"),
    ];
    for (row, (format, _)) in ask(&stack, &models).await.iter().zip(models) {
        let expected = match format {
            // The provider had told the input, and of the output a placeholder: ten words by the rule.
            Format::Anthropic | Format::Gemini => (Some(33), Some(13), "estimated"),
            Format::OpenaiChat | Format::OpenaiResponses => (Some(13), Some(10), "estimated"),
        };
        assert_eq!((row.outcome.as_str(), tokens(row)), ("interrupted", expected), "{format}: {row:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_said_nothing_stays_without_numbers() {
    let stack = Stack::start(|_| {
        let role = json!({ "choices": [{ "index": 0, "delta": { "role": "assistant", "content": "" } }] });
        Reply::steps(200, "text/event-stream", vec![Step::Send(unnamed(&role)), Step::Cut])
    })
    .await;
    for row in ask(&stack, &[(Format::OpenaiChat, "small")]).await {
        assert_eq!((row.outcome.as_str(), tokens(&row)), ("failed", (None, None, "none")), "{row:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_provider_counted_is_never_touched() {
    let stack = Stack::start(|received| {
        Reply::events(events(format_of(received), "gpt-4o", Tokens { input: 1, output: 1, ..TOKENS }, &WORDS))
    })
    .await;
    let all = [(Format::Anthropic, "sonnet"), (Format::OpenaiChat, "small"), (Format::OpenaiResponses, "gpt-4o-mini")];
    for row in ask(&stack, &all).await {
        assert_eq!(tokens(&row), (Some(1), Some(1), "provider"), "{row:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn events_that_cannot_be_read_are_passed_on_and_counted() {
    let stack = Stack::start(|_| {
        let mut events = openai_events("gpt-4o-mini-2024-07-18", TOKENS, &WORDS, true);
        events.insert(3, Bytes::from_static(b"data: {\"usage\":{\n\n"));
        Reply::events(events)
    })
    .await;
    let row = ask(&stack, &[(Format::OpenaiChat, "small")]).await.remove(0);
    assert_eq!((row.outcome.as_str(), tokens(&row)), ("completed", (Some(33), Some(9), "provider")), "{row:?}");
    let ops = Caller::new(&stack.gateway.as_ref().unwrap().ops_url, "");
    let metrics = read(ops.anonymous(Method::GET, "/metrics")).await.text();
    assert!(metrics.contains("\nweir_unreadable_events_total 1\n"), "{metrics}");
}
