//! The table, case by case. Bodies are read as the pipeline reads them.

use schemas::outcome::{ErrorClass, Format};

use super::{Fault, Phase, Reason, Verdict, classify};
use crate::formats::{self, UpstreamError};

/// The verdict on a body that came with an error status.
fn refused(status: u16, body: &str) -> Verdict {
    let error = formats::read_error(Format::OpenaiChat, status, body.as_bytes());
    let class = match status {
        401 | 403 => ErrorClass::UpstreamAuth,
        429 => ErrorClass::UpstreamRateLimited,
        400..=499 => ErrorClass::UpstreamClientError,
        _ => ErrorClass::UpstreamServerError,
    };
    classify(&Fault { class, status: Some(status), error: &error, phase: Phase::BeforeContent })
}

fn typed(status: u16, kind: &str) -> Verdict {
    refused(status, &format!(r#"{{"error":{{"type":"{kind}","message":"..."}}}}"#))
}

fn said(status: u16, message: &str) -> Verdict {
    refused(status, &format!(r#"{{"error":{{"message":"{message}"}}}}"#))
}

fn without_response(class: ErrorClass) -> Verdict {
    classify(&Fault { class, status: None, error: &UpstreamError::default(), phase: Phase::BeforeContent })
}

#[test]
fn what_has_no_answer_is_judged_by_how_it_failed() {
    for (class, verdict) in [
        (ErrorClass::UpstreamConnect, Verdict::RetryHere(Reason::ConnectFailed)),
        (ErrorClass::StreamCut, Verdict::RetryHere(Reason::ConnectionLost)),
        (ErrorClass::UpstreamTimeout, Verdict::TryNext(Reason::Silent)),
        (ErrorClass::UpstreamInvalid, Verdict::RetryHere(Reason::UnusableAnswer)),
        (ErrorClass::TotalTimeout, Verdict::GiveUp(Reason::OutOfTime)),
        (ErrorClass::Shutdown, Verdict::GiveUp(Reason::Internal)),
    ] {
        assert_eq!(without_response(class), verdict, "{class}");
    }
}

#[test]
fn a_status_alone_decides_where_nothing_is_named() {
    for (status, verdict) in [
        (401, Verdict::TryNext(Reason::KeyRefused)),
        (402, Verdict::TryNext(Reason::QuotaExhausted)),
        (403, Verdict::TryNext(Reason::NotPermitted)),
        (404, Verdict::TryNext(Reason::NotServedHere)),
        (408, Verdict::RetryHere(Reason::ServerError)),
        (409, Verdict::RetryHere(Reason::ServerError)),
        (413, Verdict::CallerAtFault(Reason::TooLarge)),
        (429, Verdict::TryNext(Reason::RateLimited)),
        (500, Verdict::RetryHere(Reason::ServerError)),
        (501, Verdict::TryNext(Reason::NotServedHere)),
        (502, Verdict::RetryHere(Reason::ServerError)),
        (503, Verdict::RetryHere(Reason::Overloaded)),
        (524, Verdict::RetryHere(Reason::ServerError)),
        (529, Verdict::RetryHere(Reason::Overloaded)),
        // S171, S179: a client error that says nothing may be this provider's alone.
        (400, Verdict::TryNext(Reason::Unrecognised)),
        (418, Verdict::TryNext(Reason::Unrecognised)),
        (422, Verdict::TryNext(Reason::Unrecognised)),
    ] {
        assert_eq!(refused(status, ""), verdict, "{status}");
        assert_eq!(refused(status, "<html><title>oops</title>"), verdict, "{status} as a page");
        assert_eq!(refused(status, "[[[["), verdict, "{status} as rubbish (W26)");
        assert_eq!(refused(status, r#"{"error":{"type":7,"message":["m"]}}"#), verdict, "{status} in odd types (W26)");
    }
}

#[test]
fn a_named_client_error_stops() {
    // S169, S189; in any case, and with a namespace around it.
    for kind in [
        "invalid_request_error",
        "INVALID_ARGUMENT",
        "FAILED_PRECONDITION",
        "com.amazon.coral.validate#ValidationException",
        "validation_error",
        "bad_request",
    ] {
        for status in [400, 422] {
            assert_eq!(typed(status, kind), Verdict::CallerAtFault(Reason::InvalidRequest), "{status} {kind}");
        }
        // A proxy that failed may still quote its request.
        assert_eq!(typed(502, kind), Verdict::RetryHere(Reason::ServerError), "502 {kind}");
    }
}

#[test]
fn a_response_that_is_not_kept_here_may_be_kept_there() {
    let kept_elsewhere = Verdict::TryNext(Reason::ResponseNotKept);
    let told = r#"{"error":{"message":"Previous response with id 'resp_1' not found.","type":"invalid_request_error",
        "param":"previous_response_id","code":"previous_response_not_found"}}"#;
    for status in [400, 404] {
        assert_eq!(refused(status, told), kept_elsewhere, "{status}");
    }
    assert_eq!(said(400, "Previous response with id 'resp_1' not found."), kept_elsewhere);
    let terse = r#"{"error":{"message":"Invalid `previous_response_id`.","type":"invalid_request_error","code":"invalid_request_error"}}"#;
    assert_eq!(refused(400, terse), kept_elsewhere);
    // One that is no id at all is nobody's.
    let malformed = r#"{"error":{"message":"Invalid 'previous_response_id': 'a b'.","type":"invalid_request_error"}}"#;
    assert_eq!(refused(400, malformed), Verdict::CallerAtFault(Reason::InvalidRequest));
    assert!(kept_elsewhere.telling() < Verdict::RetryHere(Reason::ServerError).telling(), "it hides no failure");
}

#[test]
fn a_client_error_in_words_stops() {
    // S170 without what S189 removed.
    for phrase in [
        "Could not process image",
        "image too large",
        "Invalid image",
        "unsupported image",
        "image exceeds 5 MB",
        "PDF too large",
        "file too large",
        "unexpected `tool_use_id` found",
    ] {
        assert_eq!(said(400, phrase), Verdict::CallerAtFault(Reason::InvalidRequest), "{phrase}");
        assert_eq!(said(500, phrase), Verdict::RetryHere(Reason::ServerError), "{phrase} under 500");
    }
    assert_eq!(said(400, "max_tokens: must be at most 8192"), Verdict::TryNext(Reason::Unrecognised), "S189");
}

#[test]
fn too_long_for_this_model_is_told_apart() {
    for kind in ["context_length_exceeded", "CONTENT_LENGTH_EXCEEDS_THRESHOLD", "MAX_TOKENS_EXCEEDED"] {
        assert_eq!(typed(400, kind), Verdict::CallerAtFault(Reason::ContextLength), "{kind}");
        assert_eq!(typed(500, kind), Verdict::CallerAtFault(Reason::ContextLength), "{kind} wrapped by a proxy");
    }
    let anthropic =
        r#"{"type":"error","error":{"type":"invalid_request_error","message":"prompt is too long: 200001"}}"#;
    assert_eq!(refused(400, anthropic), Verdict::CallerAtFault(Reason::ContextLength));
    let openai = r#"{"error":{"type":"invalid_request_error","code":"context_length_exceeded","message":"m"}}"#;
    assert_eq!(refused(400, openai), Verdict::CallerAtFault(Reason::ContextLength));
    for phrase in ["Input is too long for requested model", "The input token count (9) exceeds the maximum"] {
        assert_eq!(said(400, phrase), Verdict::CallerAtFault(Reason::ContextLength), "{phrase}");
    }
    assert!(Reason::ContextLength.depends_on_model() && !Reason::InvalidRequest.depends_on_model());
}

#[test]
fn forbidden_content_is_told_apart() {
    for kind in ["content_policy_violation", "content_filter", "INVALID_CONTENT"] {
        assert_eq!(typed(400, kind), Verdict::CallerAtFault(Reason::ContentPolicy), "{kind}");
    }
    let azure = "The response was filtered due to Azure OpenAI's content management policy";
    assert_eq!(said(400, azure), Verdict::CallerAtFault(Reason::ContentPolicy));
}

#[test]
fn incompatibility_moves_on_before_it_is_taken_for_a_client_error() {
    // S190: all of them come as `invalid_request_error`.
    for phrase in [
        "Unsupported parameter: 'max_tokens'",
        "Unsupported model",
        "unsupported feature",
        "tools is not supported with this model",
        "This model does not support assistant message prefill",
        "the parameter is not supported",
        "this feature is not supported",
        "not available for this model",
    ] {
        let body = format!(r#"{{"error":{{"type":"invalid_request_error","message":"{phrase}"}}}}"#);
        assert_eq!(refused(400, &body), Verdict::TryNext(Reason::Incompatible), "{phrase}");
    }
    let coded = r#"{"error":{"type":"invalid_request_error","code":"unsupported_parameter","message":"m"}}"#;
    assert_eq!(refused(400, coded), Verdict::TryNext(Reason::Incompatible));
}

#[test]
fn trouble_with_a_key_moves_on_whatever_it_is_called() {
    // S189: `invalid_api_key` is no client error.
    let openai = r#"{"error":{"type":"invalid_request_error","code":"invalid_api_key","message":"m"}}"#;
    let google =
        r#"{"error":{"code":400,"status":"INVALID_ARGUMENT","message":"API key not valid. Please pass one."}}"#;
    for body in [openai, google] {
        assert_eq!(refused(400, body), Verdict::TryNext(Reason::KeyRefused), "{body}");
    }
    let broke = "Your credit balance is too low to access the Anthropic API";
    let anthropic = format!(r#"{{"error":{{"type":"invalid_request_error","message":"{broke}"}}}}"#);
    assert_eq!(refused(400, &anthropic), Verdict::TryNext(Reason::QuotaExhausted));
    assert_eq!(typed(429, "insufficient_quota"), Verdict::TryNext(Reason::QuotaExhausted));
}

#[test]
fn a_type_outranks_a_status_that_hides_it() {
    for (status, kind, verdict) in [
        (400, "overloaded_error", Verdict::RetryHere(Reason::Overloaded)),
        (400, "rate_limit_error", Verdict::TryNext(Reason::RateLimited)),
        (503, "rate_limit_exceeded", Verdict::TryNext(Reason::RateLimited)),
        (400, "api_error", Verdict::RetryHere(Reason::ServerError)),
        (400, "model_not_found", Verdict::TryNext(Reason::NotServedHere)),
        (500, "authentication_error", Verdict::TryNext(Reason::KeyRefused)),
        (429, "invalid_request_error", Verdict::TryNext(Reason::RateLimited)),
    ] {
        assert_eq!(typed(status, kind), verdict, "{status} {kind}");
    }
}

#[test]
fn an_error_inside_a_success_is_judged_like_one_with_a_status() {
    let in_band = |kind: &str, status: Option<u16>| {
        let error = UpstreamError { kind: kind.to_owned(), status, ..UpstreamError::default() };
        classify(&Fault {
            class: ErrorClass::UpstreamInBand,
            status: Some(200),
            error: &error,
            phase: Phase::BeforeContent,
        })
    };
    assert_eq!(in_band("overloaded_error", Some(529)), Verdict::RetryHere(Reason::Overloaded));
    assert_eq!(in_band("invalid_request_error", Some(400)), Verdict::CallerAtFault(Reason::InvalidRequest));
    assert_eq!(in_band("invalid_request_error", None), Verdict::CallerAtFault(Reason::InvalidRequest));
    assert_eq!(in_band("rate_limit_exceeded", None), Verdict::TryNext(Reason::RateLimited));
    assert_eq!(in_band("RESOURCE_EXHAUSTED", Some(429)), Verdict::TryNext(Reason::RateLimited));
    assert_eq!(in_band("server_error", None), Verdict::RetryHere(Reason::ServerError));
    assert_eq!(in_band("", None), Verdict::TryNext(Reason::Unrecognised));
}

#[test]
fn nothing_is_tried_again_once_the_client_reads() {
    for class in ErrorClass::ALL {
        let error = UpstreamError::default();
        let fault = Fault { class: *class, status: Some(503), error: &error, phase: Phase::AfterContent };
        assert_eq!(classify(&fault), Verdict::GiveUp(Reason::AnswerBegun), "{class}");
    }
}

#[test]
fn a_redirect_is_left_for_the_next() {
    let error = UpstreamError::default();
    let fault =
        Fault { class: ErrorClass::UpstreamInvalid, status: Some(302), error: &error, phase: Phase::BeforeContent };
    assert_eq!(classify(&fault), Verdict::TryNext(Reason::Redirected));
}

#[test]
fn what_one_candidate_does_not_support_hides_nothing() {
    let prefill = said(400, "This model does not support assistant message prefill");
    for other in [said(503, ""), said(429, ""), said(401, ""), without_response(ErrorClass::UpstreamTimeout)] {
        assert!(other.telling() > prefill.telling(), "{other:?}");
    }
    assert!(typed(400, "invalid_request_error").telling() > said(429, "").telling());
}
