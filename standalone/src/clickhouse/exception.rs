//! ClickHouse exceptions: their code, their text, and the HTTP status that a server gives them.

use http::StatusCode;

/// An exception with the code and words of ClickHouse.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub(super) struct Exception {
    code: u16,
    /// `Code: N. DB::Exception: ... (NAME)`, without the version.
    message: String,
}

/// Names and numbers of the exceptions that this server raises itself; the engine's own come with theirs.
macro_rules! exceptions {
    ($($function:ident = $code:literal, $name:literal;)+) => {
        impl Exception {
            $(
                #[doc = concat!($name, ".")]
                pub(super) fn $function(reason: impl std::fmt::Display) -> Self {
                    Self { code: $code, message: format!("Code: {}. DB::Exception: {reason} ({})", $code, $name) }
                }
            )+
        }
    };
}

exceptions! {
    cannot_read_all_data = 33, "CANNOT_READ_ALL_DATA";
    bad_arguments = 36, "BAD_ARGUMENTS";
    too_large_compressed = 39, "TOO_LARGE_SIZE_COMPRESSED";
    checksum_mismatch = 40, "CHECKSUM_DOESNT_MATCH";
    not_implemented = 48, "NOT_IMPLEMENTED";
    syntax_error = 62, "SYNTAX_ERROR";
    unknown_format = 73, "UNKNOWN_FORMAT";
    unknown_type_of_query = 78, "UNKNOWN_TYPE_OF_QUERY";
    unknown_compression = 89, "UNKNOWN_COMPRESSION_METHOD";
    unknown_setting = 115, "UNKNOWN_SETTING";
    network_error = 210, "NETWORK_ERROR";
    query_is_too_large = 229, "QUERY_IS_TOO_LARGE";
    cannot_decompress = 271, "CANNOT_DECOMPRESS";
    outfile_not_allowed = 358, "INTO_OUTFILE_NOT_ALLOWED";
    access_denied = 497, "ACCESS_DENIED";
    unknown_role = 511, "UNKNOWN_ROLE";
    authentication_failed = 516, "AUTHENTICATION_FAILED";
    unknown_exception = 1002, "UNKNOWN_EXCEPTION";
}

impl Exception {
    /// Takes over an exception that the engine has put into words.
    pub(super) fn from_engine(message: &str) -> Self {
        let message = without_version(message.trim_end());
        let code = message.strip_prefix("Code: ").and_then(|rest| rest.split('.').next()?.parse().ok());
        match code {
            Some(code) => Self { code, message: message.to_owned() },
            None => Self::unknown_exception(message),
        }
    }

    /// What must not happen: the engine broke its own rules.
    pub(super) fn internal(reason: &str) -> Self {
        Self::unknown_exception(reason)
    }

    /// The number in `X-ClickHouse-Exception-Code`.
    pub(super) fn code(&self) -> u16 {
        self.code
    }

    /// The body of the answer: the text with the version behind it, as a server writes it.
    pub(super) fn text(&self, version: &str) -> String {
        format!("{} (version {version} (chdb))\n", self.message)
    }

    /// Whether the engine says that this statement cannot be streamed, only run as a whole.
    pub(super) fn is_not_streamable(&self) -> bool {
        self.code == 36 && self.message.contains("Streaming query is not supported")
    }

    /// The status that a server answers with.
    pub(super) fn status(&self) -> StatusCode {
        match self.code {
            194 => StatusCode::UNAUTHORIZED,
            192 | 193 | 497 | 512 | 516 => StatusCode::FORBIDDEN,
            6 | 8 | 15 | 25 | 26 | 27 | 36 | 37 | 38 | 41 | 44 | 53 | 62 | 72 | 117 | 123 | 167 | 168 | 223 | 321
            | 376 | 427 | 441 | 675 | 676 => StatusCode::BAD_REQUEST,
            46 | 47 | 50 | 56 | 60 | 63 | 73 | 78 | 81 | 115 | 152 | 336 | 511 => StatusCode::NOT_FOUND,
            159 => StatusCode::REQUEST_TIMEOUT,
            229 => StatusCode::PAYLOAD_TOO_LARGE,
            48 => StatusCode::NOT_IMPLEMENTED,
            76 | 209 | 439 => StatusCode::SERVICE_UNAVAILABLE,
            381 => StatusCode::LENGTH_REQUIRED,
            779 => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

/// Some of the engine's words come with its version already, others do not.
fn without_version(message: &str) -> &str {
    match message.rsplit_once(" (version ") {
        Some((words, version)) if version.ends_with(')') && !version.contains(' ') => words,
        _ => message,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_engines_words_keep_their_code() {
        let exception = Exception::from_engine("Code: 60. DB::Exception: Unknown table 'x'. (UNKNOWN_TABLE)\n");
        assert_eq!((exception.code(), exception.status()), (60, StatusCode::NOT_FOUND));
        let versioned = "Code: 60. DB::Exception: Unknown table 'x'. (UNKNOWN_TABLE) (version 26.7.2.1)";
        assert_eq!(Exception::from_engine(versioned), exception);
        assert_eq!(
            exception.text("26.7.2.1"),
            "Code: 60. DB::Exception: Unknown table 'x'. (UNKNOWN_TABLE) (version 26.7.2.1 (chdb))\n"
        );
    }

    #[test]
    fn words_without_a_code_are_an_unknown_exception() {
        let exception = Exception::from_engine("it broke");
        assert_eq!((exception.code(), exception.status()), (1002, StatusCode::INTERNAL_SERVER_ERROR));
        assert!(exception.text("1").starts_with("Code: 1002. DB::Exception: it broke (UNKNOWN_EXCEPTION)"));
    }

    #[test]
    fn statuses_are_those_of_a_server() {
        for (exception, status) in [
            (Exception::authentication_failed("x"), 403),
            (Exception::unknown_setting("x"), 404),
            (Exception::syntax_error("x"), 400),
            (Exception::not_implemented("x"), 501),
            (Exception::query_is_too_large("x"), 413),
            (Exception::from_engine("Code: 159. DB::Exception: Timeout (TIMEOUT_EXCEEDED)"), 408),
            (Exception::from_engine("Code: 241. DB::Exception: Memory (MEMORY_LIMIT_EXCEEDED)"), 500),
        ] {
            assert_eq!(exception.status().as_u16(), status, "{exception:?}");
        }
    }
}
