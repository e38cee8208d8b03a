//! A request, from top to bottom. This is the only file that knows the order of the stages.
//!
//! Each stage consumes what the one before returned. The [`Ticket`] goes along: it is settled exactly once, whatever
//! happens, and its settling is the request's one terminal event.

mod receipt;
mod rejection;
mod tags;
mod failure;
mod ending;
mod considered;

mod accept;
mod authenticate;
mod receive;
mod route;
mod limit;
mod failover;
mod attempt;
mod relay;
mod account;

mod models;
mod outliving;

#[cfg(test)]
mod tests;

pub(crate) use accept::Route;
pub(crate) use rejection::Flood;

use std::sync::Arc;

use axum::body::Body;
use axum::http::{Request, Response};
use schemas::outcome::{ErrorClass, Outcome};
use tokio_util::sync::CancellationToken;

use self::attempt::Answer;
use self::failure::Failure;
use self::outliving::Outliving;
use self::receipt::Ticket;
use self::rejection::Rejection;
use self::relay::Relay;
use self::route::Routed;
use crate::app::App;
use crate::estimate::Prompt;

/// Serves one request.
pub(crate) async fn handle(app: Arc<App>, route: Route, request: Request<Body>) -> Response<Body> {
    let mut ticket = Ticket::new(&app, route.format());
    if let Route::Models(format) = route {
        return match models::list(&app, &mut ticket, format, request) {
            Ok(response) => {
                ticket.dismiss();
                response
            }
            Err(rejection) => rejection::reject(ticket, rejection),
        };
    }
    match admit(&app, &mut ticket, route, request).await {
        Ok(routed) => answer(app, ticket, routed).await,
        Err(rejection) => rejection::reject(ticket, rejection),
    }
}

/// The stages before anything is sent upstream.
async fn admit(app: &App, ticket: &mut Ticket, route: Route, request: Request<Body>) -> Result<Box<Routed>, Rejection> {
    let accepted = accept::accept(ticket, route, request)?;
    let authenticated = authenticate::authenticate(app, ticket, accepted)?;
    let received = receive::receive(app, ticket, authenticated).await?;
    let routed = route::route(app, ticket, received)?;
    limit::limit(app, ticket, routed)
}

/// The stages from the first attempt on. They outlive the client's connection: what a provider bills is recorded even if
/// nobody waits for it any more.
async fn answer(app: Arc<App>, ticket: Box<Ticket>, routed: Box<Routed>) -> Response<Body> {
    let (format, id, tasks) = (ticket.format(), ticket.id(), app.requests.clone());
    let gone = CancellationToken::new();
    let stages = run(app, ticket, routed, gone.clone());
    match Outliving::new(stages, gone, tasks).await {
        Some(response) => response,
        // The stages panicked; their ticket was settled on the way out.
        None => rejection::own_error(format, id, ErrorClass::Internal, "the gateway failed; try again").map(Body::from),
    }
}

/// How the attempts ended.
enum Ended {
    Answered(Answer),
    Failed(Box<Failure>),
    Abandoned,
    Aborted,
}

/// A response that nobody takes is dropped; a relay among them then drains its upstream.
async fn run(app: Arc<App>, mut ticket: Box<Ticket>, routed: Box<Routed>, gone: CancellationToken) -> Response<Body> {
    let left_out = considered::left_out(&ticket, routed.line.fit.len(), routed.left_out());
    if let Err(unwritten) = ticket.open(routed.request_bytes(), &left_out) {
        return rejection::reject(ticket, Rejection::unaccountable(&unwritten.to_string()));
    }
    ticket.prompt = Some(Prompt::new(ticket.format(), routed.body.clone()));
    let ended = tokio::select! {
        result = failover::failover(&app, &mut ticket, &routed, &gone) => match result {
            Ok(answer) => Ended::Answered(answer),
            Err(failure) => Ended::Failed(Box::new(failure)),
        },
        () = abandoned(&app, &gone) => Ended::Abandoned,
        () = app.abort.cancelled() => Ended::Aborted,
    };
    let left = gone.is_cancelled();
    match ended {
        Ended::Abandoned => {
            ticket.settle(Outcome::Cancelled, Some(account::client_left()));
            Response::default()
        }
        Ended::Aborted => {
            let message = "the gateway is stopping; try again";
            let response = rejection::answer(&mut ticket, ErrorClass::Shutdown, message);
            ticket.settle(Outcome::Interrupted, Some(account::note(ErrorClass::Shutdown, message)));
            response
        }
        Ended::Failed(failure) => relay::fail(ticket, *failure, left),
        Ended::Answered(answer) => match answer {
            Answer::Whole(whole) => relay::whole(ticket, whole, left),
            Answer::Stream(opened) => Relay::start(&app, ticket, opened).await,
        },
    }
}

/// Resolves when the client has been gone for longer than an unanswered request is read on.
async fn abandoned(app: &App, gone: &CancellationToken) {
    gone.cancelled().await;
    tokio::time::sleep(app.drain.time.0).await;
}
