//! The simulator: sequences, faults, and a tally that agrees with what was sent.

mod dialects;

use std::time::Duration;

use futures_util::StreamExt;
use schemas::outcome::Format;
use serde_json::{Value, json};
use tokio::time::timeout;

use super::dialect::Names;
use super::frames::Frame;
use super::*;

fn body(model: &str, question: &str, extra: Value) -> Vec<u8> {
    let mut body = json!({"model": model, "max_tokens": 4096, "messages": [{"role": "user", "content": question}]});
    body.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
    body.to_string().into_bytes()
}

fn plan(format: Format, extra: Value) -> Plan {
    Simulator::new(Options::default())
        .plan(&address(format), &question(format, "How high is the water?", extra))
        .unwrap()
}

fn address(format: Format) -> Address {
    let path = match format {
        Format::Anthropic => "/v1/messages",
        Format::OpenaiChat => "/v1/chat/completions",
        Format::OpenaiResponses => "/v1/responses",
        Format::Gemini => "/v1beta/models/gemini-3.8-flash:streamGenerateContent",
    };
    Address::of(path, "alt=sse").unwrap()
}

/// A question in any dialect. `extra` is added as it is.
fn question(format: Format, text: &str, extra: Value) -> Vec<u8> {
    let asked = match format {
        Format::Anthropic | Format::OpenaiChat => return body("gpt-5", text, extra),
        Format::OpenaiResponses => json!({"model": "gpt-5", "input": text}),
        Format::Gemini => json!({"contents": [{"role": "user", "parts": [{"text": text}]}]}),
    };
    let mut asked = asked;
    asked.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
    asked.to_string().into_bytes()
}

fn frames(format: Format, plan: &Plan, with_usage: bool) -> Vec<Frame> {
    let options = Options { tokens_per_event: 3, ..Options::default() };
    dialect::stream(format, plan, &names(with_usage), &options)
}

fn names(with_usage: bool) -> Names<'static> {
    Names {
        id: "resp_1",
        model: "m",
        call_id: "call",
        created_s: 1,
        with_usage,
        shows_thought: true,
        framing: Framing::Events,
    }
}

fn data(frames: &[Frame]) -> Vec<Value> {
    let text: String = frames.iter().map(|frame| String::from_utf8(frame.bytes.to_vec()).unwrap()).collect();
    text.lines()
        .filter_map(|line| line.strip_prefix("data: "))
        .filter(|data| *data != "[DONE]")
        .map(|data| serde_json::from_str(data).unwrap())
        .collect()
}

fn text_of(value: &Value) -> Value {
    serde_json::from_str(value.as_str().unwrap()).unwrap()
}

const FORMATS: [Format; 4] = [Format::Anthropic, Format::OpenaiChat, Format::OpenaiResponses, Format::Gemini];

/// Every kind of answer: text, thought, cut by the limit, a call, cached prompts.
fn kinds(format: Format) -> Vec<Value> {
    let long = "x".repeat(9000);
    match format {
        Format::Anthropic | Format::OpenaiChat => {
            let tools = json!([{"name": "forecast", "function": {"name": "forecast"}}]);
            let system = json!([{"type": "text", "text": long, "cache_control": {"type": "ephemeral", "ttl": "1h"}}]);
            vec![
                json!({}),
                json!({"thinking": {"type": "enabled"}}),
                json!({"max_tokens": 3}),
                json!({"tools": tools, "tool_choice": {"type": "any"}}),
                json!({"system": system}),
            ]
        }
        Format::OpenaiResponses => vec![
            json!({}),
            json!({"reasoning": {"summary": "auto"}}),
            json!({"max_output_tokens": 3}),
            json!({"tools": [{"type": "function", "name": "forecast"}], "tool_choice": "required"}),
            json!({"instructions": long}),
        ],
        Format::Gemini => {
            let must = json!({"functionCallingConfig": {"mode": "ANY"}});
            vec![
                json!({}),
                json!({"generationConfig": {"thinkingConfig": {"includeThoughts": true}}}),
                json!({"generationConfig": {"maxOutputTokens": 3}}),
                json!({"tools": [{"functionDeclarations": [{"name": "forecast"}]}], "toolConfig": must}),
                json!({"system_instruction": {"parts": [{"text": long}]}}),
            ]
        }
    }
}

#[test]
fn an_answer_depends_on_the_question_and_not_on_how_it_is_asked() {
    let simulator = Simulator::new(Options::default());
    let of =
        |model, question, extra| simulator.plan(&address(Format::OpenaiChat), &body(model, question, extra)).unwrap();
    let plain = of("gpt-4o", "Why?", json!({}));
    assert_eq!(plain, of("gpt-4o-mini", "Why?", json!({"stream": true, "stream_options": {"include_usage": true}})));
    assert_ne!(plain.content, of("gpt-4o", "Why not?", json!({})).content);
    let reseeded = Simulator::new(Options { seed: 1, ..Options::default() });
    assert_ne!(
        plain.content,
        reseeded.plan(&address(Format::OpenaiChat), &body("gpt-4o", "Why?", json!({}))).unwrap().content
    );
}

#[test]
fn what_is_billed_is_what_is_sent() {
    for format in FORMATS {
        for extra in kinds(format) {
            let plan = plan(format, extra.clone());
            let sent: u64 = frames(format, &plan, true).iter().map(|frame| frame.tokens).sum();
            assert_eq!(Some(sent), plan.usage.output, "{format} {extra}");
            let usage = plan.usage;
            let parts = usage.fresh_input.unwrap()
                + usage.cache_read.unwrap()
                + usage.cache_write_5m.unwrap()
                + usage.cache_write_1h.unwrap();
            assert_eq!(Some(parts), usage.input, "{format} {extra}");
        }
    }
    let cached = plan(Format::Anthropic, kinds(Format::Anthropic).remove(4)).usage;
    assert!(cached.cache_read > Some(0) || cached.cache_write_1h > Some(0));
}

#[test]
fn the_clients_limit_holds() {
    let plan = plan(Format::Anthropic, json!({"max_tokens": 3, "thinking": {"type": "enabled"}}));
    assert_eq!((plan.usage.output, plan.stop), (Some(3), Stop::Length));
}

#[test]
fn anthropic_events_come_in_their_order() {
    let plan = plan(Format::Anthropic, json!({"thinking": {"type": "enabled"}}));
    let events = data(&frames(Format::Anthropic, &plan, true));
    let mut kinds: Vec<&str> = events.iter().map(|event| event["type"].as_str().unwrap()).collect();
    kinds.dedup();
    let block = ["content_block_delta", "content_block_stop"];
    let expected = [
        &["message_start", "content_block_start", "ping"][..],
        &block,
        &["content_block_start"],
        &block,
        &["message_delta", "message_stop"],
    ]
    .concat();
    assert_eq!(kinds, expected);
    let text: String = events.iter().filter_map(|event| event["delta"]["text"].as_str()).collect();
    let Content::Text(tokens) = &plan.content else { panic!("no text") };
    assert_eq!(text, tokens.concat());
    let told = &events[events.len() - 2]["usage"];
    assert_eq!(told["output_tokens"].as_u64(), plan.usage.output);
    assert_eq!(told["output_tokens_details"]["thinking_tokens"].as_u64(), plan.usage.reasoning);
    assert_eq!(told["input_tokens"], events[0]["message"]["usage"]["input_tokens"]);
    assert!(
        !frames(Format::Anthropic, &plan, false)
            .iter()
            .any(|frame| frame.bytes.windows(7).any(|part| part == b"\"usage\""))
    );
}

#[test]
fn openai_tells_usage_only_when_asked_and_then_in_its_own_chunk() {
    let plan = plan(Format::OpenaiChat, json!({}));
    let chunks = data(&frames(Format::OpenaiChat, &plan, true));
    let (last, others) = chunks.split_last().unwrap();
    assert_eq!(last["choices"], json!([]));
    assert_eq!(last["usage"]["completion_tokens"].as_u64(), plan.usage.output);
    assert!(others.iter().all(|chunk| chunk.get("usage") == Some(&Value::Null)));
    let silent = data(&frames(Format::OpenaiChat, &plan, false));
    assert_eq!(silent.len(), others.len());
    assert!(silent.iter().all(|chunk| chunk.get("usage").is_none()));
    assert_eq!(silent.last().unwrap()["choices"][0]["finish_reason"], "stop");
}

#[test]
fn a_call_has_arguments_that_are_json_in_every_dialect() {
    let arguments = |format: Format| {
        let body = dialect::body(format, &plan(format, kinds(format).remove(3)), &names(true));
        match format {
            Format::Anthropic => body["content"][0]["input"].clone(),
            Format::OpenaiChat => text_of(&body["choices"][0]["message"]["tool_calls"][0]["function"]["arguments"]),
            Format::OpenaiResponses => text_of(&body["output"][1]["arguments"]),
            Format::Gemini => body["candidates"][0]["content"]["parts"][1]["functionCall"]["args"].clone(),
        }
    };
    for format in FORMATS {
        assert_eq!(arguments(format), json!({"location": "Zürich", "days": 3}), "{format}");
    }
}

#[test]
fn faults_are_read_as_they_are_written() {
    for text in [
        "error-529",
        "error-429-7",
        "html",
        "drop",
        "hang",
        "silent",
        "cut",
        "stall",
        "stream-error",
        "early-error",
        "slow",
        "no-usage",
    ] {
        assert_eq!(text.parse::<Fault>().unwrap().to_string(), text);
        assert_eq!(Fault::of_model(&format!("claude-opus-4-5-sim-{text}")), Fault::of_model(&format!("sim-{text}")));
    }
    assert_eq!(Fault::of_model("claude-opus-4-5"), Ok(None));
    assert_eq!(Fault::of_model("passim-cut"), Ok(None));
    for text in ["error-200", "error-600", "error-", "error-429-x", "", "cuts"] {
        assert!(text.parse::<Fault>().is_err(), "{text}");
    }
}

#[test]
fn bad_requests_are_refused_as_the_provider_refuses_them() {
    let refusal = |format, body: &[u8]| Ask::read(&address(format), body).unwrap_err();
    assert_eq!(refusal(Format::Anthropic, b"{").status, 400);
    assert!(refusal(Format::Anthropic, br#"{"model":"m","messages":[{}]}"#).message.contains("max_tokens"));
    assert!(refusal(Format::OpenaiChat, br#"{"model":"m","messages":[]}"#).message.contains("messages"));
    assert!(refusal(Format::OpenaiChat, br#"{"messages":[{}]}"#).message.contains("model"));
    assert!(refusal(Format::OpenaiResponses, br#"{"model":"m","input":""}"#).message.contains("input"));
    assert!(refusal(Format::Gemini, br#"{"contents":[]}"#).message.contains("contents"));
    assert!(Ask::read(&address(Format::OpenaiChat), br#"{"model":"m","messages":[{}]}"#).is_ok());
}

/// A simulator on a real socket.
struct Served {
    simulator: Simulator,
    base: String,
    client: reqwest::Client,
    stop: CancellationToken,
}

impl Drop for Served {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Served {
    async fn start(options: Options) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let (simulator, stop) = (Simulator::new(options), CancellationToken::new());
        let (server, stopped) = (simulator.clone(), stop.clone());
        tokio::spawn(async move { server.serve(listener, stopped).await });
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        Self { simulator, base, client, stop }
    }

    async fn ask(&self, model: &str, stream: bool) -> reqwest::Result<reqwest::Response> {
        let body = body(model, "Hello?", json!({"stream": stream}));
        let request = self.client.post(format!("{}/v1/messages", self.base)).header("anthropic-version", "2023-06-01");
        request.body(body).send().await
    }

    /// The tally, as soon as `count` requests have ended.
    async fn tally(&self, count: u64) -> Tally {
        let ended = async {
            loop {
                let tally = self.simulator.tally();
                if tally.requests >= count && tally.running == 0 {
                    return tally;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(Duration::from_secs(10), ended).await.expect("the requests did not end in the tally")
    }
}

#[tokio::test]
async fn every_ending_is_in_the_tally() {
    let served = Served::start(Options::default()).await;
    let whole = served.ask("claude-sonnet-4-5", true).await.unwrap();
    let request_id = whole.headers()["request-id"].to_str().unwrap().to_owned();
    assert!(whole.text().await.unwrap().ends_with("data: {\"type\":\"message_stop\"}\n\n"));
    assert_eq!(served.ask("claude-sonnet-4-5", false).await.unwrap().status(), 200);
    let busy = served.ask("sim-error-429-7", true).await.unwrap();
    assert_eq!((busy.status().as_u16(), busy.headers()["retry-after"].to_str().unwrap()), (429, "7"));
    assert_eq!(served.ask("sim-html", true).await.unwrap().status(), 502);
    assert!(served.ask("sim-drop", true).await.is_err());
    assert!(served.ask("sim-cut", true).await.unwrap().text().await.is_err());
    assert!(served.ask("sim-cut", false).await.unwrap().text().await.is_err());
    let broken = served.ask("sim-stream-error", true).await.unwrap().text().await.unwrap();
    assert!(broken.contains("event: error") && !broken.contains("message_stop"));

    let tally = served.tally(8).await;
    let count = |ending| tally.endings.get(&ending).copied().unwrap_or(0);
    assert_eq!([Ending::Completed, Ending::Refused, Ending::Broken, Ending::Aborted].map(count), [2, 2, 4, 0]);
    let first = &tally.answers[0];
    let plan =
        served.simulator.plan(&address(Format::Anthropic), &body("claude-sonnet-4-5", "Hello?", json!({}))).unwrap();
    assert_eq!((first.request_id.as_str(), first.usage, first.usage_reported), (request_id.as_str(), plan.usage, true));
    assert_eq!(tally.models["claude-sonnet-4-5"].output, 2 * plan.usage.output.unwrap());
    let cut = tally.answers.iter().find(|answer| answer.fault.as_deref() == Some("cut")).unwrap();
    assert!(cut.usage.output < plan.usage.output && !cut.usage_reported);

    let over_http: Tally =
        served.client.get(format!("{}/tally", served.base)).send().await.unwrap().json().await.unwrap();
    assert_eq!(over_http, tally);
}

#[tokio::test]
async fn a_client_that_leaves_pays_for_what_was_made_until_then() {
    let served = Served::start(Options { per_token: Duration::from_millis(20), ..Options::default() }).await;
    let mut stream = served.ask("claude-sonnet-4-5", true).await.unwrap().bytes_stream();
    let mut seen = String::new();
    while !seen.contains("text_delta") {
        seen.push_str(&String::from_utf8_lossy(&stream.next().await.unwrap().unwrap()));
    }
    drop(stream);
    let tally = served.tally(1).await;
    let whole = served.simulator.plan(&address(Format::Anthropic), &body("m", "Hello?", json!({}))).unwrap().usage;
    let answer = &tally.answers[0];
    assert_eq!((answer.ending, answer.usage.input), (Ending::Aborted, whole.input));
    assert!(answer.usage.output > Some(0) && answer.usage.output < whole.output);
}

#[tokio::test]
async fn what_stalls_ends_when_the_client_leaves() {
    let served = Served::start(Options::default()).await;
    for (model, stream) in [("sim-hang", true), ("sim-stall", false)] {
        let unanswered = timeout(Duration::from_millis(100), served.ask(model, stream)).await;
        assert!(unanswered.is_err(), "{model} answered");
    }
    for model in ["sim-silent", "sim-stall"] {
        let endless = served.ask(model, true).await.unwrap().text();
        assert!(timeout(Duration::from_millis(100), endless).await.is_err(), "{model} ended");
    }
    assert_eq!(served.tally(4).await.endings, [(Ending::Broken, 4)].into());
}

#[tokio::test]
async fn only_the_right_key_is_let_in() {
    let served = Served::start(Options { key: Some("sk-ours".to_owned()), ..Options::default() }).await;
    assert_eq!(served.ask("m", false).await.unwrap().status(), 401);
    let chat = format!("{}/v1/chat/completions", served.base);
    let request = served.client.post(chat).bearer_auth("sk-ours").body(body("m", "Hello?", json!({})));
    assert_eq!(request.send().await.unwrap().status(), 200);
}
