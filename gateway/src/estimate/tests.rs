//! Estimates against what providers counted: every recording that has both.

use bytes::Bytes;
use schemas::outcome::Format;

use super::prompt::Digest;
use super::{Prompt, Sample, Scheme, output_tokens, prompt_tokens};
use crate::formats::corpus::{Recording, recordings, relay};
use crate::formats::{Reading, read_body};

/// How far estimates of one kind are from the truth.
#[derive(Default)]
struct Errors(Vec<f64>);

impl Errors {
    fn add(&mut self, estimated: u64, counted: u64) {
        self.0.push((estimated as f64 - counted as f64) / counted as f64);
    }

    /// Median error, then median and 90th percentile of its size.
    fn figures(mut self) -> (usize, f64, f64, f64) {
        let at = |sorted: &[f64], share: f64| sorted[((sorted.len() - 1) as f64 * share).round() as usize];
        self.0.sort_by(f64::total_cmp);
        let bias = at(&self.0, 0.5);
        self.0.iter_mut().for_each(|error| *error = error.abs());
        self.0.sort_by(f64::total_cmp);
        (self.0.len(), bias, at(&self.0, 0.5), at(&self.0, 0.9))
    }
}

/// The recording's reading, with the sample that the reader would hold if no usage came.
fn read(format: Format, recording: &Recording) -> (Reading, Sample) {
    let body = recording.response.body.as_bytes();
    if !recording.has("sse_body") && !recording.has("json_array_body") {
        return (read_body(format, body), silenced(format, recording).1);
    }
    let (_, reader) = relay(format, false, &Bytes::copy_from_slice(body), &[body.len().max(1)]);
    (reader.reading().clone(), silenced(format, recording).1)
}

/// The same answer from a provider that reports no usage.
fn silenced(format: Format, recording: &Recording) -> (Reading, Sample) {
    let mut text = recording.response.body.clone();
    for name in ["\"usage\"", "\"usageMetadata\""] {
        text = text.replace(name, &name.replace("\"usage", "\"nothing"));
    }
    let reading = match recording.has("sse_body") || recording.has("json_array_body") {
        true => relay(format, false, &Bytes::from(text), &[1 << 20]).1.reading().clone(),
        false => read_body(format, text.as_bytes()),
    };
    assert!(!reading.usage().is_known(), "{}: {:?}", recording.name, reading.usage());
    let sample = reading.sample.clone();
    (reading, sample)
}

fn is_cut(value: &serde_json::Value) -> bool {
    match value {
        serde_json::Value::String(text) => text.chars().count() >= 2000 || text.contains("cGxhY2Vob2xkZXI="),
        serde_json::Value::Array(items) => items.iter().any(is_cut),
        serde_json::Value::Object(members) => members.values().any(is_cut),
        _ => false,
    }
}

#[test]
fn estimates_are_near_what_providers_counted() {
    for format in Format::ALL.iter().copied() {
        let all = recordings(format);
        if all.is_empty() {
            continue;
        }
        let (mut input, mut output) = ([Errors::default(), Errors::default()], [Errors::default(), Errors::default()]);
        for recording in all.iter().filter(|recording| recording.response.status == 200) {
            let (reading, sample) = read(format, recording);
            if !reading.usage_is_final || !reading.completed {
                continue;
            }
            // Long texts and files of the requests were cut when the corpus was made; server tools add input of their own.
            let body = recording.request.body.as_ref().filter(|body| !is_cut(body) && !recording.has("server_tools"));
            let asked = body.and_then(|body| body["model"].as_str()).unwrap_or_default();
            let scheme = Scheme::of([reading.model_reported.as_deref().unwrap_or_default(), asked]);
            let kind = usize::from(scheme == Scheme::Rule);
            if let (Some(body), Some(counted @ 1..)) = (body, reading.usage().input) {
                let prompt = Prompt::new(format, body.to_string().into());
                let estimated = prompt_tokens(scheme, prompt.clone());
                if std::env::var_os("SHOW").is_some() {
                    let digest = Digest::of(format, body.to_string().as_bytes());
                    println!("{} in {estimated} {counted} {} {}", recording.name, digest.messages, digest.chars);
                }
                input[kind].add(estimated, counted);
            }
            let chars = reading.text_chars + reading.other_chars;
            // Reasoning that is billed and not shown cannot be seen, nor can pictures and sound.
            if reading.usage().reasoning.unwrap_or(0) > 0 || recording.has("audio_out") || chars < 20 {
                continue;
            }
            if let (Some(estimated), Some(counted @ 1..)) =
                (output_tokens(scheme, &sample, chars), reading.usage().output)
            {
                if std::env::var_os("SHOW").is_some() {
                    println!("{} out {estimated} {counted} {chars}", recording.name);
                }
                output[kind].add(estimated, counted);
            }
        }
        for (name, errors) in [("input", input), ("output", output)] {
            for (scheme, errors) in ["vocabulary", "rule"].into_iter().zip(errors) {
                if errors.0.len() < 5 {
                    continue;
                }
                let (count, bias, median, p90) = errors.figures();
                // Prompts hold what no text shows: a provider's own instructions, the way it spells tools. The rule
                // does not count punctuation, of which tool calls are full.
                let bound = match (name, scheme) {
                    ("input", "vocabulary") => 0.25,
                    ("output", "vocabulary") => 0.2,
                    ("input", _) => 0.8,
                    _ => 0.5,
                };
                assert!(median <= bound && p90 < 1.0, "{format} {name} by {scheme}: median {median:.2}, p90 {p90:.2}");
                println!(
                    "{format} {name} by {scheme}: {count} answers, bias {bias:+.2}, median {median:.2}, p90 {p90:.2}"
                );
            }
        }
    }
}
