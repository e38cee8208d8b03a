//! What is done for every event and every request, each piece by itself, so that its instructions can be counted.

use std::hint::black_box;
use std::path::Path;

use bytes::Bytes;
use gateway::formats::{self, StreamReader};
use gateway::ledger::{Ledger, Options};
use gateway::upstream::sse::Decoder;
use recorder::rows::{Recording, RequestRow};
use schemas::config::{LedgerFsync, OnLedgerFull};
use schemas::events::{Address, Body, BodyRef, Event, Place, Prepared};
use schemas::outcome::Format;
use schemas::pack::PackBuilder;
use schemas::price::{Billed, Book, Memo};
use schemas::time::Timestamp;
use uuid::Uuid;

use crate::answer;
use crate::error::Error;
use crate::pacing::Pacing;

/// Repetitions whose instructions are counted. Before them come some that are not: what is set up once is no cost.
pub const REPEATED: u64 = 200;
const BEFORE: u64 = 20;

/// The names of all paths.
pub const NAMES: [&str; 10] = [
    "read SSE, 64 events one by one",
    "relay 64 events, anthropic",
    "relay 64 events, openai_chat",
    "relay 64 events, openai_responses",
    "relay 64 events, gemini",
    "read a plain answer, openai_chat",
    "prepare and append the events of a request",
    "pack 256 events",
    "decode the events of a request",
    "bill a request and make its row",
];

/// Which path to run.
#[derive(clap::Args)]
pub struct Which {
    /// One of the names.
    pub name: String,
}

/// Runs a path.
pub fn run(which: &Which) -> Result<(), Error> {
    let relay = |format| {
        let pieces = pieces(format);
        measure(|| relay(format, &pieces));
    };
    match NAMES.iter().position(|name| *name == which.name) {
        Some(0) => {
            let pieces = pieces(Format::Anthropic);
            measure(|| read_sse(&pieces));
        }
        Some(1) => relay(Format::Anthropic),
        Some(2) => relay(Format::OpenaiChat),
        Some(3) => relay(Format::OpenaiResponses),
        Some(4) => relay(Format::Gemini),
        Some(5) => {
            let body = answer::request(Format::OpenaiChat, Pacing::Plain).expected;
            measure(|| drop(black_box(formats::read_body(Format::OpenaiChat, &body))));
        }
        Some(6) => append()?,
        Some(7) => pack()?,
        Some(8) => {
            let lines = lines()?;
            measure(|| lines.iter().for_each(|line| drop(black_box(Event::decode(line)))));
        }
        Some(9) => rows()?,
        _ => return Err(Error::Setup(format!("there is no path {:?}", which.name))),
    }
    Ok(())
}

fn measure(mut path: impl FnMut()) {
    (0..BEFORE).for_each(|_| path());
    counted_repetitions(&mut path);
}

/// Callgrind counts while this runs, and at no other time. It knows it by its name.
#[inline(never)]
fn counted_repetitions(path: &mut dyn FnMut()) {
    (0..REPEATED).for_each(|_| path());
}

fn pieces(format: Format) -> Vec<Bytes> {
    let stream = answer::all().find(|(name, ..)| *name == answer::request(format, Pacing::Together).answer);
    stream.map(|(_, _, answer)| answer.pieces).unwrap_or_default()
}

fn read_sse(pieces: &[Bytes]) {
    let (mut decoder, mut events) = (Decoder::default(), 0);
    pieces.iter().for_each(|piece| decoder.push(piece, |event| events += event.data.len()));
    black_box(events);
}

fn relay(format: Format, pieces: &[Bytes]) {
    let mut reader = StreamReader::new(format, false);
    for piece in pieces {
        black_box(reader.push(piece.clone()));
    }
    reader.finish();
    black_box(reader.reading().completed);
}

/// The three events of a request, as the gateway writes them.
fn bodies() -> Result<[Body; 3], Error> {
    let read = |text: &str| serde_json::from_str(text).map_err(|error| Error::Setup(format!("an event: {error}")));
    let bodies = [
        Body::Opened(Box::new(serde_json::from_str(include_str!("events/opened.json")).map_err(invalid)?)),
        Body::Candidate(Box::new(serde_json::from_str(include_str!("events/candidate.json")).map_err(invalid)?)),
        Body::Terminal(read(include_str!("events/settled.json"))?),
    ];
    Ok(bodies)
}

fn invalid(error: serde_json::Error) -> Error {
    Error::Setup(format!("an event: {error}"))
}

fn prepared() -> Result<Vec<Prepared>, Error> {
    let bodies = bodies()?;
    let (id, at) = (Uuid::from_u128(7), Timestamp::from_micros(1_790_000_000_123_456));
    bodies.iter().map(|body| Prepared::new(id, at, body).map_err(invalid)).collect()
}

fn lines() -> Result<Vec<Vec<u8>>, Error> {
    let place = |seq| Place { epoch: Uuid::from_u128(9), partition: 0, seq, gateway: "bench" };
    let sealed = |(seq, event): (u64, Prepared)| {
        let mut line = Vec::new();
        event.seal_into(place(seq), &mut line).map_err(invalid)?;
        Ok(line)
    };
    (1..).zip(prepared()?).map(sealed).collect()
}

fn append() -> Result<(), Error> {
    let folder = tempfile::tempdir().map_err(Error::io("a folder for a ledger"))?;
    let ledger = ledger(folder.path())?;
    let (bodies, at) = (bodies()?, Timestamp::from_micros(1_790_000_000_123_456));
    let mut number = 0;
    measure(|| {
        number += 1;
        let id = Uuid::from_u128(number);
        let [opened, candidate, terminal] = bodies.each_ref().map(|body| Prepared::new(id, at, BodyRef::from(body)));
        let _first = black_box(opened.map(|event| ledger.append(&[event])));
        let last = candidate.and_then(|candidate| terminal.map(|terminal| [candidate, terminal]));
        let _last = black_box(last.map(|events| ledger.append(&events)));
    });
    Ok(())
}

fn ledger(dir: &Path) -> Result<Ledger, Error> {
    let options = Options {
        dir: dir.to_owned(),
        max_bytes: 1 << 30,
        fsync: LedgerFsync::Never,
        on_full: OnLedgerFull::Refuse,
        partitions: 1,
        gateway: "bench".to_owned(),
    };
    let opened = Ledger::open(options).map_err(|error| Error::Setup(error.to_string()))?;
    Ok(opened.0)
}

fn pack() -> Result<(), Error> {
    let lines = lines()?;
    measure(|| {
        let mut builder = PackBuilder::default();
        for line in lines.iter().cycle().take(256) {
            let seq = Address::of(line).map_or(0, |address| address.seq);
            builder.push(seq, line);
        }
        black_box(builder.take());
    });
    Ok(())
}

fn rows() -> Result<(), Error> {
    let book = Book::builtin().map_err(|error| Error::Setup(error.to_string()))?;
    let line = lines()?.pop().unwrap_or_default();
    let Event { head, body: Body::Terminal(receipt) } =
        Event::decode(&line).map_err(|e| Error::Setup(e.to_string()))?
    else {
        return Err(Error::Setup("the last event of a request is not its terminal one".to_owned()));
    };
    let recording = Recording { recorded_at: head.at, head };
    let mut prices = Memo::new(&book);
    measure(|| {
        let receipt = (*receipt).clone();
        let priced = prices.bill(&Billed::from(&receipt));
        black_box(RequestRow::new(recording.clone(), receipt, priced));
    });
    Ok(())
}
