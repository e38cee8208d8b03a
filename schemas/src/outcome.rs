//! Closed enums that several services share as event fields, column values and metric labels.
//!
//! Their text is the contract; it is written once, in the macro call below each enum's docs.

use serde::{Deserialize, Serialize};

/// Declares an enum whose variants have one wire text each, with `as_str`, `ALL`, `Display` and `FromStr`.
macro_rules! wire_enum {
    ($(#[$meta:meta])* $name:ident { $($(#[$vmeta:meta])* $variant:ident = $text:literal),+ $(,)? }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum $name { $($(#[$vmeta])* #[serde(rename = $text)] $variant),+ }

        impl $name {
            /// Every value, in declaration order.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The text in events, columns and labels.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl std::str::FromStr for $name {
            type Err = String;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                match text {
                    $($text => Ok(Self::$variant),)+
                    other => Err(format!("{other:?} is none of {}", [$($text),+].join(", "))),
                }
            }
        }
    };
}

wire_enum! {
    /// The API dialect that a client speaks or an endpoint serves.
    Format {
        /// Anthropic Messages, <https://docs.anthropic.com/en/api/messages>.
        Anthropic = "anthropic",
        /// OpenAI Chat Completions, <https://platform.openai.com/docs/api-reference/chat>.
        OpenaiChat = "openai_chat",
        /// OpenAI Responses, <https://platform.openai.com/docs/api-reference/responses>.
        OpenaiResponses = "openai_responses",
        /// Google Gemini, <https://ai.google.dev/api/generate-content>.
        Gemini = "gemini",
    }
}

wire_enum! {
    /// What a request asks for.
    #[derive(Default)]
    Operation {
        /// An answer to a prompt.
        #[default]
        Generate = "generate",
        /// How many tokens a prompt has. Free of charge with every provider that offers it.
        CountTokens = "count_tokens",
    }
}

impl Operation {
    /// Whether this is the usual operation, which events do not name.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

wire_enum! {
    /// What a request may need that not every endpoint, key or model has (R21).
    Capability {
        /// A context of a million tokens, asked for by the header `anthropic-beta: context-1m-...`.
        /// <https://docs.anthropic.com/en/docs/build-with-claude/context-windows>
        Context1m = "context_1m",
        /// A prompt cache that lasts an hour, asked for by `cache_control.ttl = "1h"`.
        /// <https://docs.anthropic.com/en/docs/build-with-claude/prompt-caching>
        Cache1h = "cache_1h",
    }
}

impl Capability {
    /// Whether what has it is kept for those who need it, rather than serving everybody.
    pub const fn is_exclusive(self) -> bool {
        match self {
            Self::Cache1h => true,
            Self::Context1m => false,
        }
    }
}

wire_enum! {
    /// The kinds of event; also the middle token of the NATS subject.
    Kind {
        /// Opened, and settled by an answer that completed.
        Stream = "stream",
        /// The terminal event of every other request.
        Failure = "failure",
        /// One candidate considered for a request.
        Candidate = "candidate",
        /// The bodies of a request and its answer.
        Body = "body",
    }
}

wire_enum! {
    /// Between whom captured bodies passed.
    CaptureScope {
        /// The client's request and the answer that the client got.
        Exchange = "exchange",
        /// A provider's answer that could not be read, which no client got.
        Attempt = "attempt",
    }
}

wire_enum! {
    /// How a request ended. Every request that was let in ends in exactly one.
    Outcome {
        /// The answer reached its proper end.
        Completed = "completed",
        /// Never sent upstream.
        Rejected = "rejected",
        /// No provider answered.
        Failed = "failed",
        /// An answer had begun and was cut: by the provider, an error in the stream, a stall, or the gateway's death.
        Interrupted = "interrupted",
        /// The client left before the answer was complete.
        Cancelled = "cancelled",
    }
}

wire_enum! {
    /// Where token counts come from.
    UsageSource {
        /// The provider reported them.
        Provider = "provider",
        /// The gateway counted what it saw.
        Estimated = "estimated",
        /// Nobody knows; the counts are NULL.
        None = "none",
    }
}

wire_enum! {
    /// What became of a candidate.
    Verdict {
        /// It answered; its answer went to the client.
        Succeeded = "succeeded",
        /// It was tried and did not answer properly.
        Failed = "failed",
        /// It was not tried; the reason says why.
        Skipped = "skipped",
    }
}

wire_enum! {
    /// What went wrong, as one closed list for events, rows and metric labels.
    ErrorClass {
        /// The client's key is missing or unknown.
        Unauthenticated = "unauthenticated",
        /// The client may not use this model or format.
        Forbidden = "forbidden",
        /// The body is not what the format asks for.
        InvalidRequest = "invalid_request",
        /// No such path.
        NotFound = "not_found",
        /// No such model in the catalogue.
        ModelNotFound = "model_not_found",
        /// The path exists, the method does not.
        MethodNotAllowed = "method_not_allowed",
        /// The body is larger than `request_body_max`.
        BodyTooLarge = "body_too_large",
        /// The body did not arrive in time, or the client left while sending it.
        BodyIncomplete = "body_incomplete",
        /// A limit or budget of the client is used up.
        LimitExceeded = "limit_exceeded",
        /// The gateway refuses what it could not account for (`on_ledger_full = "refuse"`), or is stopping.
        Unavailable = "unavailable",
        /// No endpoint can serve this request.
        NoCandidate = "no_candidate",
        /// No connection to the provider.
        UpstreamConnect = "upstream_connect",
        /// The provider sent no content within the first-byte limit.
        UpstreamTimeout = "upstream_timeout",
        /// The provider refused our key (401, 403).
        UpstreamAuth = "upstream_auth",
        /// The provider is limiting us (429).
        UpstreamRateLimited = "upstream_rate_limited",
        /// The provider says that the request itself is wrong (other 4xx).
        UpstreamClientError = "upstream_client_error",
        /// The provider failed (5xx, 529).
        UpstreamServerError = "upstream_server_error",
        /// The provider's answer is not what the format promises: empty, HTML, unparsable.
        UpstreamInvalid = "upstream_invalid",
        /// The provider put an error inside a successful answer.
        UpstreamInBand = "upstream_in_band",
        /// The answer ended before it was complete.
        StreamCut = "stream_cut",
        /// The answer fell silent for longer than the idle limit.
        StreamIdle = "stream_idle",
        /// The request took longer than the total limit.
        TotalTimeout = "total_timeout",
        /// The client closed the connection.
        ClientLeft = "client_left",
        /// The gateway stopped before the answer was complete.
        Shutdown = "shutdown",
        /// The gateway died; its ledger settled the request afterwards.
        GatewayDied = "gateway_died",
        /// A fault of ours.
        Internal = "internal",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_value_agree_in_both_directions() {
        for class in ErrorClass::ALL {
            assert_eq!(class.as_str().parse::<ErrorClass>().unwrap(), *class);
            assert_eq!(serde_json::to_string(class).unwrap(), format!("\"{class}\""));
        }
        assert!("gpt".parse::<Format>().unwrap_err().contains("openai_chat"));
    }
}
