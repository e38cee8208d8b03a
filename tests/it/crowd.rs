//! Many streams at once, and clients that do not read: memory stays bounded, and nobody waits for anybody else.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::StreamExt;
use schemas::outcome::Format;
use tests::answers::{self, Tokens};
use tests::caller::Caller;
use tests::configuration::{KEY_A, model};
use tests::eventually;
use tests::provider::{Gate, Received, Reply, Step};
use tests::services::GatewayProcess;
use tests::stack::{Plan, Stack};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use uuid::Uuid;

use super::full_sizes;

const MIB: u64 = 1 << 20;
const FORMATS: [Format; 4] = [Format::Anthropic, Format::OpenaiChat, Format::OpenaiResponses, Format::Gemini];
/// How long a short request may take beside a crowd, on two busy cores.
const PROMPT: Duration = Duration::from_secs(3);

/// The number that a request carries as its prompt.
fn number_in(received: &Received) -> u64 {
    let body = String::from_utf8_lossy(&received.body).into_owned();
    let (_, rest) = body.split_once("number ").expect("a number");
    rest.chars().take_while(char::is_ascii_digit).collect::<String>().parse().expect("a number")
}

fn tokens_of(number: u64) -> Tokens {
    Tokens { input: 1_000 + number, cache_read: number % 7, output: 1 + number % 4_001, ..Tokens::default() }
}

fn format_of(number: u64) -> Format {
    FORMATS[(number % 4) as usize]
}

/// How many streams share a connection at most: the gateway lets in 200.
const SHARED_BY: u64 = 150;

/// A number that stands for a request that is answered at once.
const SHORT: u64 = 1_000_000;

async fn short_requests_are_prompt(caller: &Caller, count: u64) {
    for number in SHORT..SHORT + count {
        let (path, body) =
            answers::streaming_request(format_of(number), model(format_of(number)), &format!("number {number}"));
        let begin = Instant::now();
        let answer = caller.send(&path, &body).await;
        assert_eq!((answer.status.as_u16(), answer.broken.as_deref()), (200, None));
        assert!(begin.elapsed() < PROMPT, "a short request took {:?} beside the crowd", begin.elapsed());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn thousands_of_open_streams_are_read_right_and_stall_nobody() {
    let count: u64 = if full_sizes() { 10_000 } else { 1_500 };
    let gate = Gate::closed();
    let script = gate.clone();
    let stack = Stack::without_gateway(Plan::default(), move |received| {
        let number = number_in(received);
        let format = format_of(number);
        let events = answers::events(format, "model", tokens_of(number), &["one ", "two ", "three"]);
        if number >= SHORT {
            return Reply::events(events);
        }
        let has = |event: &Bytes, word: &str| String::from_utf8_lossy(event).contains(word);
        let mut steps = Vec::new();
        for event in events {
            let opens = has(&event, "one ") && !has(&event, "three");
            steps.push(Step::Send(event));
            if opens {
                steps.extend([Step::Await(script.clone()), Step::Pause(Duration::from_millis(number % 1_000))]);
            }
        }
        Reply::steps(200, "text/event-stream", steps)
    })
    .await;
    let gateway = GatewayProcess::start(&stack.settings).await;
    let caller = Caller::new(&gateway.url(), KEY_A);
    short_requests_are_prompt(&caller, 8).await;
    let before = gateway.memory().resident_bytes;

    // Every other client has streams on a connection that it shares with others: with a connection of its own for each, this
    // process and the gateway would need two descriptors a stream, and 20,000 are all that some machines give.
    let shared: Vec<Caller> =
        (0..count.div_ceil(2 * SHARED_BY)).map(|_| Caller::multiplexed(&gateway.url(), KEY_A)).collect();
    let open = (0..count).map(|number| {
        let (path, body) =
            answers::streaming_request(format_of(number), model(format_of(number)), &format!("number {number}"));
        let own = (number / 4).is_multiple_of(2);
        let caller = if own { &caller } else { &shared[number as usize % shared.len()] };
        async move {
            let mut reading = caller.open(&path, &body).await;
            assert_eq!(reading.status, 200);
            reading.until("one ").await;
            (number, reading)
        }
    });
    let streams: Vec<_> = futures_util::stream::iter(open).buffer_unordered(32).collect().await;
    let per_stream = gateway.memory().resident_bytes.saturating_sub(before) / count;
    println!("{count} open streams: {per_stream} bytes of the gateway's memory for each");
    assert!(per_stream < 96 * 1024, "{per_stream} bytes for each open stream");
    short_requests_are_prompt(&caller, 40).await;

    gate.open();
    let mut expected: BTreeMap<Uuid, u64> = BTreeMap::new();
    for (number, mut reading) in streams {
        let (rest, broken) = reading.rest().await;
        assert_eq!(broken, None, "stream {number}");
        assert!(String::from_utf8_lossy(&rest).contains("three"), "stream {number}");
        expected.insert(reading.request_id(), number);
    }
    let rows = stack.all_rows(count as usize + 48).await;
    for (id, number) in expected {
        let (row, tokens) = (&rows[&id], tokens_of(number));
        let counts = (row.outcome.as_str(), row.input_tokens, row.cache_read_tokens.unwrap_or(0), row.output_tokens);
        let right = ("completed", Some(tokens.input + tokens.cache_read), tokens.cache_read, Some(tokens.output));
        assert_eq!(counts, right, "stream {number}: {row:?}");
        assert_eq!(row.format, format_of(number).as_str());
    }
}

/// A connection that reads only when asked to, with little room in between.
struct Reluctant {
    connection: TcpStream,
    head: String,
}

impl Reluctant {
    /// Sends a request and reads until the answer's first bytes have come.
    async fn ask(gateway: &str, path: &str, body: &str) -> Self {
        let host = gateway.strip_prefix("http://").expect("an http address");
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.set_recv_buffer_size(16 << 10).expect("a small buffer");
        let address: SocketAddr = host.parse().expect("an address");
        let mut connection = socket.connect(address).await.expect("a connection to the gateway");
        let length = body.len();
        let request = format!(
            "POST {path} HTTP/1.1\r\nhost: {host}\r\nauthorization: Bearer {KEY_A}\r\n\
             content-type: application/json\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
        );
        connection.write_all(request.as_bytes()).await.expect("a gateway that takes the request");
        let mut seen = Vec::new();
        while !seen.windows(4).any(|window| window == b"\r\n\r\n") {
            let read = connection.read_buf(&mut seen);
            let count = tokio::time::timeout(Duration::from_secs(20), read).await.expect("an answer").expect("bytes");
            assert!(count > 0, "the gateway closed the connection");
        }
        Self { connection, head: String::from_utf8_lossy(&seen).into_owned() }
    }

    fn request_id(&self) -> Uuid {
        let id = self.head.lines().find_map(|line| line.strip_prefix("x-weir-request-id: "));
        id.expect("x-weir-request-id").trim().parse().expect("a UUID")
    }

    /// Asks a gateway in this process for the answer with this number.
    async fn of(stack: &Stack, number: u64) -> Self {
        let (path, body) =
            answers::streaming_request(Format::Anthropic, "claude-sonnet-4-5", &format!("number {number}"));
        Self::ask(&stack.gateway.as_ref().unwrap().url, &path, &body.to_string()).await
    }

    /// Reads everything that is left, with a pause after each read; how much that was, head and chunk marks included, and
    /// its last bytes.
    async fn rest(mut self, pause: Duration) -> (u64, String) {
        let (mut count, mut last, mut buffer) = (self.head.len() as u64, Vec::new(), vec![0; 64 << 10]);
        loop {
            let read = self.connection.read(&mut buffer);
            let read = tokio::time::timeout(Duration::from_secs(30), read).await.expect("bytes or an end");
            let Ok(length @ 1..) = read else { return (count, String::from_utf8_lossy(&last).into_owned()) };
            count += length as u64;
            last.extend_from_slice(&buffer[..length]);
            last.drain(..last.len().saturating_sub(400));
            if !pause.is_zero() {
                tokio::time::sleep(pause).await;
            }
        }
    }
}

/// An endless Anthropic answer, and short ones for those who ask for them.
fn endless_or_short(received: &Received, bytes: u64) -> Reply {
    let number = number_in(received);
    if number >= SHORT {
        return Reply::events(answers::events(format_of(number), "model", tokens_of(number), &["hi"]));
    }
    let word = "z".repeat(1_000);
    let events = answers::anthropic_events("model", tokens_of(number), &[&word]);
    let delta = events.iter().position(|event| event.len() > 1_000).expect("a delta");
    let unit = Bytes::from(events[delta].repeat(32));
    let times = bytes.div_ceil(unit.len() as u64);
    let steps = vec![
        Step::Send(events[..delta].concat().into()),
        Step::Repeat(unit, times),
        Step::Send(events[delta + 1..].concat().into()),
    ];
    Reply::steps(200, "text/event-stream", steps)
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_stop_reading_cost_no_memory_and_stall_nobody() {
    // More than all socket buffers on the way can take.
    let (clients, bytes) = if full_sizes() { (64, 64 * MIB) } else { (6, 32 * MIB) };
    // They are read one after the other at the end: nobody is given up meanwhile.
    let plan = Plan { gateway: "[gateway.timeouts]\nidle = \"10m\"".to_owned(), ..Plan::default() };
    let stack = Stack::without_gateway(plan, move |received| endless_or_short(received, bytes)).await;
    let gateway = GatewayProcess::start(&stack.settings).await;
    let caller = Caller::new(&gateway.url(), KEY_A);
    short_requests_are_prompt(&caller, 4).await;
    let before = gateway.memory().peak_bytes;

    let mut stalled = Vec::new();
    for number in 0..clients {
        let (path, body) =
            answers::streaming_request(Format::Anthropic, "claude-sonnet-4-5", &format!("number {number}"));
        stalled.push(Reluctant::ask(&gateway.url(), &path, &body.to_string()).await);
    }
    let last = Mutex::new((0, Instant::now()));
    let held = eventually("nothing moves any more", Duration::from_secs(30), || {
        let (sent, mut last) = (stack.provider.sent_bytes(), last.lock().unwrap());
        if last.0 != sent {
            *last = (sent, Instant::now());
        }
        let quiet = last.1.elapsed();
        async move { if quiet > Duration::from_millis(500) { Ok(sent) } else { Err(format!("{sent} bytes sent")) } }
    })
    .await;
    assert!(held < clients * bytes, "the provider could send everything, {held} bytes, to clients that do not read");
    short_requests_are_prompt(&caller, 20).await;
    let grown = gateway.memory().peak_bytes - before;
    println!("{clients} clients that do not read: the gateway's memory grew by {} KiB", grown / 1024);
    // The HTTP library's buffers on both sides are the most of it: up to 400 KiB each.
    assert!(grown < (6 + clients) * MIB, "the gateway's memory grew by {grown} bytes");

    // Every other one reads on, to the very end; the rest leave.
    for (number, client) in stalled.into_iter().enumerate() {
        let id = client.request_id();
        if number % 2 == 1 {
            drop(client);
            assert_eq!(stack.row(id).await.outcome, "cancelled", "client {number}");
            continue;
        }
        let (got, end) = client.rest(Duration::ZERO).await;
        assert!(got > bytes && end.contains("message_stop"), "client {number} got {got} bytes, at last {end:?}");
        let (row, tokens) = (stack.row(id).await, tokens_of(number as u64));
        assert_eq!((row.outcome.as_str(), row.output_tokens), ("completed", Some(tokens.output)), "{row:?}");
    }
    stack.all_rows(clients as usize + 24).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_never_reads_is_given_up() {
    let plan = Plan { gateway: "[gateway.timeouts]\nidle = \"1s\"".to_owned(), ..Plan::default() };
    let stack = Stack::planned(plan, |received| endless_or_short(received, 64 * MIB)).await;
    let client = Reluctant::of(&stack, 7).await;
    // The client is still connected while its row is awaited.
    let row = stack.row(client.request_id()).await;
    assert_eq!((row.outcome.as_str(), row.error_class.as_str()), ("cancelled", "client_left"), "{row:?}");
    drop(client);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_client_of_a_fast_provider_has_the_total_time_and_no_more() {
    let plan = Plan { gateway: "[gateway.timeouts]\ntotal = \"2s\"".to_owned(), ..Plan::default() };
    let stack = Stack::planned(plan, |received| endless_or_short(received, 256 * MIB)).await;
    let client = Reluctant::of(&stack, 7).await;
    let id = client.request_id();
    // Slow enough that the provider always has more to say, fast enough that its end comes soon after the limit.
    let (got, end) = client.rest(Duration::from_millis(5)).await;
    assert!(got < 256 * MIB && end.contains("event: error"), "{got} bytes, at last {end:?}");
    let row = stack.row(id).await;
    assert_eq!((row.outcome.as_str(), row.error_class.as_str()), ("interrupted", "total_timeout"), "{row:?}");
}
