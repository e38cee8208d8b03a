use super::*;
use crate::money::Factor;
use crate::outcome::{CaptureScope, ErrorClass, Format, Operation, UsageSource, Verdict};
use crate::usage::Usage;

fn at(micros: i64) -> Timestamp {
    Timestamp::from_micros(1_767_225_600_000_000 + micros)
}

fn opened() -> Opened {
    Opened {
        client: "team-a".into(),
        user: Some("u-1".into()),
        tags: [("project".to_owned(), "alpha".to_owned())].into(),
        format: Format::Anthropic,
        operation: Operation::Generate,
        is_stream: true,
        model_requested: "sonnet".into(),
        model: "claude-sonnet-4-5".into(),
        request_bytes: 512,
        received_at: at(0),
        client_request_id: Some("theirs".into()),
        user_agent: Some("anthropic-python/1".into()),
    }
}

fn receipt(outcome: Outcome) -> Receipt {
    Receipt {
        outcome,
        client: "team-a".into(),
        user: Some("u-1".into()),
        tags: [("project".to_owned(), "alpha".to_owned())].into(),
        format: Format::Anthropic,
        operation: Operation::Generate,
        is_stream: true,
        provider: "anthropic".into(),
        endpoint: "anthropic-api".into(),
        key: "main".into(),
        model_requested: "sonnet".into(),
        model: "claude-sonnet-4-5".into(),
        model_upstream: "claude-sonnet-4-5-20250929".into(),
        model_reported: "claude-sonnet-4-5-20250929".into(),
        status: 200,
        upstream_status: Some(200),
        error: None,
        stop_reason: Some("end_turn".into()),
        attempts: 1,
        received_at: at(0),
        ttft_ms: Some(412.5),
        duration_ms: 2_031.25,
        usage: Usage {
            input: Some(1_130),
            fresh_input: Some(30),
            cache_read: Some(1_000),
            cache_write_5m: Some(100),
            cache_write_1h: Some(0),
            output: Some(57),
            reasoning: None,
        },
        usage_source: UsageSource::Provider,
        delivered_output: None,
        raw_usage: Some("{\n\"input_tokens\": 30}".into()),
        normaliser: NORMALISER_VERSION,
        cost_multiplier: Factor::ONE,
        request_bytes: 512,
        response_bytes: 4_096,
        stream_events: 21,
        client_request_id: Some("theirs".into()),
        upstream_request_id: Some("req_1".into()),
        user_agent: Some("anthropic-python/1".into()),
    }
}

fn candidate() -> Candidate {
    Candidate {
        candidate_index: 0,
        attempt_index: 0,
        verdict: Verdict::Failed,
        reason: "server_error".into(),
        provider: "anthropic".into(),
        endpoint: "anthropic-api".into(),
        key: "main".into(),
        model: String::new(),
        model_reported: String::new(),
        cost_multiplier: Factor::ONE,
        model_upstream: "claude-sonnet-4-5-20250929".into(),
        status: Some(529),
        error_class: Some(ErrorClass::UpstreamServerError),
        error_message: Some("Overloaded".into()),
        started_at: at(150),
        headers_ms: Some(80.0),
        first_content_ms: None,
        duration_ms: 81.0,
        response_bytes: 77,
        usage: Usage::UNKNOWN,
        reported_cost: None,
        received_at: at(0),
        client: "team-a".into(),
    }
}

fn bodies() -> Bodies {
    Bodies {
        scope: CaptureScope::Exchange,
        candidate_index: None,
        attempt_index: None,
        client: "team-a".into(),
        format: Format::Anthropic,
        model: "claude-sonnet-4-5".into(),
        provider: "anthropic".into(),
        endpoint: "anthropic-api".into(),
        outcome: Outcome::Interrupted,
        status: Some(200),
        error_class: Some(ErrorClass::StreamCut),
        received_at: at(0),
        request: Some(Captured {
            content_type: Some("application/json".into()),
            bytes: 512,
            text: "{\"model\":\"sonnet\"}".into(),
            truncated: false,
        }),
        response: Some(Captured {
            content_type: Some("text/event-stream".into()),
            bytes: 90_000,
            text: "event: message_start\n".into(),
            truncated: true,
        }),
    }
}

/// A provider's web page instead of an answer.
fn unreadable() -> Bodies {
    let page =
        Captured { content_type: Some("text/html".into()), bytes: 9, text: "<html>...".into(), truncated: false };
    Bodies {
        scope: CaptureScope::Attempt,
        candidate_index: Some(1),
        attempt_index: Some(0),
        outcome: Outcome::Completed,
        error_class: Some(ErrorClass::UpstreamInvalid),
        request: None,
        response: Some(page),
        ..bodies()
    }
}

fn seal(body: &Body) -> Vec<u8> {
    let request_id = Uuid::from_u128(0x0196_0000_0000_7000_8000_0000_0000_0001);
    let prepared = Prepared::new(request_id, at(900), body).unwrap();
    let place = Place { epoch: Uuid::from_u128(7), partition: 3, seq: 41, gateway: "gw \"1\"" };
    let mut line = Vec::new();
    prepared.seal_into(place, &mut line).unwrap();
    line
}

/// The golden wire form of every event. A change here is a change of the contract: raise [`VERSION`] if old readers break.
#[test]
fn wire_form_is_the_snapshot_and_reads_back() {
    let mut failed = receipt(Outcome::Interrupted);
    failed.error = Some(ErrorNote::new(ErrorClass::StreamCut, "", "the provider closed the stream"));
    let bodies = [
        ("stream_opened", Body::Opened(Box::new(opened()))),
        ("stream_settled", Body::Terminal(Box::new(receipt(Outcome::Completed)))),
        ("failure", Body::Terminal(Box::new(failed))),
        ("candidate", Body::Candidate(Box::new(candidate()))),
        ("body_exchange", Body::Bodies(Box::new(bodies()))),
        ("body_attempt", Body::Bodies(Box::new(unreadable()))),
    ];
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("../../snapshots");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_sort_maps(false);
    for (name, body) in bodies {
        let line = seal(&body);
        assert!(!line.contains(&b'\n'), "{name} must be one line");
        let json: serde_json::Value = serde_json::from_slice(&line).unwrap();
        settings.bind(|| insta::assert_json_snapshot!(name, json));
        let event = Event::decode(&line).unwrap();
        assert_eq!(event.body, body, "{name}");
        assert_eq!((event.head.seq, event.head.partition, event.head.gateway.as_str()), (41, 3, "gw \"1\""));
    }
}

#[test]
fn what_contradicts_itself_is_no_event() {
    let completed_as_failure = seal(&Body::Terminal(Box::new(receipt(Outcome::Failed))));
    let text =
        String::from_utf8(completed_as_failure).unwrap().replace("\"outcome\":\"failed\"", "\"outcome\":\"completed\"");
    assert!(matches!(Event::decode(text.as_bytes()), Err(DecodeError::Mismatch { .. })));
    let newer = text.replace("\"v\":1", "\"v\":2");
    assert!(matches!(Event::decode(newer.as_bytes()), Err(DecodeError::Version(2))));
    assert!(matches!(Event::decode(b"{\"v\":1}"), Err(DecodeError::Json(_))));
}

/// NATS refuses a message of more than 1 MiB, and would do so for ever.
#[test]
fn bodies_of_the_worst_kind_fit_into_a_message() {
    let worst = Captured { text: "\u{1}".repeat(Captured::TEXT_MAX_BYTES), ..Captured::default() };
    let line =
        seal(&Body::Bodies(Box::new(Bodies { request: Some(worst.clone()), response: Some(worst), ..bodies() })));
    assert!(line.len() > 12 * Captured::TEXT_MAX_BYTES && line.len() < (1 << 20) - (64 << 10), "{}", line.len());
}

#[test]
fn messages_are_cut_at_a_character() {
    let note = ErrorNote::new(ErrorClass::Internal, "", &"é".repeat(600));
    assert_eq!(note.message.chars().count(), ErrorNote::MESSAGE_MAX);
}

fn lines() -> Vec<String> {
    let mut failed = receipt(Outcome::Interrupted);
    failed.error = Some(ErrorNote::new(ErrorClass::StreamCut, "", "the provider closed \"the\" stream"));
    let bodies = [
        Body::Opened(Box::new(opened())),
        Body::Terminal(Box::new(receipt(Outcome::Completed))),
        Body::Terminal(Box::new(failed)),
        Body::Candidate(Box::new(candidate())),
        Body::Bodies(Box::new(bodies())),
    ];
    bodies.iter().map(|body| String::from_utf8(seal(body)).unwrap().replace("gw \\\"1\\\"", "gw-1")).collect()
}

/// What is read in one pass is what the rules read, and what they refuse is refused in their words.
fn check_ways(line: &[u8]) {
    let (quick, ruled) = (Event::as_written(line), Event::by_the_rules(line));
    let shown = String::from_utf8_lossy(line);
    if let Some(event) = quick {
        assert_eq!(event, ruled.unwrap_or_else(|error| panic!("{error}: {shown}")), "{shown}");
    } else if let (Err(error), Err(rules)) = (Event::decode(line), ruled) {
        assert_eq!(error.to_string(), rules.to_string(), "{shown}");
    }
}

#[test]
fn every_event_as_gateways_write_it_is_read_in_one_pass() {
    for line in lines() {
        assert!(Event::as_written(line.as_bytes()).is_some(), "{line}");
        check_ways(line.as_bytes());
        let newer = line.replacen(",\"client\"", ",\"unheard_of\":{\"kind\":[1,\"\\n\"]},\"client\"", 1);
        assert!(newer != line && Event::as_written(newer.as_bytes()).is_some(), "{newer}");
        check_ways(newer.as_bytes());
    }
}

#[test]
fn what_is_wrong_with_a_line_is_said_by_the_rules() {
    for line in lines() {
        let again = |field: &str| format!("{},{field}}}", line.strip_suffix('}').unwrap());
        for field in ["\"v\":1", "\"seq\":3", "\"k\\u0069nd\":\"stream\"", "\"client\":\"x\"", "\"gateway\":7"] {
            assert!(Event::decode(again(field).as_bytes()).is_err(), "{field} stands twice in {line}");
            check_ways(again(field).as_bytes());
        }
        check_ways(again("\"phase\":\"settled\"").as_bytes());
        for (from, to) in [
            ("\"v\":1", "\"v\":2"),
            ("\"v\":1", "\"v\":01"),
            ("\"partition\":3", "\"partition\":70000"),
            ("\"seq\":41", "\"seq\":-1"),
            ("2026-01-01T", "2026-13-01T"),
            ("\"client\":\"team-a\"", "\"client\":7"),
            ("\"gateway\":\"gw-1\"", "\"gateway\":\"gw\\n1\""),
            ("\"phase\":\"opened\",", ""),
            ("\"kind\":\"candidate\"", "\"kind\":\"failure\""),
        ] {
            check_ways(line.replace(from, to).as_bytes());
        }
    }
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig { failure_persistence: None, ..Default::default() })]

    #[test]
    fn damaged_lines_are_read_alike_in_both_ways(
        which in 0_usize..5,
        damages in proptest::collection::vec((0_usize..2_000, proptest::prelude::any::<u8>(), 0_u8..3), 1..4),
    ) {
        let mut line = lines().swap_remove(which).into_bytes();
        for (at, byte, how) in damages {
            let at = at % line.len();
            match how {
                0 => line[at] = byte,
                1 => drop(line.remove(at)),
                _ => line.insert(at, b"\",:{}[]\\0e "[usize::from(byte) % 11]),
            }
        }
        check_ways(&line);
    }
}
