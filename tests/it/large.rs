//! A stream may be of any size and in pieces of any size: it is read right, and the gateway's memory does not grow with it.
//!
//! The gateway is a process of its own, so that its memory can be told from the test's. The sizes are for two cores and
//! the debug profile; `WEIR_TEST_FULL_SIZES=1` asks for the full ones.

use bytes::Bytes;
use futures_util::future::join_all;
use schemas::outcome::Format;
use tests::answers::{self, Tokens};
use tests::caller::Caller;
use tests::configuration::{KEY_A, model};
use tests::provider::{Received, Reply, Step};
use tests::services::GatewayProcess;
use tests::stack::{Plan, Row, Stack};

use super::full_sizes;

const FORMATS: [Format; 4] = [Format::Anthropic, Format::OpenaiChat, Format::OpenaiResponses, Format::Gemini];
const TOKENS: Tokens = Tokens { input: 1_234, cache_read: 567, cache_write_5m: 0, cache_write_1h: 0, output: 89_012 };
const MIB: u64 = 1 << 20;

/// A long answer: a beginning, a middle that repeats, an end. It is never in memory as a whole.
#[derive(Clone, Debug)]
struct Long {
    begin: Bytes,
    unit: Bytes,
    times: u64,
    end: Bytes,
    /// Events in all of it.
    events: u64,
}

impl Long {
    /// An answer that says `word` `per_write` times in each of `times` writes.
    fn new(format: Format, word: &str, per_write: usize, times: u64) -> Self {
        const MARK: &str = "a mark";
        // The first event with the mark is the delta; Responses repeats all of the text after it.
        let events = answers::events(format, "model", TOKENS, &[MARK]);
        let has_mark = |event: &Bytes| event.windows(MARK.len()).any(|window| window == MARK.as_bytes());
        let at = events.iter().position(has_mark).expect("a delta");
        let delta = String::from_utf8(events[at].to_vec()).unwrap().replace(MARK, word);
        Self {
            begin: events[..at].concat().into(),
            unit: delta.repeat(per_write).into(),
            times,
            end: events[at + 1..].concat().into(),
            events: events.len() as u64 - 1 + per_write as u64 * times,
        }
    }

    /// Of about this many bytes, in writes of about 64 KiB with events of about 1 KiB.
    fn of_bytes(format: Format, bytes: u64) -> Self {
        let one = Self::new(format, &"x".repeat(900), 64, 1);
        Self::new(format, &"x".repeat(900), 64, bytes.div_ceil(one.unit.len() as u64))
    }

    fn len(&self) -> u64 {
        (self.begin.len() + self.end.len()) as u64 + self.unit.len() as u64 * self.times
    }

    fn reply(&self) -> Reply {
        let steps = vec![
            Step::Send(self.begin.clone()),
            Step::Repeat(self.unit.clone(), self.times),
            Step::Send(self.end.clone()),
        ];
        Reply::steps(200, "text/event-stream", steps)
    }

    /// Whether `bytes` stand at `offset`.
    fn has_at(&self, mut offset: u64, mut bytes: &[u8]) -> bool {
        let middle = self.unit.len() as u64 * self.times;
        while !bytes.is_empty() {
            let begin = self.begin.len() as u64;
            let part = match offset {
                _ if offset < begin => &self.begin[offset as usize..],
                _ if offset < begin + middle => &self.unit[((offset - begin) % self.unit.len() as u64) as usize..],
                _ => self.end.get((offset - begin - middle) as usize..).unwrap_or_default(),
            };
            let length = part.len().min(bytes.len());
            if length == 0 || part[..length] != bytes[..length] {
                return false;
            }
            (offset, bytes) = (offset + length as u64, &bytes[length..]);
        }
        true
    }
}

/// The pipeline with the gateway as a process.
struct Pipeline {
    stack: Stack,
    gateway: GatewayProcess,
    caller: Caller,
}

impl Pipeline {
    async fn start(answer: impl Fn(&Received) -> Reply + Send + Sync + 'static) -> Self {
        let stack = Stack::without_gateway(Plan::default(), answer).await;
        let gateway = GatewayProcess::start(&stack.settings).await;
        let caller = Caller::new(&gateway.url(), KEY_A);
        Self { stack, gateway, caller }
    }

    /// Asks for a long answer, compares it as it comes, and returns its row.
    async fn read(&self, format: Format, long: &Long, prompt: &str) -> Row {
        let (path, body) = answers::streaming_request(format, model(format), prompt);
        let mut reading = self.caller.open(&path, &body).await;
        assert_eq!(reading.status, 200, "{format}");
        let mut offset = 0;
        while let Some(bytes) = reading.next().await.unwrap_or_else(|error| panic!("{format} at {offset}: {error:?}")) {
            assert!(long.has_at(offset, &bytes), "{format}: other bytes near {offset}");
            offset += bytes.len() as u64;
        }
        assert_eq!(offset, long.len(), "{format}: bytes");
        let row = self.stack.row(reading.request_id()).await;
        assert_eq!((row.outcome.as_str(), row.error_class.as_str()), ("completed", ""), "{format}: {row:?}");
        let counts = (row.input_tokens, row.cache_read_tokens, row.output_tokens);
        assert_eq!(counts, (Some(1_801), Some(567), Some(89_012)), "{format}");
        assert_eq!((row.usage_source.as_str(), row.stream_events), ("provider", long.events), "{format}");
        assert!(row.response_bytes <= long.len() && row.response_bytes + 64 > long.len(), "{format}: {row:?}");
        row
    }
}

/// The format of a request, by its path.
fn format_of(received: &Received) -> Format {
    match received.uri.path() {
        path if path.ends_with("/messages") => Format::Anthropic,
        path if path.ends_with("/chat/completions") => Format::OpenaiChat,
        path if path.ends_with("/responses") => Format::OpenaiResponses,
        _ => Format::Gemini,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_huge_stream_passes_in_bounded_memory() {
    let bytes = if full_sizes() { 1_024 * MIB } else { 48 * MIB };
    let pipeline = Pipeline::start(move |received| Long::of_bytes(format_of(received), bytes).reply()).await;
    let before = pipeline.gateway.memory().peak_bytes;
    let reads = FORMATS.map(|format| (format, Long::of_bytes(format, bytes)));
    join_all(reads.iter().map(|(format, long)| pipeline.read(*format, long, "Tell me everything."))).await;
    let grown = pipeline.gateway.memory().peak_bytes - before;
    println!("4 streams of {} MiB: the gateway's memory grew by {} KiB", bytes / MIB, grown / 1024);
    assert!(grown < 32 * MIB, "the gateway's memory grew by {grown} bytes");
}

#[tokio::test(flavor = "multi_thread")]
async fn single_bytes_are_as_good_as_whole_events() {
    let words = if full_sizes() { 4_000 } else { 100 };
    let long = move |format| Long::new(format, "ünd so weiter — 等等 😀 ", 1, words);
    let pipeline = Pipeline::start(move |received| {
        let long = long(format_of(received));
        let bytes = [&long.begin[..], &long.unit.repeat(words as usize), &long.end].concat();
        let byte = |at: usize| Step::Send(Bytes::copy_from_slice(&bytes[at..=at]));
        Reply::steps(200, "text/event-stream", (0..bytes.len()).map(byte).collect())
    })
    .await;
    let reads = FORMATS.map(|format| (format, long(format)));
    join_all(reads.iter().map(|(format, long)| pipeline.read(*format, long, "Tell me everything."))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn events_of_a_mebibyte_and_beyond_the_readers_bound_pass() {
    let times = if full_sizes() { 64 } else { 24 };
    // The last of them is larger than any event that the gateway reads: it passes unread, and what follows is read.
    let sizes = [(MIB, times), (12 * MIB, 1)];
    let long = |format, (size, times): (u64, u64)| Long::new(format, &"y".repeat(size as usize), 1, times);
    let pipeline = Pipeline::start(move |received| {
        let body = String::from_utf8_lossy(&received.body).into_owned();
        let index = usize::from(body.contains("the large one"));
        long(format_of(received), sizes[index]).reply()
    })
    .await;
    let before = pipeline.gateway.memory().peak_bytes;
    for size in sizes {
        let reads = FORMATS.map(|format| (format, long(format, size)));
        let text = if size.0 > MIB { "the large one" } else { "the small ones" };
        join_all(reads.iter().map(|(format, long)| pipeline.read(*format, long, text))).await;
        let grown = pipeline.gateway.memory().peak_bytes - before;
        println!("4 streams with events of {} MiB: the gateway's memory grew by {} KiB", size.0 / MIB, grown / 1024);
        // An event is put together from its chunks before it is read, up to 8 MiB; the allocator keeps some of what threads
        // have given back, on a busy machine more of it.
        assert!(grown < 4 * 3 * size.0.min(8 * MIB) + 40 * MIB, "the gateway's memory grew by {grown} bytes");
    }
}
