//! Failures -> status and message: what the caller reads, and what the log needs.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use crate::clickhouse;
use crate::live::LISTENERS_MAX;
use crate::params;

/// Everything that an API request can fail with.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A parameter is wrong.
    #[error(transparent)]
    Parameter(#[from] params::Error),
    /// The answer would have more rows than an answer may have.
    #[error("the answer has more than {limit} rows: {remedy}")]
    TooManyRows {
        /// Most rows allowed.
        limit: usize,
        /// What to change.
        remedy: &'static str,
    },
    /// No bearer token, or a wrong one.
    #[error("this service asks for a token: send `Authorization: Bearer <the value of analytics.token>`")]
    Unauthorized,
    /// No such path.
    #[error("there is nothing at this path; /openapi.json lists what there is")]
    NotFound,
    /// The path exists, the method does not.
    #[error("only GET is understood here")]
    MethodNotAllowed,
    /// No request of that id was ever let in, or its rows are not stored yet.
    #[error("there is no request {0}: check the id; a request appears here within seconds of its end")]
    NoSuchRequest(uuid::Uuid),
    /// Every place of the tail is taken, or the service is stopping.
    #[error("too many listen already ({LISTENERS_MAX} can), or this service is stopping: try again shortly")]
    TooManyListeners,
    /// The storage did not answer as it should.
    #[error(transparent)]
    ClickHouse(#[from] clickhouse::Error),
}

#[derive(Serialize)]
struct Body {
    error: Detail,
}

#[derive(Serialize)]
struct Detail {
    code: &'static str,
    message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    parameter: Option<String>,
}

impl Error {
    fn status_and_code(&self) -> (StatusCode, &'static str) {
        match self {
            Self::Parameter(_) => (StatusCode::BAD_REQUEST, "invalid_parameter"),
            Self::TooManyRows { .. } => (StatusCode::BAD_REQUEST, "too_many_rows"),
            Self::Unauthorized => (StatusCode::UNAUTHORIZED, "unauthorized"),
            Self::NotFound => (StatusCode::NOT_FOUND, "not_found"),
            Self::NoSuchRequest(_) => (StatusCode::NOT_FOUND, "no_such_request"),
            Self::MethodNotAllowed => (StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed"),
            Self::TooManyListeners => (StatusCode::SERVICE_UNAVAILABLE, "too_many_listeners"),
            Self::ClickHouse(error) => match error {
                clickhouse::Error::Unreachable(_) => (StatusCode::SERVICE_UNAVAILABLE, "clickhouse_unavailable"),
                clickhouse::Error::NotMigrated(_) => (StatusCode::SERVICE_UNAVAILABLE, "clickhouse_not_migrated"),
                clickhouse::Error::Refused(_) => (StatusCode::SERVICE_UNAVAILABLE, "clickhouse_refused"),
                clickhouse::Error::Busy => (StatusCode::SERVICE_UNAVAILABLE, "busy"),
                clickhouse::Error::TooSlow(_) => (StatusCode::GATEWAY_TIMEOUT, "query_too_slow"),
                clickhouse::Error::TooLarge(_) => (StatusCode::BAD_REQUEST, "query_too_large"),
                clickhouse::Error::Failed(_) => (StatusCode::INTERNAL_SERVER_ERROR, "query_failed"),
            },
        }
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let (status, code) = self.status_and_code();
        if let Self::ClickHouse(error) = &self {
            // The caller learns the kind of failure, the operator its words: they may hold names of hosts and tables.
            let (status, detail) = (status.as_u16(), error.brief());
            tracing::warn!(status, code, detail, "a query failed: {error}");
            tracing::debug!(status, code, detail = error.detail(), "a query failed, in ClickHouse's words");
        }
        let parameter = match &self {
            Self::Parameter(error) => Some(error.parameter.clone()),
            _ => None,
        };
        let body = Body { error: Detail { code, message: self.to_string(), parameter } };
        let mut response = (status, Json(body)).into_response();
        let headers = response.headers_mut();
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"weir\""));
        }
        if status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}
