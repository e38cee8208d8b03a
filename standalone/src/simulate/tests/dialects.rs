//! Responses and Gemini: the order of their events, their counts, and their framing.

use super::*;

#[test]
fn responses_events_come_in_their_order_and_are_numbered() {
    let plan = plan(Format::OpenaiResponses, json!({"reasoning": {"summary": "auto"}}));
    let events = data(&frames(Format::OpenaiResponses, &plan, true));
    let numbers: Vec<u64> = events.iter().map(|event| event["sequence_number"].as_u64().unwrap()).collect();
    assert_eq!(numbers, (0..events.len() as u64).collect::<Vec<_>>());
    let mut kinds: Vec<&str> = events.iter().map(|event| event["type"].as_str().unwrap()).collect();
    kinds.dedup();
    let expected = [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.reasoning_summary_part.added",
        "response.reasoning_summary_text.delta",
        "response.reasoning_summary_text.done",
        "response.reasoning_summary_part.done",
        "response.output_item.done",
        "response.output_item.added",
        "response.content_part.added",
        "response.output_text.delta",
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.completed",
    ];
    assert_eq!(kinds, expected);
    let whole = &events.last().unwrap()["response"];
    assert_eq!(*whole, dialect::body(Format::OpenaiResponses, &plan, &names(true)));
    let told = &whole["usage"];
    assert_eq!(told["output_tokens"].as_u64(), plan.usage.output);
    assert_eq!(told["output_tokens_details"]["reasoning_tokens"].as_u64(), plan.usage.reasoning);
    let deltas = events.iter().filter(|event| event["type"] == "response.output_text.delta");
    let text: String = deltas.filter_map(|event| event["delta"].as_str()).collect();
    assert_eq!(whole["output"][1]["content"][0]["text"], text);
}

#[test]
fn an_answer_that_the_limit_cuts_says_so_in_every_dialect() {
    for (format, pointer, reason) in [
        (Format::Anthropic, "/stop_reason", "max_tokens"),
        (Format::OpenaiChat, "/choices/0/finish_reason", "length"),
        (Format::OpenaiResponses, "/incomplete_details/reason", "max_output_tokens"),
        (Format::Gemini, "/candidates/0/finishReason", "MAX_TOKENS"),
    ] {
        let body = dialect::body(format, &plan(format, kinds(format).remove(2)), &names(true));
        assert_eq!(body.pointer(pointer).unwrap(), reason, "{format}");
    }
}

#[test]
fn every_gemini_chunk_tells_what_was_used_until_then() {
    let plan = plan(Format::Gemini, json!({}));
    assert!(plan.usage.reasoning > Some(0));
    for shows_thought in [false, true] {
        let names = Names { shows_thought, ..names(true) };
        let frames = dialect::stream(Format::Gemini, &plan, &names, &Options::default());
        let mut made = 0;
        for (frame, chunk) in frames.iter().zip(data(&frames)) {
            assert!(frame.bytes.ends_with(b"}\r\n\r\n"));
            made += frame.tokens;
            let told = |name| chunk["usageMetadata"][name].as_u64().unwrap_or(0);
            assert_eq!(told("candidatesTokenCount") + told("thoughtsTokenCount"), made);
            assert_eq!(Some(told("totalTokenCount")), plan.usage.input.map(|input| input + made));
        }
        assert_eq!(Some(made), plan.usage.output);
        let last = data(&frames).pop().unwrap();
        assert_eq!(last["usageMetadata"]["thoughtsTokenCount"].as_u64(), plan.usage.reasoning);
        assert_eq!(last["candidates"][0]["finishReason"], "STOP");
    }
}

#[test]
fn a_gemini_stream_without_sse_is_one_array_even_when_it_breaks() {
    let plan = plan(Format::Gemini, json!({}));
    let array = Names { framing: Framing::Array, ..names(true) };
    let mut frames = dialect::stream(Format::Gemini, &plan, &array, &Options::default());
    let text = |frames: &[Frame]| -> String {
        frames.iter().map(|frame| std::str::from_utf8(&frame.bytes).unwrap()).collect()
    };
    let whole: Vec<Value> = serde_json::from_str(&text(&frames)).unwrap();
    assert_eq!(whole, data(&dialect::stream(Format::Gemini, &plan, &names(true), &Options::default())));
    for kept in [0, 1, frames.len() / 2] {
        frames.truncate(kept.max(1));
        let sent = if kept == 0 { 0 } else { frames.len() };
        let error = dialect::error_event(Format::Gemini, Framing::Array, sent);
        let broken: Vec<Value> = serde_json::from_str(&(text(frames.get(..sent).unwrap()) + &text(&error))).unwrap();
        assert_eq!(broken.last().unwrap()["error"]["status"], "UNAVAILABLE");
        frames = dialect::stream(Format::Gemini, &plan, &array, &Options::default());
    }
}

#[test]
fn gemini_paths_are_read_and_others_are_not() {
    let of = |path: &str, query: &str| {
        Address::of(path, query).map(|at| (at.model.unwrap(), at.stream, at.framing, at.counts))
    };
    let model = "gemini-3.8-flash".to_owned();
    let path = |action: &str| format!("/v1beta/models/{model}:{action}");
    let events = Framing::Events;
    assert_eq!(of(&path("generateContent"), ""), Some((model.clone(), Some(false), events, false)));
    assert_eq!(of(&path("countTokens"), "key=k"), Some((model.clone(), Some(false), events, true)));
    assert_eq!(of(&path("streamGenerateContent"), "key=k&alt=sse"), Some((model.clone(), Some(true), events, false)));
    assert_eq!(of(&path("streamGenerateContent"), ""), Some((model.clone(), Some(true), Framing::Array, false)));
    assert_eq!(of(&path("embedContent"), ""), None);
    let stable = path("generateContent").replace("v1beta", "v1");
    assert_eq!(of(&stable, ""), of(&path("generateContent"), ""));
    assert_eq!(of("/v1beta/models/gemini-3.8-flash", ""), None);
}

/// Asks every dialect's streaming endpoint for a fault, over a socket.
#[tokio::test]
async fn an_error_in_place_of_the_first_event_comes_under_status_200_and_is_not_billed() {
    let served = Served::start(Options::default()).await;
    for format in FORMATS {
        let path = match format {
            Format::Anthropic => "/v1/messages",
            Format::OpenaiChat => "/v1/chat/completions",
            Format::OpenaiResponses => "/v1/responses",
            Format::Gemini => "/v1beta/models/gemini-3.8-flash:streamGenerateContent?alt=sse",
        };
        let request = served.client.post(format!("{}{path}", served.base)).header("anthropic-version", "2023-06-01");
        let body = question(format, "Hello?", json!({"stream": true}));
        let answer = request.header(HEADER, "early-error").body(body).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{format}");
        assert!(answer.headers()["content-type"].to_str().unwrap().starts_with("text/event-stream"));
        let events = answer.text().await.unwrap();
        assert!(events.contains("\"error\"") && !events.contains("delta"), "{format}: {events}");
    }
    let tally = served.tally(4).await;
    assert_eq!(tally.endings, [(Ending::Refused, 4)].into());
    assert!(tally.answers.iter().all(|answer| !answer.usage.is_known()));
}

#[tokio::test]
async fn a_gemini_stream_that_is_cut_has_told_what_it_cost() {
    let served = Served::start(Options::default()).await;
    let url = format!("{}/v1beta/models/gemini-3.8-flash:streamGenerateContent?alt=sse", served.base);
    let request = served.client.post(url).header(HEADER, "cut").body(question(Format::Gemini, "Hello?", json!({})));
    let mut stream = request.send().await.unwrap().bytes_stream();
    let mut seen = Vec::new();
    while let Some(Ok(chunk)) = stream.next().await {
        seen.extend_from_slice(&chunk);
    }
    let text = String::from_utf8(seen).unwrap();
    let last: Value = serde_json::from_str(text.trim_end().rsplit("data: ").next().unwrap()).unwrap();
    let tally = served.tally(1).await;
    let answer = &tally.answers[0];
    assert!(answer.usage_reported && answer.ending == Ending::Broken);
    let told = |name| last["usageMetadata"][name].as_u64().unwrap_or(0);
    assert_eq!(answer.usage.output, Some(told("candidatesTokenCount") + told("thoughtsTokenCount")));
}

#[tokio::test]
async fn tokens_are_counted_and_models_listed_in_each_dialect() {
    let served = Served::start(Options::default()).await;
    let send =
        async |request: reqwest::RequestBuilder| -> Value { request.send().await.unwrap().json().await.unwrap() };
    let at = |path: &str| format!("{}{path}", served.base);
    let asked = question(Format::Gemini, "How high is the water?", json!({}));
    let counted = send(served.client.post(at("/v1beta/models/gemini-3.8-flash:countTokens")).body(asked.clone())).await;
    assert_eq!(counted["totalTokens"].as_u64(), plan(Format::Gemini, json!({})).usage.input);
    let wrapped = json!({"generateContentRequest": serde_json::from_slice::<Value>(&asked).unwrap()}).to_string();
    let again = send(served.client.post(at("/v1beta/models/gemini-3.8-flash:countTokens")).body(wrapped)).await;
    assert_eq!(again, counted);
    let anthropic = body("m", "How high is the water?", json!({"max_tokens": null}));
    let counted = send(served.client.post(at("/v1/messages/count_tokens")).body(anthropic)).await;
    assert_eq!(counted["input_tokens"].as_u64(), plan(Format::Anthropic, json!({})).usage.input);
    let listed = send(served.client.get(at("/v1beta/models"))).await;
    assert_eq!(listed["models"][0]["name"], format!("models/{}", Options::default().models[0]));
    let stable = served.client.get(at("/v1/models")).header("x-goog-api-key", "k");
    assert_eq!(send(stable).await, listed);
    assert_eq!(send(served.client.get(at("/v1/models"))).await["object"], "list");
    assert_eq!(served.simulator.tally().requests, 0);
}
