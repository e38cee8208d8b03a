//! The list of models that a client may use. Nothing goes upstream and nothing is billed, so it leaves no event.

use axum::body::Body;
use axum::http::{HeaderValue, Request, Response, header};
use schemas::outcome::{ErrorClass, Format};

use super::accept::{self, Route};
use super::authenticate;
use super::receipt::Ticket;
use super::rejection::{self, Rejection};
use crate::app::App;
use crate::formats;

/// Answers a list, or one entry of it.
pub(super) fn list(
    app: &App,
    ticket: &mut Ticket,
    format: Format,
    request: Request<Body>,
) -> Result<Response<Body>, Rejection> {
    let accepted = accept::accept(ticket, Route::Models(format), request)?;
    let wanted = wanted(&accepted.path).map(str::to_owned);
    let authenticated = authenticate::authenticate(app, ticket, accepted)?;
    // OpenAI's two APIs share one list.
    let family: &[Format] = match format {
        Format::OpenaiChat | Format::OpenaiResponses => &[Format::OpenaiChat, Format::OpenaiResponses],
        Format::Anthropic => &[Format::Anthropic],
        Format::Gemini => &[Format::Gemini],
    };
    let speaks = family.iter().any(|format| authenticated.caller.may_speak(*format));
    let names: Vec<&str> = app
        .catalog
        .names(format)
        .filter(|(_, canonical)| speaks && authenticated.caller.may_use(canonical))
        .map(|n| n.0)
        .collect();
    let body = match wanted {
        None => formats::model_list(format, &names),
        Some(name) if names.contains(&name.as_str()) => formats::model_entry(format, &name),
        Some(name) => {
            let message = format!("the model {:?} does not exist here", accept::printable(&name));
            return Err(Rejection::new(ErrorClass::ModelNotFound, message));
        }
    };
    let mut response = Response::new(Body::from(body));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    rejection::own_headers(response.headers_mut(), ticket.id());
    Ok(response)
}

/// The name behind `/models/`; `None` for the list.
fn wanted(path: &str) -> Option<&str> {
    path.split_once("/models/").map(|(_, name)| name).filter(|name| !name.is_empty())
}
