//! What must not be kept is not kept, wherever it stands and wherever the body is cut; what may be kept is.

use proptest::prelude::*;
use schemas::events::Captured;

use super::redact::Beginning;
use super::*;

const OURS: &str = "sk-ours/+0123456789";
const THEIRS: &str = "their \"key\"";

fn redactor() -> Redactor {
    Redactor::new(&[Secret::new(OURS), Secret::new(THEIRS)]).unwrap()
}

fn whole(body: &[u8]) -> Captured {
    redactor().captured(Beginning { head: body, bytes: body.len() as u64 }, Captured::TEXT_MAX_BYTES)
}

fn text(body: &str) -> String {
    let captured = whole(body.as_bytes());
    assert_eq!((captured.bytes, captured.truncated), (body.len() as u64, false), "{body}");
    captured.text
}

#[test]
fn secrets_are_hidden_in_every_form_they_take() {
    for form in ["sk-ours/+0123456789", "sk-ours\\/+0123456789", "sk-ours%2F%2B0123456789", "SK-OURS/+0123456789"] {
        assert_eq!(text(&format!("no such key: {form}.")), "no such key: ***.");
    }
    assert_eq!(text("<b>their \"key\"</b> {\"key\":\"their \\\"key\\\"\"}"), "<b>***</b> {\"key\":\"***\"}");
    assert_eq!(text("sk-ours/+0123456789sk-ours/+0123456789"), "******");
}

#[test]
fn what_is_labelled_as_a_credential_is_hidden() {
    for (body, kept) in [
        (r#"{"authorization_token": "abc", "name": "x"}"#, r#"{"authorization_token": "***", "name": "x"}"#),
        (r#"{"headers":{"Authorization":"Bearer a\"b c"}}"#, r#"{"headers":{"Authorization":"***"}}"#),
        (
            r#"{"arguments":"{\"api_key\": \"s3cret\", \"q\": 1}"}"#,
            r#"{"arguments":"{\"api_key\": \"***\", \"q\": 1}"}"#,
        ),
        (r#"{"password":"cut off"#, r#"{"password":"***"#),
        ("curl -H 'Authorization: Bearer abcdef0123456789'", "curl -H 'Authorization: Bearer ***'"),
        (&format!(r#"{{"api_key":"{OURS}"}}"#), r#"{"api_key":"***"}"#),
    ] {
        assert_eq!(text(body), kept);
    }
    for harmless in [
        r#"{"password":{"type":"string"},"api_key":null,"required":["password","api_key"]}"#,
        "the bearer of this letter needs no password: none is asked for",
        r#"{"token":" hello","max_tokens":5}"#,
    ] {
        assert_eq!(text(harmless), harmless);
    }
}

#[test]
fn encoded_data_is_replaced_by_its_length() {
    let image = "iVBORw0KGgo\\/".repeat(100);
    let kept = text(&format!(r#"{{"url":"data:image/png;base64,{image}","detail":"low"}}"#));
    assert_eq!(kept, r#"{"url":"data:image/png;base64,[1300 characters of encoded data]","detail":"low"}"#);
    let words = "a_word ".repeat(500) + "\\u00e9\\\\n \\" + &"é".repeat(500);
    assert_eq!(text(&words), words);
    assert_eq!(text(&"f".repeat(511)), "f".repeat(511));
}

#[test]
fn texts_are_bounded_and_say_so() {
    let max = Captured::TEXT_MAX_BYTES;
    let exact = "a b".repeat(max)[..max].to_owned();
    assert_eq!(text(&exact), exact);
    for body in [exact + "c", " ".repeat(3 * max), "é ".repeat(max), "a é".repeat(max), "日本".repeat(max)] {
        let captured = whole(body.as_bytes());
        assert!(captured.truncated && captured.text.len() <= max && captured.text.len() > max - 4);
        assert!(body.starts_with(&captured.text) && captured.bytes == body.len() as u64);
    }
    let binary = whole(&[0xff; 100]);
    assert_eq!((binary.text, binary.truncated), ("\u{fffd}".repeat(100), false));
    let large = format!("{{\"image\":\"{}\",\"text\":\"behind the image\"}}", "A".repeat(20 << 20));
    assert!(text(&large).ends_with("characters of encoded data]\",\"text\":\"behind the image\"}"));
}

proptest! {
    #[test]
    fn no_part_of_a_secret_is_left_where_a_body_is_cut(before in "[ -~é]{0,40}", cut in 0usize..60, after in "[ -~]{0,40}") {
        let body = format!("{before}|{OURS}|{after}");
        let head = body.as_bytes().get(..cut).unwrap_or(body.as_bytes());
        let captured = redactor().captured(Beginning { head, bytes: body.len() as u64 }, Captured::TEXT_MAX_BYTES);
        prop_assert_eq!(captured.truncated, head.len() < body.len());
        let begun = format!("|{}", &OURS[..4]);
        prop_assert!(!captured.text.contains(&begun), "{}", captured.text);
        let kept = before.clone() + "|";
        if head.len() >= kept.len() + OURS.len() && !before.to_ascii_lowercase().contains("bearer") {
            let expected = kept + "***";
            prop_assert!(captured.text.starts_with(&expected), "{}", captured.text);
        }
    }

    #[test]
    fn any_bytes_give_a_text_within_its_bound(head in "[ -~é\\x00\n\"\\\\]{0,400}", invalid in any::<u8>(), max in 1usize..300) {
        let body = [head.as_bytes(), &[invalid], head.as_bytes()].concat();
        let body = Beginning { head: &body, bytes: body.len() as u64 };
        let captured = redactor().captured(body, max);
        prop_assert!(captured.text.len() <= max);
        // Without anything to hide, what is not cut is all there.
        if !captured.truncated && !captured.text.contains("***") {
            prop_assert_eq!(captured.text, String::from_utf8_lossy(body.head));
        }
    }
}
