//! One request of the completion endpoints: what is asked, what goes wrong with it, and the answer.

use std::future::pending;
use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, HeaderName, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body_util::{BodyExt, Either, Limited};
use hyper::body::Incoming;
use schemas::outcome::Format;
use schemas::time::Timestamp;
use schemas::usage::Usage;
use tokio::time::sleep;
use uuid::Uuid;

use super::anthropic::Names;
use super::ask::{Ask, Refusal};
use super::fault::{self, Fault};
use super::frames::Frame;
use super::plan::Plan;
use super::playback::{Ended, Finish, Pace, Playback};
use super::random::Random;
use super::reply::{Reply, head, html, message_of, refuse, respond, typed};
use super::server::BODY_MAX_BYTES;
use super::tally::{Answer, Ending, Ticket};
use super::{Simulator, anthropic, openai_chat};

const SLOW: Duration = Duration::from_millis(50);

/// Answers a request; an error closes the connection without a response.
pub(super) async fn complete(
    simulator: &Simulator,
    format: Format,
    request: Request<Incoming>,
) -> Result<Reply, Ended> {
    let (parts, body) = request.into_parts();
    let mut letters = Random::new(Uuid::now_v7().as_u128() as u64);
    let call = Call { simulator, format, request_id: format!("req_{}", letters.letters(24)) };
    let Ok(body) = Limited::new(body, BODY_MAX_BYTES).collect().await else {
        return Ok(call.refuse(None, 413, "Request exceeds the maximum size"));
    };
    let (ask, fault) = match call.read(&parts.headers, &body.to_bytes()) {
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
        Some(Fault::StreamError) if !ask.stream => {
            let status = if format == Format::Anthropic { 529 } else { 503 };
            return Ok(call.refuse(asked, status, message_of(status)));
        }
        Some(Fault::Silent | Fault::Stall) if !ask.stream => return call.hang(asked).await,
        _ => {}
    }
    let plan = Plan::new(&ask, &simulator.options);
    let response_id = match format {
        Format::Anthropic => format!("msg_01{}", letters.letters(22)),
        _ => format!("chatcmpl-{}", letters.letters(29)),
    };
    let mut ticket = call.open(asked, 200);
    ticket.bill(&response_id, plan.usage);
    let telling = Telling { ask: &ask, plan: &plan, response_id: &response_id, fault };
    let mut reply = telling.reply(simulator, ticket).await;
    head(format, &call.request_id, reply.headers_mut());
    Ok(reply)
}

/// A request on its way to an answer.
struct Call<'a> {
    simulator: &'a Simulator,
    format: Format,
    request_id: String,
}

type Asked<'a> = Option<(&'a Ask, Option<Fault>)>;

impl Call<'_> {
    fn read(&self, headers: &HeaderMap, body: &[u8]) -> Result<(Ask, Option<Fault>), Refusal> {
        authorise(self.simulator, headers)?;
        if self.format == Format::Anthropic && !headers.contains_key("anthropic-version") {
            return Err(Refusal { status: 400, message: "anthropic-version: header is required".to_owned() });
        }
        let ask = Ask::read(self.format, body)?;
        let fault = fault_of(&ask, headers)?;
        Ok((ask, fault))
    }

    fn open(&self, asked: Asked<'_>, status: u16) -> Ticket {
        let (ask, fault) = asked.map_or((None, None), |(ask, fault)| (Some(ask), fault));
        self.simulator.book.open(Answer {
            request_id: self.request_id.clone(),
            response_id: String::new(),
            format: self.format,
            model: ask.map(|ask| ask.model.clone()).unwrap_or_default(),
            stream: ask.is_some_and(|ask| ask.stream),
            ending: Ending::Aborted,
            status,
            usage: Usage::UNKNOWN,
            usage_reported: false,
            fault: fault.map(|fault| fault.to_string()),
        })
    }

    fn refuse(&self, asked: Asked<'_>, status: u16, message: &str) -> Reply {
        self.open(asked, status).settle(Ending::Refused, false);
        refuse(self.format, status, message, &self.request_id)
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
        let body = match self.ask.format {
            Format::Anthropic => anthropic::body(self.plan, &self.names()),
            _ => openai_chat::body(self.plan, &self.names(), now_s()),
        };
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

    fn stream(&self, simulator: &Simulator, pace: Pace, ticket: Ticket) -> Reply {
        let options = &simulator.options;
        let (mut frames, error) = match self.ask.format {
            Format::Anthropic => {
                (anthropic::stream(self.plan, &self.names(), options), anthropic::error_event as fn() -> Vec<Frame>)
            }
            _ => (
                openai_chat::stream(self.plan, &self.names(), options, now_s()),
                openai_chat::error_event as fn() -> Vec<Frame>,
            ),
        };
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
                frames.extend(error());
            }
            _ => {}
        }
        let playback = Playback::new(frames, pace, finish, ticket);
        typed(Response::new(Either::Right(playback)), "text/event-stream; charset=utf-8")
    }

    fn names(&self) -> Names<'_> {
        Names {
            id: self.response_id,
            model: &self.ask.model,
            call_id: self.response_id,
            with_usage: self.reports_usage(),
        }
    }

    fn reports_usage(&self) -> bool {
        let asked = self.ask.format == Format::Anthropic || !self.ask.stream || self.ask.include_usage;
        asked && self.fault != Some(Fault::NoUsage)
    }
}

fn fault_of(ask: &Ask, headers: &HeaderMap) -> Result<Option<Fault>, Refusal> {
    let asked = match headers.get(fault::HEADER).map(|value| value.to_str().unwrap_or_default()) {
        Some(text) => text.parse().map(Some),
        None => Fault::of_model(&ask.model),
    };
    asked.map_err(|error| Refusal { status: 404, message: format!("model: {}: {error}", ask.model) })
}

fn authorise(simulator: &Simulator, headers: &HeaderMap) -> Result<(), Refusal> {
    let Some(key) = &simulator.options.key else { return Ok(()) };
    let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let bearer = text(AUTHORIZATION).and_then(|value| value.strip_prefix("Bearer "));
    if text(HeaderName::from_static("x-api-key")).or(bearer) == Some(key) {
        return Ok(());
    }
    Err(Refusal { status: 401, message: "invalid x-api-key".to_owned() })
}

fn now_s() -> i64 {
    Timestamp::now().as_micros() / 1_000_000
}
