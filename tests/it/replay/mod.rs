//! Every recorded answer reaches the client byte for byte, at any chunking, and its row says what it was.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use futures_util::StreamExt;
use schemas::outcome::Format;
use tests::caller::{self, Answer};
use tests::corpus::recordings;
use tests::stack::Stack;

use self::play::Play;

mod play;
mod row;

#[tokio::test(flavor = "multi_thread")]
async fn every_anthropic_recording_passes_unchanged_and_is_accounted() {
    replay(Format::Anthropic).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_openai_chat_recording_passes_unchanged_and_is_accounted() {
    replay(Format::OpenaiChat).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_openai_responses_recording_passes_unchanged_and_is_accounted() {
    replay(Format::OpenaiResponses).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_gemini_recording_passes_unchanged_and_is_accounted() {
    replay(Format::Gemini).await;
}

async fn replay(format: Format) {
    let Some(recordings) = recordings(format.as_str()) else { return };
    let count = recordings.len();
    let plays = Play::all(format, recordings);
    let script = plays.clone();
    let stack = Stack::planned(play::plan(format, &plays), move |received| play::answer(&script, received)).await;
    let caller = stack.caller();

    let mut problems = Vec::new();
    let mut answered = BTreeMap::new();
    let mut answers = futures_util::stream::iter(plays.iter().enumerate().map(|(number, play)| {
        let request = caller.post(&play.path, play.request.clone()).header("x-play", number.to_string());
        async move { (play, caller::try_read(request).await) }
    }))
    .buffer_unordered(8);
    while let Some((play, answer)) = answers.next().await {
        match answer {
            Ok(answer) => {
                problems.extend(differences(play, &answer));
                answered.insert(answer.request_id(), (play, answer.body.len()));
            }
            Err(error) => problems.push(format!("{}: no answer: {error:?}", play.name())),
        }
    }
    let rows = stack.all_rows(plays.len()).await;
    let mut endings = BTreeMap::new();
    for (id, (play, got_bytes)) in answered {
        let Some(row) = rows.get(&id) else {
            problems.push(format!("{}: no row for {id}", play.name()));
            continue;
        };
        problems.extend(row::differences(play, row, got_bytes));
        let ending = (row.outcome.clone(), row.error_class.clone());
        let first = endings.entry((play.recording.name.clone(), play.expected.len())).or_insert_with(|| ending.clone());
        if *first != ending {
            problems.push(format!("{}: ended as {ending:?}, elsewhere as {first:?}", play.name()));
        }
    }
    let shown: Vec<&str> = problems.iter().take(60).map(String::as_str).collect();
    assert!(problems.is_empty(), "{} problems in {} plays:\n{}", problems.len(), plays.len(), shown.join("\n"));
    println!("{format}: {count} recordings in {} plays without a difference", plays.len());
    tell_exceptions(&plays);
}

/// Names the recordings of which the client gets more, or another status, than the provider sent.
fn tell_exceptions(plays: &[Play]) {
    let mut told = BTreeSet::new();
    for play in plays {
        let (name, recorded) = (&play.recording.name, play.recording.response.status);
        if play.stops_short() {
            told.insert(format!("  {name}: ends without an end, so that our error event follows"));
        }
        if play.status() != recorded {
            told.insert(format!("  {name}: a plain {recorded} that is an error goes out as {}", play.status()));
        }
    }
    for exception in told {
        println!("{exception}");
    }
}

/// What the client got against what the provider sent.
fn differences(play: &Play, answer: &Answer) -> Vec<String> {
    let (name, recorded) = (play.name(), &play.recording.response);
    let mut problems = Vec::new();
    if answer.status != play.status() {
        problems.push(format!("{name}: status {} became {}", play.status(), answer.status));
    }
    let content_type = answer.headers.get("content-type").and_then(|value| value.to_str().ok());
    let sent = recorded.headers.get("content-type").map_or("application/json", String::as_str);
    if content_type != Some(sent) {
        problems.push(format!("{name}: content-type {sent:?} became {content_type:?}"));
    }
    let ends_in_our_error =
        || answer.body.strip_prefix(play.expected.as_ref()).is_some_and(|added| is_error_event(play.format, added));
    if play.stops_short() && !ends_in_our_error() {
        let end = answer.body.len().saturating_sub(120);
        problems.push(format!("{name}: no error event follows; the end is {:?}", answer.body.slice(end..)));
    } else if !play.stops_short() && answer.body != play.expected {
        let same = answer.body.iter().zip(&play.expected).take_while(|(left, right)| left == right).count();
        let around = |bytes: &Bytes| String::from_utf8_lossy(&bytes[same..bytes.len().min(same + 80)]).into_owned();
        let (expected, got) = (around(&play.expected), around(&answer.body));
        problems.push(format!("{name}: other bytes from {same} on: {expected:?} became {got:?}"));
    }
    if let Some(broken) = &answer.broken {
        problems.push(format!("{name}: the answer broke: {broken}"));
    }
    problems
}

/// Whether these bytes close what was cut and then are one error event of the format, and nothing more.
fn is_error_event(format: Format, added: &[u8]) -> bool {
    let added = added.trim_ascii_start();
    let named = matches!(format, Format::Anthropic | Format::OpenaiResponses);
    let data = if named { added.strip_prefix(b"event: error\n") } else { Some(added) };
    let data = data.and_then(|data| data.strip_prefix(b"data: ")).and_then(|data| data.strip_suffix(b"\n\n"));
    let Some(data) = data.filter(|data| !data.contains(&b'\n')) else { return false };
    serde_json::from_slice::<serde_json::Value>(data).is_ok_and(|event| event["error"]["message"].is_string())
}
