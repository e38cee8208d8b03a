//! A caller gets an answer whenever anybody can give one, nobody is hammered, and every try has its row.
//!
//! The faults are those of the public FailoverBench catalogue (S01 to S16) and some more. Every scenario has endpoints of
//! its own, a primary and mostly a fallback, behind one scripted provider whose log is compared with the rows of
//! candidates, one to one. All scenarios share one pipeline; it ends with the last test that uses it.

mod bare;

mod limits;
mod failures;
mod silence;
mod streams;
mod callers;
mod flapping;
mod sole;
mod in_band;

mod affinity;
mod follow_ups;
mod capabilities;
mod dialects;

use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use serde::Deserialize;
use serde_json::{Value, json};
use tests::answers::{self, Tokens, openai_body, openai_events};
use tests::caller::Answer;
use tests::configuration::KEY_A;
use tests::eventually;
use tests::provider::{Received, Reply, Step};
use tests::stack::{ARRIVAL, Plan, Row, Stack};
use tokio::runtime::Runtime;
use uuid::Uuid;

/// Both sides count differently, so that a row shows whose answer it was.
const PRIMARY: Tokens = Tokens { input: 11, cache_read: 0, cache_write_5m: 0, cache_write_1h: 0, output: 5 };
const FALLBACK: Tokens = Tokens { input: 13, cache_read: 0, cache_write_5m: 0, cache_write_1h: 0, output: 7 };
const FIRST_BYTE: Duration = Duration::from_secs(3);
const IDLE: Duration = Duration::from_secs(2);
/// What a loaded machine may take on top.
const SLACK: Duration = Duration::from_secs(8);

/// What an endpoint answers the nth time, from 1. `None`: a good answer.
type Script = fn(usize) -> Option<Reply>;

/// A scenario: its name, what the two endpoints do, and whether there is a second one at all.
struct Scenario {
    name: &'static str,
    primary: Script,
    fallback: Option<Script>,
}

const fn scenario(name: &'static str, primary: Script, fallback: Option<Script>) -> Scenario {
    Scenario { name, primary, fallback }
}

const GOOD: Option<Script> = Some(|_| None);

const ALL: [&[Scenario]; 7] = [
    limits::SCENARIOS,
    failures::SCENARIOS,
    silence::SCENARIOS,
    streams::SCENARIOS,
    callers::SCENARIOS,
    flapping::SCENARIOS,
    sole::SCENARIOS,
];

fn refusal(status: u16, kind: &str, code: &str, message: &str) -> Reply {
    let error = json!({ "error": { "message": message, "type": kind, "code": code, "param": null } });
    Reply::whole(status, "application/json", error.to_string())
}

fn overloaded() -> Reply {
    refusal(503, "service_unavailable_error", "overloaded", "The primary is overloaded")
}

/// The first events of a good answer, then something else.
fn beginning(count: usize, then: Step) -> Reply {
    let mut events = openai_events("primary-model", PRIMARY, &["one ", "two"], true);
    events.truncate(count);
    let steps = events.into_iter().map(Step::Send).chain([then]).collect();
    Reply::steps(200, "text/event-stream", steps)
}

/// What the provider was asked, and what it answered; nothing if it did not.
#[derive(Clone, Debug)]
struct Asked {
    endpoint: String,
    model: String,
    status: Option<u16>,
    at: Instant,
}

type Log = Arc<Mutex<Vec<Asked>>>;

/// A row of `candidates`.
#[derive(Clone, Debug, Deserialize)]
struct Candidate {
    attempt_index: u16,
    verdict: String,
    reason: String,
    endpoint: String,
    model_upstream: String,
    status: Option<u16>,
    input_tokens: Option<u64>,
    output_tokens: Option<u64>,
}

/// A request that has been answered, and who was asked for it.
struct Sent {
    answer: Answer,
    asked: Vec<Asked>,
    took: Duration,
}

/// What one request came to.
struct Told {
    answer: Answer,
    row: Row,
    candidates: Vec<Candidate>,
    asked: Vec<Asked>,
    took: Duration,
}

impl Told {
    /// Who was asked, in order.
    fn order(&self) -> Vec<&str> {
        self.asked.iter().map(|asked| asked.endpoint.rsplit('-').next().unwrap()).collect()
    }

    fn reasons(&self) -> Vec<&str> {
        self.candidates.iter().map(|candidate| candidate.reason.as_str()).collect()
    }

    /// Who was asked, and why all but the last were left.
    fn assert_left(&self, order: &[&str], reason: &str) {
        assert_eq!(self.order(), order);
        assert!(self.reasons()[..order.len() - 1].iter().all(|word| *word == reason), "{:?}", self.reasons());
    }

    /// A whole answer of this side, with its usage, its model and its provider, and nothing of the other.
    fn assert_answered_by(&self, side: &str) {
        let tokens = if side == "primary" { PRIMARY } else { FALLBACK };
        let text = self.answer.text();
        assert_eq!(self.answer.status, 200, "{text}");
        assert!(text.contains("one ") && text.contains("two") && self.answer.broken.is_none(), "{text}");
        assert!(text.contains(&format!("{side}-model")), "{text}");
        assert_eq!(self.answer.headers["x-weir-provider"].to_str().unwrap(), self.row.provider);
        assert_eq!(self.answer.headers["x-weir-attempts"].to_str().unwrap(), self.asked.len().to_string());
        let Row { outcome, endpoint, input_tokens, output_tokens, .. } = &self.row;
        assert_eq!(
            (outcome.as_str(), *input_tokens, *output_tokens),
            ("completed", Some(tokens.input), Some(tokens.output))
        );
        assert!(endpoint.ends_with(side), "{endpoint}");
        assert_eq!(self.candidates.last().unwrap().verdict, "succeeded");
    }

    /// The provider's own error, with its status and words, and a row that names whose it is.
    fn assert_failed(&self, status: u16, words: &str, class: &str) {
        assert_eq!(self.answer.status, status, "{}", self.answer.text());
        assert!(self.answer.text().contains(words), "{}", self.answer.text());
        let Row { outcome, error_class, upstream_status, endpoint, cost_usd, .. } = &self.row;
        assert_eq!((outcome.as_str(), error_class.as_str(), *upstream_status), ("failed", class, Some(status)));
        assert!(endpoint.ends_with("primary"), "the row names whose error it is, not {endpoint}");
        assert_eq!(*cost_usd, None, "a failed try is not billed");
    }

    /// Between the tries at the primary.
    fn gaps(&self) -> Vec<Duration> {
        let primary = self.asked.iter().filter(|asked| asked.endpoint.ends_with("-primary"));
        let times: Vec<Instant> = primary.map(|asked| asked.at).collect();
        times.windows(2).map(|pair| pair[1] - pair[0]).collect()
    }

    /// At most two tries within a second and a half, and six in all. The clock is the provider's, some milliseconds late.
    fn assert_not_hammered(&self) {
        for pair in self.gaps().windows(2) {
            assert!(pair[0] + pair[1] >= Duration::from_millis(1450), "hammered: {:?}", self.asked);
        }
        assert!(self.asked.len() <= 6, "{:?}", self.asked);
    }
}

/// The pipeline that all scenarios share, on threads of its own: tests come and go.
struct Bench {
    stack: Stack,
    log: Log,
    runtime: Option<Runtime>,
}

impl Bench {
    /// The one that is running, or a new one.
    fn shared() -> Arc<Self> {
        static SHARED: Mutex<Weak<Bench>> = Mutex::new(Weak::new());
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        shared.upgrade().unwrap_or_else(|| {
            let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
            let (stack, log) = runtime.block_on(start());
            let bench = Arc::new(Self { stack, log, runtime: Some(runtime) });
            *shared = Arc::downgrade(&bench);
            bench
        })
    }

    fn run<T>(&self, work: impl Future<Output = T>) -> T {
        self.runtime.as_ref().unwrap().block_on(work)
    }

    /// One request for a stream to the model of a scenario, once all is recorded.
    fn ask(&self, scenario: &str) -> Told {
        self.run(self.told(scenario, true))
    }

    /// The same for an answer that is not streamed.
    fn ask_plainly(&self, scenario: &str) -> Told {
        self.run(self.told(scenario, false))
    }

    async fn told(&self, scenario: &str, stream: bool) -> Told {
        self.recorded(self.send(scenario, stream).await).await
    }

    async fn send(&self, scenario: &str, stream: bool) -> Sent {
        let before = Instant::now();
        let answer = self.stack.caller().send("/v1/chat/completions", &answers::openai_request(scenario, stream)).await;
        Sent { answer, took: before.elapsed(), asked: self.asked(scenario, before) }
    }

    async fn recorded(&self, Sent { answer, asked, took }: Sent) -> Told {
        let row = self.stack.row(answer.request_id()).await;
        let candidates = candidates(&self.stack, answer.request_id(), asked.len()).await;
        // One to one: as many as were asked, in that order, for those models, with those answers.
        let told = candidates.iter().map(|row| (row.endpoint.as_str(), row.model_upstream.as_str(), row.status));
        let was = asked.iter().map(|asked| (asked.endpoint.as_str(), asked.model.as_str(), asked.status));
        assert_eq!(told.collect::<Vec<_>>(), was.collect::<Vec<_>>(), "{candidates:?}");
        assert_eq!(usize::from(row.attempts), asked.len(), "{row:?}");
        let told = Told { answer, row, candidates, asked, took };
        told.assert_not_hammered();
        told
    }

    /// What the provider was asked for a scenario, from then on.
    fn asked(&self, scenario: &str, since: Instant) -> Vec<Asked> {
        let log = self.log.lock().unwrap().clone();
        let is_ours = |asked: &Asked| asked.endpoint.rsplit_once('-').unwrap().0 == scenario && asked.at >= since;
        log.into_iter().filter(is_ours).collect()
    }

    /// The story that analytics tells of a request.
    fn story(&self, id: Uuid) -> Value {
        self.run(async { self.stack.reader().get_json(&format!("/v1/requests/{id}")).await })
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        // Waiting for its threads is not allowed wherever this may happen.
        self.runtime.take().unwrap().shutdown_background();
    }
}

async fn start() -> (Stack, Log) {
    let log = Log::default();
    let seen = Arc::clone(&log);
    let script = move |received: &Received| {
        let endpoint = received.uri.path().split('/').nth(1).unwrap().to_owned();
        let (name, side) = endpoint.rsplit_once('-').unwrap();
        let scenario = ALL.iter().copied().flatten().find(|scenario| scenario.name == name).unwrap();
        let script = if side == "primary" { scenario.primary } else { scenario.fallback.unwrap() };
        let tokens = if side == "primary" { PRIMARY } else { FALLBACK };
        let request = received.json();
        let model = request["model"].as_str().unwrap().to_owned();
        let mut log = seen.lock().unwrap();
        let nth = log.iter().filter(|asked| asked.endpoint == endpoint).count() + 1;
        let good = || match request["stream"] == true {
            true => Reply::events(openai_events(&model, tokens, &["one ", "two"], true)),
            false => Reply::whole(200, "application/json", openai_body(&model, tokens, "one two").to_string()),
        };
        let reply = script(nth).unwrap_or_else(good);
        log.push(Asked { endpoint, model, status: Some(reply.status().as_u16()), at: Instant::now() });
        reply
    };
    let mut catalogue = format!("[[clients]]\nname = \"team-a\"\nkey = {{ plain = \"{KEY_A}\" }}\n");
    for Scenario { name, fallback, .. } in ALL.iter().copied().flatten() {
        let sides: &[&str] = if fallback.is_some() { &["primary", "fallback"] } else { &["primary"] };
        for side in sides {
            let url = match (*side, bare::fault(name)) {
                ("primary", Some(fault)) => bare::serve(fault, name, Arc::clone(&log)).await,
                _ => format!("{{provider}}/{name}-{side}/v1"),
            };
            catalogue += &endpoint(name, side, &url);
        }
        catalogue += &model(name, sides);
    }
    let gateway = "[gateway.timeouts]\nfirst_byte = \"3s\"\nplain_first_byte = \"3s\"\nidle = \"2s\"\n".to_owned();
    (Stack::planned(Plan { gateway, catalogue, ..Plan::default() }, script).await, log)
}

fn endpoint(name: &str, side: &str, base_url: &str) -> String {
    let priority = if side == "primary" { 1 } else { 2 };
    format!(
        "[[providers]]\nname = \"{name}-{side}\"\npriority = {priority}\n[[providers.endpoints]]\n\
         name = \"{name}-{side}\"\nformat = \"openai_chat\"\nbase_url = \"{base_url}\"\nmax_retries = 2\n\
         [[providers.endpoints.keys]]\nname = \"main\"\nsecret = {{ plain = \"upstream-key-of-{name}\" }}\n"
    )
}

fn model(name: &str, sides: &[&str]) -> String {
    let route = |side: &&str| format!("[[models.routes]]\nendpoint = \"{name}-{side}\"\nmodel = \"{side}-model\"\n");
    format!("[[models]]\nname = \"{name}\"\n{}", sides.iter().map(route).collect::<String>())
}

const COLUMNS: &str = "attempt_index, verdict, reason, endpoint, model_upstream, status, input_tokens, output_tokens";

/// The rows of the tries of a request, once all are there.
async fn candidates(stack: &Stack, request_id: Uuid, count: usize) -> Vec<Candidate> {
    rows(stack, request_id, "!= 'skipped'", count).await
}

/// The rows of those that were not asked.
async fn skipped(stack: &Stack, request_id: Uuid, count: usize) -> Vec<(String, String)> {
    let rows = rows(stack, request_id, "= 'skipped'", count).await;
    rows.into_iter().map(|row| (row.endpoint, row.reason)).collect()
}

async fn rows(stack: &Stack, request_id: Uuid, verdict: &str, count: usize) -> Vec<Candidate> {
    eventually(&format!("{count} rows {verdict} of {request_id}"), ARRIVAL, || async {
        let sql = format!(
            "SELECT {COLUMNS} FROM {{db}}.candidates WHERE request_id = '{request_id}' AND verdict {verdict} \
             ORDER BY started_at, seq"
        );
        let rows: Vec<Candidate> = stack.database.try_rows(&sql).await?;
        assert!(rows.len() <= count, "too many rows: {rows:?}");
        if rows.len() == count { Ok(rows) } else { Err(format!("{rows:?}")) }
    })
    .await
}
