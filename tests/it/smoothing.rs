//! Smoothing, where it is asked for, deals out long texts and changes nothing else; the bill does not know of it.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde_json::json;
use tests::caller::read;
use tests::configuration::KEY_A;
use tests::provider::{Gate, Received, Reply, Step};
use tests::stack::{Plan, Stack};

/// A format: where its requests go, and a stream whose second event has a long text, with what becomes of that event in
/// pieces of five characters.
struct Case {
    format: &'static str,
    path: &'static str,
    before: &'static str,
    text: &'static str,
    pieces: &'static [&'static str],
    after: &'static str,
}

const CASES: &[Case] = &[
    Case {
        format: "anthropic",
        path: "/v1/messages",
        before: "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"msg_1\",\"role\":\"assistant\",\"model\":\"m\",\"usage\":{\"input_tokens\":7,\"output_tokens\":1}}}\n\n: ping\n\n",
        text: "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"Hello, world\"}}\n\n",
        pieces: &[
            "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"Hello\"}}\n\n",
            "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\", wor\"}}\n\n",
            "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"ld\"}}\n\n",
        ],
        after: "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":1,\"delta\":{\"type\":\"input_json_delta\",\"partial_json\":\"{\\\"city\\\":\\\"Paris\\\"}\"}}\n\nevent: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"},\"usage\":{\"output_tokens\":3}}\n\nevent: message_stop\ndata: {\"type\":\"message_stop\"}\n\n",
    },
    Case {
        format: "openai_chat",
        path: "/v1/chat/completions",
        before: ": PROCESSING\n\n",
        text: "id: 1\ndata: {\"id\":\"c\",\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"Hello, world\"},\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":7,\"completion_tokens\":3}}\n\n",
        pieces: &[
            "data: {\"id\":\"c\",\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"Hello\"},\"finish_reason\":null}],\"usage\":null}\n\n",
            "data: {\"id\":\"c\",\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\", wor\"},\"finish_reason\":null}],\"usage\":null}\n\n",
            "id: 1\ndata: {\"id\":\"c\",\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"ld\"},\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":7,\"completion_tokens\":3}}\n\n",
        ],
        after: "data: [DONE]\n\n",
    },
    Case {
        format: "openai_responses",
        path: "/v1/responses",
        before: "event: response.created\ndata: {\"type\":\"response.created\",\"sequence_number\":0,\"response\":{\"model\":\"m\",\"status\":\"in_progress\"}}\n\n",
        text: "event: response.output_text.delta\ndata: {\"type\":\"response.output_text.delta\",\"sequence_number\":1,\"delta\":\"Hello, world\",\"logprobs\":[]}\n\n",
        pieces: &[
            "event: response.output_text.delta\ndata: {\"type\":\"response.output_text.delta\",\"sequence_number\":1,\"delta\":\"Hello\",\"logprobs\":[]}\n\n",
            "event: response.output_text.delta\ndata: {\"type\":\"response.output_text.delta\",\"sequence_number\":1,\"delta\":\", wor\",\"logprobs\":[]}\n\n",
            "event: response.output_text.delta\ndata: {\"type\":\"response.output_text.delta\",\"sequence_number\":1,\"delta\":\"ld\",\"logprobs\":[]}\n\n",
        ],
        after: "event: response.output_text.done\ndata: {\"type\":\"response.output_text.done\",\"sequence_number\":2,\"text\":\"Hello, world\"}\n\nevent: response.completed\ndata: {\"type\":\"response.completed\",\"sequence_number\":3,\"response\":{\"model\":\"m\",\"status\":\"completed\",\"usage\":{\"input_tokens\":7,\"output_tokens\":3}}}\n\n",
    },
    Case {
        format: "gemini",
        path: "/v1beta/models/m-gemini:streamGenerateContent?alt=sse",
        before: "data: {\"candidates\": [{\"content\": {\"parts\": [{\"text\": \"Well\"}],\"role\": \"model\"},\"index\": 0}],\"modelVersion\": \"m\"}\n\n",
        text: "data: {\"candidates\": [{\"content\": {\"parts\": [{\"text\": \"Hello, world\"}],\"role\": \"model\"},\"finishReason\": \"STOP\",\"index\": 0}],\"usageMetadata\": {\"promptTokenCount\": 7,\"candidatesTokenCount\": 3,\"totalTokenCount\": 10},\"modelVersion\": \"m\"}\n\n",
        pieces: &[
            "data: {\"candidates\": [{\"content\": {\"parts\": [{\"text\": \"Hello\"}],\"role\": \"model\"},\"index\": 0}],\"modelVersion\": \"m\"}\n\n",
            "data: {\"candidates\": [{\"content\": {\"parts\": [{\"text\": \", wor\"}],\"role\": \"model\"},\"index\": 0}],\"modelVersion\": \"m\"}\n\n",
            "data: {\"candidates\": [{\"content\": {\"parts\": [{\"text\": \"ld\"}],\"role\": \"model\"},\"finishReason\": \"STOP\",\"index\": 0}],\"usageMetadata\": {\"promptTokenCount\": 7,\"candidatesTokenCount\": 3,\"totalTokenCount\": 10},\"modelVersion\": \"m\"}\n\n",
        ],
        after: "",
    },
];

impl Case {
    fn of(received: &Received) -> &'static Self {
        let path = received.uri.path();
        CASES.iter().find(|case| case.path.starts_with(path)).unwrap_or_else(|| panic!("nothing is served at {path}"))
    }

    /// What the client sends; Gemini has the rest in the path.
    fn request(&self) -> serde_json::Value {
        json!({ "model": format!("m-{}", self.format), "stream": true, "stream_options": { "include_usage": true },
            "max_tokens": 9, "messages": [], "input": "x", "contents": [] })
    }

    fn sent(&self) -> String {
        [self.before, self.text, self.after].concat()
    }

    fn smoothed(&self) -> String {
        [self.before, &self.pieces.concat(), self.after].concat()
    }
}

/// A model per format, and smoothing with this pause.
fn plan(delay: &str) -> Plan {
    let mut catalogue = format!(
        "[[clients]]\nname = \"team-a\"\nkey = {{ plain = \"{KEY_A}\" }}\n[[providers]]\nname = \"scripted\"\n"
    );
    for Case { format, .. } in CASES {
        catalogue += &format!(
            "[[providers.endpoints]]\nname = \"{format}\"\nformat = \"{format}\"\nbase_url = \"{{provider}}\"\n\
             max_retries = 0\n[[providers.endpoints.keys]]\nname = \"main\"\nsecret = {{ plain = \"upstream\" }}\n"
        );
    }
    for Case { format, .. } in CASES {
        catalogue += &format!("[[models]]\nname = \"m-{format}\"\n[[models.routes]]\nendpoint = \"{format}\"\n");
    }
    let gateway = format!("[gateway.smoothing]\nenabled = true\nchunk_chars = 5\ndelay = \"{delay}\"\n");
    Plan { gateway, catalogue, ..Plan::default() }
}

fn event_stream(steps: Vec<Step>) -> Reply {
    Reply::steps(200, "text/event-stream", steps)
}

#[tokio::test(flavor = "multi_thread")]
async fn long_texts_come_in_pieces_in_every_format_with_every_line_end() {
    let stack = Stack::planned(plan("1ms"), |received| {
        let line_end = received.header("x-line-end").unwrap().replace("LF", "\n").replace("CR", "\r");
        let stream = Case::of(received).sent().replace('\n', &line_end);
        let size = received.header("x-size").unwrap().parse().unwrap();
        event_stream(stream.as_bytes().chunks(size).map(|chunk| Step::Send(Bytes::copy_from_slice(chunk))).collect())
    })
    .await;
    let caller = stack.caller();
    let mut asked = BTreeMap::new();
    for case in CASES {
        for (line_end, name) in [("\n", "LF"), ("\r\n", "CRLF"), ("\r", "CR")] {
            for size in ["1", "17", "100000"] {
                let request = caller.post(case.path, case.request().to_string());
                let answer = read(request.header("x-line-end", name).header("x-size", size)).await;
                let told = format!("{} {name} {size}", case.format);
                assert_eq!((answer.status.as_u16(), answer.broken.as_deref()), (200, None), "{told}: {answer:?}");
                assert_eq!(answer.text(), case.smoothed().replace('\n', line_end), "{told}");
                asked.insert(answer.request_id(), (told, case.sent().replace('\n', line_end).len() as u64));
            }
        }
    }
    for (id, row) in stack.all_rows(asked.len()).await {
        let (told, sent) = &asked[&id];
        assert_eq!((row.outcome.as_str(), row.usage_source.as_str()), ("completed", "provider"), "{told}");
        assert_eq!((row.input_tokens, row.output_tokens), (Some(7), Some(3)), "{told}");
        // What is counted is the provider's answer, up to what marks its end.
        assert!((sent - 4..=*sent).contains(&row.response_bytes), "{told}: {} of {sent}", row.response_bytes);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_piece_comes_while_the_provider_is_still_silent() {
    let gate = Gate::closed();
    let script = gate.clone();
    let stack = Stack::planned(plan("1ms"), move |received| {
        let Case { before, text, after, .. } = Case::of(received);
        let send = |text: &str| Step::Send(text.replace('\n', "\r\n").into());
        event_stream(vec![send(before), send(text), Step::Await(script.clone()), send(after)])
    })
    .await;
    let caller = stack.caller();
    let mut streams = Vec::new();
    for case in CASES {
        let mut stream = caller.open(case.path, &case.request()).await;
        let seen = stream.until(&case.pieces[2].replace('\n', "\r\n")).await;
        assert_eq!(seen, [case.before, &case.pieces.concat()].concat().replace('\n', "\r\n"));
        streams.push((case, stream));
    }
    gate.open();
    for (case, mut stream) in streams {
        let (rest, broken) = stream.rest().await;
        assert_eq!((String::from_utf8(rest).unwrap(), broken), (case.after.replace('\n', "\r\n"), None));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_breaks_in_a_pause_is_recorded_as_broken_and_told_after_its_text() {
    // Much longer than smoothing ever waits: the pieces that are left come together when its patience ends.
    let stack = Stack::planned(plan("60s"), |received| {
        let Case { before, text, .. } = Case::of(received);
        event_stream(vec![Step::Send((*before).into()), Step::Send((*text).into()), Step::Cut])
    })
    .await;
    let caller = stack.caller();
    // Gemini's event says that it is the last: that answer is complete.
    for case in CASES.iter().filter(|case| ["anthropic", "openai_responses"].contains(&case.format)) {
        let mut stream = caller.open(case.path, &case.request()).await;
        let row = stack.row(stream.request_id()).await;
        assert_eq!((row.outcome.as_str(), row.error_class.as_str()), ("interrupted", "stream_cut"), "{row:?}");
        let (seen, broken) = stream.rest().await;
        let seen = String::from_utf8(seen).unwrap();
        let rest = seen.strip_prefix(&[case.before, case.pieces[0]].concat()).expect("the first piece at once");
        let late = case.text.replace("Hello, world", ", world");
        let error = rest.strip_prefix(late.as_str()).expect("the rest of the text in one piece");
        assert!(error.starts_with("event: ") && error.contains("error") && broken.is_none(), "{error:?} {broken:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_leaves_in_a_pause_is_noticed() {
    let stack = Stack::planned(
        Plan { gateway: format!("drain = {{ time = \"1s\" }}\n{}", plan("60s").gateway), ..plan("60s") },
        |received| {
            let Case { before, text, .. } = Case::of(received);
            event_stream(vec![Step::Send((*before).into()), Step::Send((*text).into()), Step::Stall])
        },
    )
    .await;
    let (caller, case) = (stack.caller(), &CASES[0]);
    let id = caller.leave_after(case.path, &case.request(), "Hello").await;
    let row = stack.row(id).await;
    assert_eq!((row.outcome.as_str(), row.error_class.as_str()), ("cancelled", "client_left"), "{row:?}");
}
