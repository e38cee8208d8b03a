//! Any bytes, split anywhere, give the same events.

#![no_main]

use gateway::upstream::sse::{Decoder, Event, Kind};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let Some((sizes, stream)) = input.split_first_chunk::<4>() else { return };
    assert_eq!(events(stream, &[]), events(stream, sizes));
});

fn events(mut stream: &[u8], sizes: &[u8]) -> Vec<(Kind, Vec<u8>, Vec<u8>)> {
    let mut decoder = Decoder::default();
    let mut seen = Vec::new();
    let mut visit = |event: Event<'_>| seen.push((event.kind, event.name.to_vec(), event.data.to_vec()));
    let mut sizes = sizes.iter().cycle();
    while !stream.is_empty() {
        let size = sizes.next().map_or(stream.len(), |size| usize::from(*size) + 1);
        let (chunk, rest) = stream.split_at(size.min(stream.len()));
        decoder.push(chunk, &mut visit);
        stream = rest;
    }
    decoder.finish(&mut visit);
    seen
}
