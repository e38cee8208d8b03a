//! Any stream of any format, split anywhere, reads the same, passes unchanged but for the hidden usage, and can always
//! be followed by an error event.

#![no_main]

use bytes::Bytes;
use gateway::estimate::{Scheme, output_tokens};
use gateway::formats::{OwnError, StreamReader};
use libfuzzer_sys::fuzz_target;
use schemas::outcome::{ErrorClass, Format};

fuzz_target!(|input: &[u8]| {
    let Some(([choice, sizes @ ..], stream)) = input.split_first_chunk::<5>() else { return };
    let format = Format::ALL[usize::from(*choice) % Format::ALL.len()];
    let hides_usage = *choice >= 128;
    let stream = Bytes::copy_from_slice(stream);
    let (whole, expected) = relay(format, hides_usage, &stream, &[]);
    let (split, reader) = relay(format, hides_usage, &stream, sizes);
    assert_eq!(reader.reading(), expected.reading());
    assert_eq!(reader.is_ended(), expected.is_ended());
    assert_eq!(split, whole);
    if hides_usage && format == Format::OpenaiChat {
        assert!(is_subsequence(&whole, &stream), "bytes were made up");
    } else {
        assert_eq!(whole, stream);
    }
    let reading = reader.reading();
    assert!(!(reading.completed && reading.error.is_some()));
    let chars = reading.text_chars + reading.other_chars;
    let estimate = output_tokens(Scheme::Rule, &reading.sample, chars);
    assert_eq!(estimate.is_some_and(|tokens| tokens > 0), chars > 0 && !reading.sample.is_empty());

    let class = ErrorClass::StreamCut;
    let error = OwnError { status: 502, class, message: "cut", param: None, request_id: "r" };
    let event = reader.error_event(&error);
    let (_, after) = relay(format, false, &[whole.as_slice(), &event].concat().into(), &[]);
    assert!(!after.reading().completed || reading.completed, "an error made the answer look complete");
    // An array that is cut inside an element cannot be closed: the client's parser says so.
    let is_told = after.reading().error.is_some() || after.reading().unreadable_events > 0 || after.is_ended();
    assert!(is_told || format == Format::Gemini);
});

fn relay(format: Format, hides_usage: bool, stream: &Bytes, sizes: &[u8]) -> (Vec<u8>, StreamReader) {
    let mut reader = StreamReader::new(format, hides_usage);
    let (mut forwarded, mut rest, mut sizes) = (Vec::new(), stream.clone(), sizes.iter().cycle());
    while !rest.is_empty() {
        let size = sizes.next().map_or(rest.len(), |size| usize::from(*size) + 1);
        forwarded.extend_from_slice(&reader.push(rest.split_to(size.min(rest.len()))));
    }
    forwarded.extend_from_slice(&reader.finish());
    (forwarded, reader)
}

fn is_subsequence(part: &[u8], whole: &[u8]) -> bool {
    let mut whole = whole.iter();
    part.iter().all(|byte| whole.any(|other| other == byte))
}
