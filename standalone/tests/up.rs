//! `weir up`: the stack with an operator's own file, stopped in order, started again on the same data, and killed.

#![expect(clippy::unwrap_used, reason = "a test reports by failing")]

mod running;

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::Stdio;

use tempfile::TempDir;

use self::running::{Running, eventually, request, simulator, terminate, weir};

/// Free addresses, all held at the same time so that they differ.
fn addresses<const COUNT: usize>() -> [String; COUNT] {
    let listeners = [(); COUNT].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    listeners.map(|listener| listener.local_addr().unwrap().to_string())
}

struct Stack {
    folder: TempDir,
    nats: String,
    clickhouse: String,
    gateway: String,
    recorder_ops: String,
}

impl Stack {
    fn new(provider: &str) -> Self {
        let folder = TempDir::new().unwrap();
        let [nats, clickhouse, gateway, gateway_ops, recorder_ops, analytics] = addresses();
        let ledger = folder.path().join("ledger");
        let text = format!(
            r#"
nats = {{ url = "nats://{nats}", max_bytes = "256MiB" }}
clickhouse = {{ url = "http://{clickhouse}", user = "operator", password = {{ env = "UP_TEST_PASSWORD" }} }}
gateway = {{ listen = "{gateway}", ops_listen = "{gateway_ops}", ledger_dir = "{ledger}" }}
recorder = {{ ops_listen = "{recorder_ops}", max_range_age = "200ms" }}
analytics = {{ listen = "{analytics}" }}
clients = [{{ name = "c", key = {{ plain = "client-key" }} }}]
models = [{{ name = "claude-sonnet-4-5", routes = [{{ endpoint = "e" }}] }}]
[[providers]]
name = "anthropic"
endpoints = [{{ name = "e", format = "anthropic", base_url = "http://{provider}" }}]
"#,
            ledger = ledger.display()
        );
        std::fs::write(folder.path().join("weir.toml"), text).unwrap();
        Self { folder, nats, clickhouse, gateway, recorder_ops }
    }

    /// Starts it and waits until it records.
    fn up(&self) -> Running {
        let path = |name: &str| self.folder.path().join(name).display().to_string();
        let mut command = weir(&["up", "--config", &path("weir.toml"), "--data", &path("data")]);
        let log = std::fs::File::create(self.folder.path().join("up.log")).unwrap();
        let up = command.env("UP_TEST_PASSWORD", "hunter2").stdin(Stdio::null()).stderr(log).spawn().unwrap();
        let mut up = Running(up);
        eventually("the recorder is ready", || {
            assert!(up.0.try_wait().unwrap().is_none(), "weir up has ended: {}", self.log());
            answers(&self.recorder_ops) && request(&self.recorder_ops, "GET /readyz", "").contains(" 200 ")
        });
        up
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("up.log")).unwrap_or_default()
    }

    /// What ClickHouse answers, to the user that the file names.
    fn select(&self, query: &str) -> String {
        let head = "POST /?database=weir&user=operator&password=hunter2";
        let answer = request(&self.clickhouse, head, query);
        assert!(answer.contains(" 200 "), "{answer}");
        answer
    }

    fn has_ended(&self) -> bool {
        !answers(&self.nats) && !answers(&self.clickhouse) && !answers(&self.gateway)
    }
}

fn answers(address: &str) -> bool {
    TcpStream::connect(address).is_ok()
}

/// Sends a streaming request, calls `then` as soon as the first text has come, and returns the whole answer.
fn stream(gateway: &str, then: impl FnOnce()) -> String {
    let body =
        r#"{"model":"claude-sonnet-4-5","max_tokens":60,"stream":true,"messages":[{"role":"user","content":"Hi"}]}"#;
    let mut stream = TcpStream::connect(gateway).unwrap();
    let length = body.len();
    write!(stream, "POST /v1/messages HTTP/1.1\r\nhost: w\r\nx-api-key: client-key\r\nconnection: close\r\n").unwrap();
    write!(stream, "content-length: {length}\r\n\r\n{body}").unwrap();
    let (mut answer, mut then) = (Vec::new(), Some(then));
    let mut chunk = [0; 4096];
    loop {
        let count = stream.read(&mut chunk).unwrap();
        answer.extend_from_slice(&chunk[..count]);
        if count == 0 {
            return String::from_utf8_lossy(&answer).into_owned();
        }
        if String::from_utf8_lossy(&answer).contains("text_delta") {
            then.take().into_iter().for_each(|then| then());
        }
    }
}

#[test]
fn the_stack_stops_in_order_keeps_its_rows_and_leaves_nothing_running() {
    let (_provider, provider) = simulator("15ms");
    let stack = Stack::new(&provider);

    let mut up = stack.up();
    let answer = stream(&stack.gateway, || terminate(up.0.id()));
    assert!(answer.contains("message_stop"), "the running stream was not finished: {answer}");
    eventually("weir up ends", || up.0.try_wait().unwrap().is_some());
    assert_eq!(up.0.wait().unwrap().code(), Some(0), "{}", stack.log());
    assert!(stack.has_ended());
    assert!(Path::new(&stack.folder.path().join("data/clickhouse")).exists());

    let mut up = stack.up();
    let billed = request(&provider, "GET /tally", "");
    let billed = billed.split("\"output\":").nth(1).and_then(|rest| rest.split([',', '}']).next()).unwrap();
    eventually("the row is there", || {
        let rows = stack.select("SELECT outcome, output_tokens FROM requests FINAL FORMAT CSV");
        rows.contains(&format!("\"completed\",{billed}"))
    });
    assert!(!stack.log().contains("hunter2") && !stack.log().contains("client-key"));

    // Killed, it takes NATS and ClickHouse with it.
    up.0.kill().unwrap();
    eventually("everything has ended", || stack.has_ended());
}
