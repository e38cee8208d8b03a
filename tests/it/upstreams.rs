//! Ways to a provider other than a bare socket: TLS on connections of our own, HTTP/2 by agreement, proxies.

use futures_util::future::join_all;
use schemas::outcome::Format;
use serde_json::Value;
use tests::answers::{self, Tokens};
use tests::between::{ForwardProxy, TlsEnd};
use tests::caller::Caller;
use tests::configuration::{self, KEY_A, Settings, model};
use tests::provider::{Received, Reply, Step};
use tests::services::GatewayProcess;
use tests::stack::{Plan, Stack};

const TOKENS: Tokens = Tokens { input: 300, cache_read: 40, cache_write_5m: 0, cache_write_1h: 0, output: 50 };
const TURNS: usize = 6;

/// Streams and plain answers; `the broken one` is cut in its middle.
fn answer(received: &Received) -> Reply {
    let body = String::from_utf8_lossy(&received.body).into_owned();
    let events = answers::events(Format::OpenaiChat, model(Format::OpenaiChat), TOKENS, &["one", "two", "three"]);
    match () {
        () if body.contains("the broken one") => {
            // HTTP/2 forgets what has come but was not read when the stream is reset: that would be an answer never begun.
            let pause = Step::Pause(std::time::Duration::from_millis(500));
            Reply::steps(200, "text/event-stream", vec![Step::Send(events[..3].concat().into()), pause, Step::Cut])
        }
        () if body.contains("\"stream\":true") => Reply::events(events),
        () => Reply::whole(200, "application/json", plain_body()),
    }
}

fn plain_body() -> String {
    answers::openai_body(model(Format::OpenaiChat), TOKENS, "one two three").to_string()
}

fn plain_request() -> (String, Value) {
    ("/v1/chat/completions".to_owned(), answers::openai_request(model(Format::OpenaiChat), false))
}

/// The pipeline with the provider at another address, and the gateway as a process with an environment of its own.
struct Pipeline {
    stack: Stack,
    _gateway: GatewayProcess,
    caller: Caller,
}

impl Pipeline {
    async fn start(stack: Stack, provider: &str, environment: Vec<(&'static str, String)>) -> Self {
        let settings = Settings { catalogue: configuration::catalogue(provider), ..stack.settings.clone() };
        let gateway = GatewayProcess::start_in(&settings, environment).await;
        let caller = Caller::new(&gateway.url(), KEY_A);
        Self { stack, _gateway: gateway, caller }
    }

    /// A stream and a plain answer, byte for byte, and their rows.
    async fn turn(&self) {
        let (path, body) = answers::streaming_request(Format::OpenaiChat, model(Format::OpenaiChat), "Count.");
        let streamed = self.caller.send(&path, &body).await;
        let events = answers::events(Format::OpenaiChat, model(Format::OpenaiChat), TOKENS, &["one", "two", "three"]);
        assert_eq!((streamed.status.as_u16(), streamed.text()), (200, String::from_utf8(events.concat()).unwrap()));
        let (path, body) = plain_request();
        let plain = self.caller.send(&path, &body).await;
        assert_eq!(plain.status, 200);
        assert_eq!(plain.text(), plain_body());
        for id in [streamed.request_id(), plain.request_id()] {
            let row = self.stack.row(id).await;
            assert_eq!((row.outcome.as_str(), row.input_tokens, row.output_tokens), ("completed", Some(340), Some(50)));
        }
    }

    /// An answer that breaks off is told as such.
    async fn cut(&self) {
        let (path, body) = answers::streaming_request(Format::OpenaiChat, model(Format::OpenaiChat), "the broken one");
        let mut reading = self.caller.open(&path, &body).await;
        let (bytes, _) = reading.rest().await;
        let text = String::from_utf8_lossy(&bytes).into_owned();
        assert!(text.contains("\"error\"") && !text.contains("[DONE]"), "{text}");
        let row = self.stack.row(reading.request_id()).await;
        assert_eq!(row.outcome, "interrupted", "{row:?}");
    }
}

/// A variable that makes a process trust a certificate, and the file, which lives as long as it is held.
fn trust(end: &TlsEnd) -> (tempfile::NamedTempFile, (&'static str, String)) {
    let file = tempfile::NamedTempFile::new().expect("a file for the certificate");
    std::fs::write(file.path(), end.certificate()).expect("the certificate");
    let variable = ("SSL_CERT_FILE", file.path().display().to_string());
    (file, variable)
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_passes_on_connections_that_are_kept() {
    let stack = Stack::without_gateway(Plan::default(), answer).await;
    let end = TlsEnd::start(stack.provider.address(), &["http/1.1"]).await;
    let (_file, trusted) = trust(&end);
    let pipeline = Pipeline::start(stack, &end.url(), vec![trusted]).await;
    for _ in 0..TURNS {
        pipeline.turn().await;
    }
    assert_eq!(end.agreed(), [Some("http/1.1".to_owned())], "one connection serves requests that follow each other");
    pipeline.cut().await;
    pipeline.turn().await;
    join_all((0..TURNS).map(|_| pipeline.turn())).await;
    assert!(end.agreed().len() <= TURNS + 2, "{:?}", end.agreed());
}

#[tokio::test(flavor = "multi_thread")]
async fn http_2_is_spoken_where_the_provider_chooses_it() {
    let stack = Stack::without_gateway(Plan::default(), answer).await;
    let end = TlsEnd::start(stack.provider.address(), &["h2", "http/1.1"]).await;
    let (_file, trusted) = trust(&end);
    let pipeline = Pipeline::start(stack, &end.url(), vec![trusted]).await;
    pipeline.turn().await;
    join_all((0..TURNS).map(|_| pipeline.turn())).await;
    pipeline.cut().await;
    pipeline.turn().await;
    let agreed = end.agreed();
    assert!(agreed.iter().all(|protocol| protocol.as_deref() == Some("h2")), "{agreed:?}");
    // The one that told which protocol it is, and the one that all requests share; a cut is a stream's, not a connection's.
    assert!(agreed.len() <= 4, "{agreed:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_nobody_vouches_for_is_sent_nothing() {
    let stack = Stack::without_gateway(Plan::default(), answer).await;
    let end = TlsEnd::start(stack.provider.address(), &["http/1.1"]).await;
    let pipeline = Pipeline::start(stack, &end.url(), Vec::new()).await;
    let (path, body) = plain_request();
    let refused = pipeline.caller.send(&path, &body).await;
    assert_eq!(refused.status, 502, "{}", refused.text());
    assert!(refused.json()["error"]["message"].is_string(), "{}", refused.text());
    let row = pipeline.stack.row(refused.request_id()).await;
    assert_eq!((row.outcome.as_str(), row.input_tokens), ("failed", None));
    assert!(pipeline.stack.provider.received().is_empty() && end.agreed().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn proxies_of_the_environment_are_used_but_for_those_hosts_that_it_excepts() {
    let stack = Stack::without_gateway(Plan::default(), answer).await;
    let end = TlsEnd::start(stack.provider.address(), &["http/1.1"]).await;
    let (_file, trusted) = trust(&end);
    let (proxy, plain_url) = (ForwardProxy::start().await, stack.provider.url());
    let host = |url: &str| url.split("//").nth(1).unwrap().to_owned();

    let environment = vec![trusted.clone(), ("HTTPS_PROXY", proxy.url())];
    let pipeline = Pipeline::start(stack, &end.url(), environment).await;
    pipeline.turn().await;
    pipeline.cut().await;
    let asked = proxy.asked();
    assert!(
        !asked.is_empty() && asked.iter().all(|line| *line == format!("CONNECT {} HTTP/1.1", host(&end.url()))),
        "{asked:?}"
    );

    let Pipeline { stack, _gateway: gateway, .. } = pipeline;
    drop(gateway);
    let pipeline = Pipeline::start(stack, &plain_url, vec![("HTTP_PROXY", proxy.url())]).await;
    pipeline.turn().await;
    let absolute = format!("POST {plain_url}/v1/chat/completions HTTP/1.1");
    assert!(proxy.asked().contains(&absolute), "{:?}", proxy.asked());

    let Pipeline { stack, _gateway: gateway, .. } = pipeline;
    drop(gateway);
    let before = proxy.asked().len();
    let environment = vec![trusted, ("HTTPS_PROXY", proxy.url()), ("NO_PROXY", "127.0.0.1".to_owned())];
    let pipeline = Pipeline::start(stack, &end.url(), environment).await;
    pipeline.turn().await;
    assert_eq!(proxy.asked().len(), before, "{:?}", proxy.asked());
}
