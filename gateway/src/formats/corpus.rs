//! Reads recorded provider traffic and compares every reading with what is known of it.
//!
//! The recordings are no part of the project. Where they are (`../shared/corpus` beside the workspace), the tests of the
//! format folders check each of them; where they are not, they say so and pass.

use std::fmt::Write;
use std::path::PathBuf;

use bytes::Bytes;
use schemas::outcome::Format;
use schemas::usage::Usage;
use serde::Deserialize;

use super::{Reading, StreamReader, UpstreamError, read_body, read_error};

#[derive(Debug, Deserialize)]
pub(crate) struct Recording {
    pub(crate) name: String,
    pub(crate) provider: String,
    pub(crate) features: Vec<String>,
    pub(crate) request: Request,
    pub(crate) response: Response,
    pub(crate) expected: Expected,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Request {
    pub(crate) body: Option<serde_json::Value>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) body: String,
}

/// Raw numbers of the provider; `None` is "not reported".
#[derive(Debug, Deserialize)]
pub(crate) struct Expected {
    pub(crate) input_tokens: Option<u64>,
    pub(crate) output_tokens: Option<u64>,
    pub(crate) cache_read_tokens: Option<u64>,
    pub(crate) cache_creation_tokens: Option<u64>,
    pub(crate) cache_creation_1h_tokens: Option<u64>,
    pub(crate) reasoning_tokens: Option<u64>,
    pub(crate) total_tokens: Option<u64>,
    #[serde(default)]
    pub(crate) tool_use_prompt_tokens: Option<u64>,
    completed: bool,
    model: Option<String>,
    /// A name; a number with some of Google's services.
    stop_reason: serde_json::Value,
    text_chars: u64,
    is_error: bool,
    error_type: Option<String>,
    error_code: Option<String>,
    error_status: Option<u16>,
    done_marker: Option<bool>,
}

impl Recording {
    pub(crate) fn has(&self, feature: &str) -> bool {
        self.features.iter().any(|one| one == feature)
    }
}

/// Every recording of a format, or none with a word about it.
pub(crate) fn recordings(format: Format) -> Vec<Recording> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/corpus").join(format.as_str());
    let Ok(files) = std::fs::read_dir(&root) else {
        println!("SKIPPED: no recordings at {}; only the fixtures in this folder were checked", root.display());
        return Vec::new();
    };
    let mut paths: Vec<PathBuf> = files.map(|file| file.unwrap().path()).collect();
    paths.sort();
    paths.iter().map(|path| serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()).collect()
}

/// Checks every recording of a format, streams in several chunkings. `exceptions` are (name, field, reason); one that
/// is not needed any more is a failure too.
pub(crate) fn check(format: Format, usage: fn(&Recording) -> Usage, exceptions: &[(&str, &str, &str)]) {
    let recordings = recordings(format);
    let (mut report, mut streams, mut used) = (String::new(), 0, Vec::new());
    for recording in &recordings {
        let readings = if recording.response.status >= 400 {
            let error = read_error(format, recording.response.status, recording.response.body.as_bytes());
            vec![Reading { error: Some(error), ..Reading::default() }]
        } else if recording.has("sse_body") || recording.has("json_array_body") {
            streams += 1;
            read_streams(format, recording)
        } else {
            vec![read_body(format, recording.response.body.as_bytes())]
        };
        for reading in readings {
            for (field, difference) in differences(recording, &reading, usage(recording)) {
                match exceptions.iter().find(|(name, of, _)| *name == recording.name && *of == field) {
                    Some(exception) => used.push(exception),
                    None => writeln!(report, "{}: {field}: {difference}", recording.name).unwrap(),
                }
            }
        }
    }
    if !recordings.is_empty() {
        for exception in exceptions.iter().filter(|exception| !used.contains(exception)) {
            writeln!(report, "needless exception: {exception:?}").unwrap();
        }
    }
    println!("{format}: {} recordings, {streams} streams, {} exceptions", recordings.len(), exceptions.len());
    assert!(report.is_empty(), "\n{report}");
}

/// The same stream in several chunkings, whose readings must be the same; the last of them is compared.
fn read_streams(format: Format, recording: &Recording) -> Vec<Reading> {
    let body = Bytes::copy_from_slice(recording.response.body.as_bytes());
    let mut readings = Vec::new();
    for sizes in [vec![body.len().max(1)], vec![1], vec![7], vec![1, 300, 2, 64, 5, 1460, 3, 17]] {
        let (forwarded, reader) = relay(format, false, &body, &sizes);
        assert_eq!(forwarded, body, "{}: bytes changed at {sizes:?}", recording.name);
        if let Some(done) = recording.expected.done_marker {
            assert_eq!(reader.is_ended(), done, "{}: [DONE] at {sizes:?}", recording.name);
        }
        readings.push(reader.reading().clone());
    }
    assert!(readings.windows(2).all(|pair| pair[0] == pair[1]), "{}: chunking matters", recording.name);
    readings.split_off(readings.len() - 1)
}

/// What comes out of a reader that is fed in chunks of the given sizes, over and over.
pub(crate) fn relay(format: Format, hides_usage: bool, body: &Bytes, sizes: &[usize]) -> (Vec<u8>, StreamReader) {
    let mut reader = StreamReader::new(format, hides_usage);
    let (mut forwarded, mut rest, mut sizes) = (Vec::new(), body.clone(), sizes.iter().cycle());
    while !rest.is_empty() {
        let chunk = rest.split_to(rest.len().min(*sizes.next().unwrap()));
        forwarded.extend_from_slice(&reader.push(chunk));
    }
    forwarded.extend_from_slice(&reader.finish());
    (forwarded, reader)
}

fn differences(recording: &Recording, reading: &Reading, usage: Usage) -> Vec<(&'static str, String)> {
    let expected = &recording.expected;
    let mut found = Vec::new();
    let mut compare = |field, is: String, should_be: String| {
        if is != should_be {
            found.push((field, format!("is {is}, should be {should_be}")));
        }
    };
    let error = reading.error.clone();
    compare("is_error", format!("{}", error.is_some()), format!("{}", expected.is_error));
    if expected.is_error {
        let UpstreamError { kind, code, status, .. } = error.unwrap_or_default();
        compare("error_type", kind, expected.error_type.clone().unwrap_or_default());
        compare("error_code", format!("{code:?}"), format!("{:?}", expected.error_code));
        compare("error_status", format!("{status:?}"), format!("{:?}", expected.error_status));
    }
    compare("completed", format!("{}", reading.completed), format!("{}", expected.completed));
    if recording.response.status < 400 {
        compare("usage", format!("{:?}", reading.usage()), format!("{usage:?}"));
        compare("model", format!("{:?}", reading.model_reported), format!("{:?}", expected.model));
        let stop_reason = match &expected.stop_reason {
            serde_json::Value::Null => None,
            serde_json::Value::String(name) => Some(name.clone()),
            number => Some(number.to_string()),
        };
        compare("stop_reason", format!("{:?}", reading.stop_reason), format!("{stop_reason:?}"));
        // The expectation is of the first choice, ours of all.
        if !recording.has("n_gt_1") {
            compare("text_chars", format!("{}", reading.text_chars), format!("{}", expected.text_chars));
        }
        if expected.completed || expected.text_chars > 0 {
            compare("has_content", format!("{}", reading.has_content), "true".to_owned());
        }
        let has_numbers = expected.input_tokens.or(expected.output_tokens).is_some();
        compare("raw_usage", format!("{}", reading.raw_usage.is_some()), format!("{has_numbers}"));
    }
    found
}
