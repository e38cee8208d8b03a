//! One request of the completion endpoints: what is asked, what goes wrong with it, and the answer.

use std::future::pending;
use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, HeaderName, RETRY_AFTER};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body_util::{BodyExt, Either, Full, Limited};
use hyper::body::Incoming;
use schemas::outcome::Format;
use schemas::time::Timestamp;
use schemas::usage::Usage;
use tokio::time::sleep;
use uuid::Uuid;

use super::Simulator;
use super::ask::{Ask, Refusal};
use super::dialect::{self, Names};
use super::endpoint::Address;
use super::fault::{self, Fault};
use super::frames::Frame;
use super::plan::Plan;
use super::playback::{Ended, Finish, Pace, Playback};
use super::random::Random;
use super::reply::{Reply, head, html, message_of, refuse, respond, typed};
use super::server::BODY_MAX_BYTES;
use super::tally::{Answer, Ending, Ticket};

const SLOW: Duration = Duration::from_millis(50);

/// Answers a request; an error closes the connection without a response.
pub(super) async fn complete(
    simulator: &Simulator,
    address: &Address,
    request: Request<Incoming>,
) -> Result<Reply, Ended> {
    let (parts, body) = request.into_parts();
    let mut letters = Random::new(Uuid::now_v7().as_u128() as u64);
    let format = address.format;
    let tag = parts.headers.get(fault::TAG).and_then(|tag| tag.to_str().ok()).map(str::to_owned);
    let call = Call { simulator, address, request_id: format!("req_{}", letters.letters(24)), tag };
    let Ok(body) = Limited::new(body, BODY_MAX_BYTES).collect().await else {
        return Ok(call.refuse(None, 413, "Request exceeds the maximum size"));
    };
    let (ask, fault) = match call.read(&parts, &body.to_bytes()) {
        Ok(read) => read,
        Err(Refusal { status, message }) => return Ok(call.refuse(None, status, &message)),
    };
    let asked = Some((&ask, fault));
    match fault {
        Some(Fault::Drop) => {
            call.open(asked, 0).settle(Ending::Broken, false);
            return Err(Ended);
        }
        Some(Fault::Hang) => return call.hang(asked).await,
        Some(Fault::Html) => {
            call.open(asked, 502).settle(Ending::Refused, false);
            return Ok(html());
        }
        Some(Fault::Error { status, retry_after_s }) => {
            let mut reply = call.refuse(asked, status, message_of(status));
            reply.headers_mut().extend(retry_after_s.map(|seconds| (RETRY_AFTER, HeaderValue::from(seconds))));
            return Ok(reply);
        }
        Some(Fault::EarlyError) => {
            call.open(asked, 200).settle(Ending::Refused, false);
            let mut reply = early_error(&ask, &call.request_id);
            head(format, &call.request_id, reply.headers_mut());
            return Ok(reply);
        }
        Some(Fault::StreamError) if !ask.stream => {
            let status = dialect::overloaded(format);
            return Ok(call.refuse(asked, status, message_of(status)));
        }
        Some(Fault::Silent | Fault::Stall) if !ask.stream => return call.hang(asked).await,
        _ => {}
    }
    let plan = Plan::new(&ask, &simulator.options);
    let response_id = dialect::response_id(format, &mut letters);
    let mut ticket = call.open(asked, 200);
    ticket.bill(&response_id, plan.usage);
    let call_id = dialect::call_id(format, &mut letters);
    let telling = Telling { ask: &ask, plan: &plan, response_id: &response_id, call_id: &call_id, fault };
    let mut reply = telling.reply(simulator, ticket).await;
    head(format, &call.request_id, reply.headers_mut());
    Ok(reply)
}

/// A request on its way to an answer.
struct Call<'a> {
    simulator: &'a Simulator,
    address: &'a Address,
    request_id: String,
    tag: Option<String>,
}

type Asked<'a> = Option<(&'a Ask, Option<Fault>)>;

impl Call<'_> {
    fn read(&self, head: &Parts, body: &[u8]) -> Result<(Ask, Option<Fault>), Refusal> {
        let headers = &head.headers;
        authorise(self.simulator, headers, head.uri.query().unwrap_or_default())?;
        if self.address.format == Format::Anthropic && !headers.contains_key("anthropic-version") {
            return Err(Refusal { status: 400, message: "anthropic-version: header is required".to_owned() });
        }
        let ask = Ask::read(self.address, body)?;
        let fault = fault_of(&ask, headers)?;
        Ok((ask, fault))
    }

    fn open(&self, asked: Asked<'_>, status: u16) -> Ticket {
        let (ask, fault) = asked.map_or((None, None), |(ask, fault)| (Some(ask), fault));
        self.simulator.book.open(Answer {
            request_id: self.request_id.clone(),
            response_id: String::new(),
            format: self.address.format,
            model: ask.map(|ask| ask.model.clone()).unwrap_or_default(),
            stream: ask.is_some_and(|ask| ask.stream),
            ending: Ending::Aborted,
            status,
            usage: Usage::UNKNOWN,
            usage_reported: false,
            fault: fault.map(|fault| fault.to_string()),
            tag: self.tag.clone(),
        })
    }

    fn refuse(&self, asked: Asked<'_>, status: u16, message: &str) -> Reply {
        self.open(asked, status).settle(Ending::Refused, false);
        refuse(self.address.format, status, message, &self.request_id)
    }

    /// Ends when the client's leaving drops it.
    async fn hang(&self, asked: Asked<'_>) -> Result<Reply, Ended> {
        let mut ticket = self.open(asked, 0);
        ticket.falls_as(Ending::Broken);
        pending().await
    }
}

/// An answer about to be put into its dialect.
struct Telling<'a> {
    ask: &'a Ask,
    plan: &'a Plan,
    response_id: &'a str,
    call_id: &'a str,
    fault: Option<Fault>,
}

impl Telling<'_> {
    async fn reply(&self, simulator: &Simulator, mut ticket: Ticket) -> Reply {
        let options = &simulator.options;
        let per_token = if self.fault == Some(Fault::Slow) { options.per_token.max(SLOW) } else { options.per_token };
        let pace = Pace { first_token: options.first_token, per_token };
        if self.ask.stream {
            return self.stream(simulator, pace, ticket);
        }
        let tokens = self.plan.usage.output.unwrap_or(0);
        sleep(pace.whole(tokens)).await;
        let body = dialect::body(self.ask.format, self.plan, &self.names());
        if self.fault == Some(Fault::Cut) {
            let mut bytes = Bytes::from(body.to_string());
            bytes.truncate(bytes.len() / 2);
            let half = Frame { bytes, tokens: 0 };
            ticket.sent(tokens);
            let playback = Playback::new(vec![half], pace, Finish::Cut, ticket);
            return typed(Response::new(Either::Right(playback)), "application/json");
        }
        ticket.settle(Ending::Completed, self.fault != Some(Fault::NoUsage));
        respond(200, &body)
    }

    fn stream(&self, simulator: &Simulator, pace: Pace, mut ticket: Ticket) -> Reply {
        let Ask { format, framing, .. } = *self.ask;
        let mut frames = dialect::stream(format, self.plan, &self.names(), &simulator.options);
        if dialect::tells_as_it_goes(format) && self.reports_usage() {
            ticket.tells_as_it_goes();
        }
        let finish = match self.fault {
            Some(Fault::Cut) => Finish::Cut,
            Some(Fault::Stall | Fault::Silent) => Finish::Stall,
            Some(Fault::StreamError) => Finish::Broken,
            _ => Finish::Complete { usage_reported: self.reports_usage() },
        };
        match self.fault {
            Some(Fault::Silent) => frames.clear(),
            Some(Fault::Cut | Fault::Stall) => frames.truncate(frames.len() / 2),
            Some(Fault::StreamError) => {
                frames.truncate(frames.len() / 2);
                frames.extend(dialect::error_event(format, framing, frames.len()));
            }
            _ => {}
        }
        let playback = Playback::new(frames, pace, finish, ticket);
        typed(Response::new(Either::Right(playback)), dialect::stream_type(framing, format))
    }

    fn names(&self) -> Names<'_> {
        Names {
            id: self.response_id,
            model: &self.ask.model,
            call_id: self.call_id,
            created_s: Timestamp::now().as_micros() / 1_000_000,
            with_usage: self.reports_usage(),
            shows_thought: self.ask.shows_thought,
            framing: self.ask.framing,
        }
    }

    fn reports_usage(&self) -> bool {
        (!self.ask.stream || self.ask.include_usage) && self.fault != Some(Fault::NoUsage)
    }
}

/// An error where the answer should begin, under a status of success.
fn early_error(ask: &Ask, request_id: &str) -> Reply {
    let Ask { format, framing, .. } = *ask;
    if !ask.stream {
        let status = dialect::overloaded(format);
        return respond(200, &dialect::error(format, status, message_of(status), request_id));
    }
    let frames = dialect::error_event(format, framing, 0);
    let bytes: Vec<u8> = frames.iter().flat_map(|frame| frame.bytes.iter().copied()).collect();
    typed(Response::new(Either::Left(Full::from(bytes))), dialect::stream_type(framing, format))
}

fn fault_of(ask: &Ask, headers: &HeaderMap) -> Result<Option<Fault>, Refusal> {
    let asked = match headers.get(fault::HEADER).map(|value| value.to_str().unwrap_or_default()) {
        Some(text) => text.parse().map(Some),
        None => Fault::of_model(&ask.model),
    };
    asked.map_err(|error| Refusal { status: 404, message: format!("model: {}: {error}", ask.model) })
}

fn authorise(simulator: &Simulator, headers: &HeaderMap, query: &str) -> Result<(), Refusal> {
    let Some(key) = &simulator.options.key else { return Ok(()) };
    let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let bearer = text(AUTHORIZATION).and_then(|value| value.strip_prefix("Bearer "));
    let named = ["x-api-key", "x-goog-api-key"].into_iter().find_map(|name| text(HeaderName::from_static(name)));
    let in_query = || form_urlencoded::parse(query.as_bytes()).any(|(name, value)| name == "key" && value == *key);
    if named.or(bearer) == Some(key) || in_query() {
        return Ok(());
    }
    Err(Refusal { status: 401, message: "invalid x-api-key".to_owned() })
}
