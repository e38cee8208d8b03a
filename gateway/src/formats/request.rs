//! What all formats share of a request body: what is read, and how the few changed bytes are put in.

use std::ops::Range;

use bytes::Bytes;

use super::conversation::Conversation;
use super::json::{self, Object, Raw};

/// A body that is not what the format asks for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct InvalidBody {
    /// What is wrong with it, for the client.
    pub message: String,
    /// The field at fault.
    pub param: Option<&'static str>,
}

/// What was read of a request body.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Peeked {
    /// The model asked for, never empty.
    pub model: String,
    /// Whether a stream was asked for.
    pub stream: bool,
    /// The client's own user.
    pub user: Option<String>,
    /// The most output tokens that the client allows.
    pub max_output_tokens: Option<u64>,
    /// Which conversation this is a turn of.
    pub conversation: Conversation,
    /// The response of the provider's that the request goes on from.
    pub previous_response: Option<String>,
    /// Whether the provider keeps its response, so that another request can go on from that.
    pub keeps_response: bool,
    /// How many answers are asked for; `None`: one.
    pub answers: Option<u64>,
    /// Where the model's names stand: every one of them, because upstreams differ in which of two counts.
    pub(super) model_values: Vec<Range<usize>>,
    /// What makes the provider report the usage of a stream whose client did not ask for it.
    pub(super) usage_request: Option<Splice>,
}

/// A body ready for one upstream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rewritten {
    /// The body.
    pub body: Bytes,
    /// Whether we asked for usage and the client did not: then the event that carries it is kept from the client.
    pub hides_usage: bool,
}

/// Bytes put in place of others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Splice {
    pub(super) at: Range<usize>,
    pub(super) text: &'static str,
}

/// A request body's top level, with its place in the body.
pub(super) struct Body<'a> {
    bytes: &'a [u8],
    pub(super) members: Object<'a>,
}

impl<'a> Body<'a> {
    pub(super) fn parse(bytes: &'a [u8]) -> Result<Self, InvalidBody> {
        let invalid = |error| InvalidBody { message: format!("the body is not a JSON object: {error}"), param: None };
        Ok(Self { bytes, members: Object::parse_bytes(bytes).map_err(invalid)? })
    }

    /// Reads what all formats with a model in the body have in common.
    pub(super) fn peek(&self) -> Result<Peeked, InvalidBody> {
        let invalid = |what: &str| InvalidBody { message: format!("`model` {what}"), param: Some("model") };
        let value = self.members.get("model").ok_or_else(|| invalid("is missing"))?;
        let model = json::text(value).ok_or_else(|| invalid("must be a string"))?;
        if model.is_empty() {
            return Err(invalid("must not be empty"));
        }
        Ok(Peeked {
            model: model.into_owned(),
            stream: self.members.boolean("stream").unwrap_or(false),
            model_values: self.members.all("model").filter_map(|value| self.place(value)).collect(),
            ..Peeked::default()
        })
    }

    /// Where a value stands in the body.
    pub(super) fn place(&self, value: Raw<'_>) -> Option<Range<usize>> {
        let start = value.get().as_ptr().addr().checked_sub(self.bytes.as_ptr().addr())?;
        let place = start..start + value.get().len();
        self.bytes.get(place.clone()).is_some().then_some(place)
    }

    /// Where the outermost object's closing brace stands.
    pub(super) fn closing_brace(&self) -> Option<usize> {
        self.bytes.iter().rposition(|byte| *byte == b'}')
    }
}

/// Puts the upstream's model name and the usage request into the body, and changes nothing else.
pub(super) fn rewrite(body: &Bytes, peeked: &Peeked, upstream_model: &str) -> Rewritten {
    let is_other = |place: &&Range<usize>| {
        let spelt = body.get((*place).clone()).unwrap_or_default();
        serde_json::from_slice::<String>(spelt).ok().as_deref() != Some(upstream_model)
    };
    let model = serde_json::Value::from(upstream_model).to_string();
    let mut splices: Vec<(Range<usize>, &str)> =
        peeked.model_values.iter().filter(is_other).map(|place| (place.clone(), model.as_str())).collect();
    splices.extend(peeked.usage_request.iter().map(|splice| (splice.at.clone(), splice.text)));
    splices.sort_unstable_by_key(|(at, _)| at.start);
    Rewritten { body: splice(body, &splices), hides_usage: peeked.usage_request.is_some() }
}

fn splice(body: &Bytes, splices: &[(Range<usize>, &str)]) -> Bytes {
    if splices.is_empty() {
        return body.clone();
    }
    let added: usize = splices.iter().map(|(_, text)| text.len()).sum();
    let mut spliced = Vec::with_capacity(body.len() + added);
    let mut from = 0;
    for (at, text) in splices {
        spliced.extend_from_slice(body.get(from..at.start).unwrap_or_default());
        spliced.extend_from_slice(text.as_bytes());
        from = at.end;
    }
    spliced.extend_from_slice(body.get(from..).unwrap_or_default());
    spliced.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rewritten(body: &str, model: &str) -> String {
        let body = Bytes::copy_from_slice(body.as_bytes());
        let peeked = Body::parse(&body).unwrap().peek().unwrap();
        String::from_utf8(rewrite(&body, &peeked, model).body.to_vec()).unwrap()
    }

    #[test]
    fn changes_the_models_name_and_nothing_else() {
        let body = "{ \"messages\":[{\"model\":\"m\"}],\"\\u006dodel\" : \"m\" ,\"x\":{\"model\":\"m\"},\"n\":1e400}\n";
        let expected = body.replacen("\" : \"m\" ,", "\" : \"up \\\"1\\\"\" ,", 1);
        assert_eq!(rewritten(body, "up \"1\""), expected);
    }

    #[test]
    fn changes_every_repetition_so_that_no_upstream_can_choose() {
        assert_eq!(
            rewritten(r#"{"model":"a","model":7,"model":"b"}"#, "b"),
            r#"{"model":"b","model":"b","model":"b"}"#
        );
    }

    #[test]
    fn does_not_copy_what_stays() {
        let body = Bytes::from_static(br#"{"model":"caf\u00e9","max_tokens":1}"#);
        let peeked = Body::parse(&body).unwrap().peek().unwrap();
        assert_eq!(peeked.model, "caf\u{e9}");
        assert_eq!(rewrite(&body, &peeked, "caf\u{e9}").body.as_ptr(), body.as_ptr());
    }

    #[test]
    fn says_what_is_wrong() {
        for (body, message, param) in [
            ("", "the body is not a JSON object: EOF", None),
            ("[1]", "a JSON object", None),
            ("{\"model\":", "EOF", None),
            ("{\"model\":\"m\"} trailing", "trailing characters", None),
            ("{}", "`model` is missing", Some("model")),
            ("{\"model\":null}", "`model` is missing", Some("model")),
            ("{\"model\":\"x\",\"model\":3}", "`model` must be a string", Some("model")),
            ("{\"model\":\"\"}", "`model` must not be empty", Some("model")),
        ] {
            let error = Body::parse(body.as_bytes()).and_then(|body| body.peek()).unwrap_err();
            assert!(error.message.contains(message) && error.param == param, "{body}: {error:?}");
        }
    }
}
