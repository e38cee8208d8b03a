//! What a run found, as Markdown and as JSON.

use std::fmt::Write as _;
use std::io::Write as _;

use serde::Serialize;

use crate::answer::IDLE_EVENTS;
use crate::error::Error;
use crate::figures::{Figure, MemorySample, Sample, added, figure, ratio};
use crate::machine::Machine;
use crate::measure::{DIRECT, Options, Results};
use crate::process::{LOAD_CORE, TARGET_CORE};
use crate::target::Target;

#[derive(Serialize)]
struct Document<'a> {
    machine: &'a Machine,
    command: &'a str,
    samples: &'a [Sample],
    memory: &'a [MemorySample],
    failures: &'a [String],
}

/// Prints the report, and writes it where asked to.
pub fn publish(results: &Results, options: &Options) -> Result<(), Error> {
    let (machine, command) = (&results.machine, command());
    let parts = [
        introduction(options, machine, &command),
        table(results, options, "CPU, microseconds a request (ratio to the floor)", |sample| sample.cpu_us, 1.0),
        table(results, options, "Answers a second", |sample| Some(sample.requests_per_second), 1.0),
        table(results, options, "Context switches a request", |sample| sample.switches, 1.0),
        times(results, options),
        memory(results),
        failures(results),
    ];
    let markdown = parts.concat();
    let Results { samples, memory, failures, .. } = results;
    print(&markdown)?;
    let document = Document { machine, command: &command, samples, memory, failures };
    if let Some(folder) = &options.out {
        let json = serde_json::to_string(&document).unwrap_or_default();
        for (name, text) in [("results.md", &markdown), ("results.json", &json)] {
            let path = folder.join(name);
            std::fs::write(&path, text).map_err(Error::io(format!("writing {}", path.display())))?;
        }
    }
    match failures.len() {
        0 => Ok(()),
        count => Err(Error::Setup(format!("{count} measurements failed; the report names them"))),
    }
}

fn failures(results: &Results) -> String {
    if results.failures.is_empty() {
        return String::new();
    }
    let lines: String = results.failures.iter().map(|failure| format!("- {failure}\n")).collect();
    format!("\n## Without figures\n\n{lines}")
}

/// Says how far the run is, to whoever watches.
pub fn progress(text: &str) {
    let _nobody_watches = writeln!(std::io::stderr(), "{text}");
}

fn print(text: &str) -> Result<(), Error> {
    std::io::stdout().write_all(text.as_bytes()).map_err(Error::io("printing the report"))
}

fn command() -> String {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    format!("cargo run --release -p bench -- {}", arguments.join(" "))
}

fn introduction(options: &Options, machine: &Machine, command: &str) -> String {
    let Machine { processors, kernel, rustc, commit, others, load_average } = machine;
    let Options { rounds, strength, .. } = options;
    format!(
        "# What was measured\n\n\
         Written by `{command}`.\n\n\
         Machine: {processors}, Linux {kernel}, {rustc}; this repository at {commit}; {others}. Load average at the end: \
         {load_average} (the run itself makes about 2).\n\n\
         Method: the target is one process on core {TARGET_CORE}; the upstream (pre-rendered answers), the load (every \
         byte of every answer checked, but for the answers that other gateways make of their own; a measurement with one error \
         has no figures) and what is behind the gateway share core {LOAD_CORE}. {rounds} rounds, the order of the \
         targets turned around in every other one, a fresh process each. A measurement of CPU takes {} ms after a \
         warm-up, with {} clients ({} where events come 1 ms apart, {} where they come 20 ms apart). CPU is user and \
         system time of the whole process from /proc/PID/stat. Figures are medians over the rounds; ratios and \
         differences are taken within a round; the floor of ratios is {}. Memory is what open streams add to the \
         anonymous resident memory of a fresh process after {IDLE_EVENTS} events each.\n",
        strength.window_ms,
        strength.clients,
        strength.slow_clients,
        strength.spoken_clients,
        floor(options).as_str(),
    )
}

/// What the others are compared with: the first that was named.
fn floor(options: &Options) -> Target {
    options.targets.first().copied().unwrap_or(Target::Nginx)
}

/// One figure of all targets under all profiles.
fn table(results: &Results, options: &Options, title: &str, what: Figure, least: f64) -> String {
    let names: Vec<&str> =
        std::iter::once(DIRECT).chain(options.targets.iter().map(|target| target.as_str())).collect();
    let names: Vec<&str> = names
        .into_iter()
        .filter(|name| results.samples.iter().any(|sample| sample.target == *name && what(sample).is_some()))
        .collect();
    let mut text = head(title, &names);
    for profile in &results.profiles {
        let _infallible = write!(text, "| {} |", profile.name);
        for name in &names {
            let ratio = ratio(&results.samples, (name, floor(options).as_str()), &profile.name, what);
            let value = figure(&results.samples, name, &profile.name, what);
            text += &match (value, ratio.filter(|_| title.contains("ratio") && *name != floor(options).as_str())) {
                (Some(value), Some(ratio)) => format!(" {} ({ratio:.2}) |", number(value, least)),
                (Some(value), None) => format!(" {} |", number(value, least)),
                (None, _) => " |".to_owned(),
            };
        }
        text.push('\n');
    }
    text
}

/// With a decimal where it matters.
fn number(value: f64, least: f64) -> String {
    if value < 100.0 * least { format!("{value:.1}") } else { format!("{value:.0}") }
}

fn head(title: &str, names: &[&str]) -> String {
    let columns: String = names.iter().fold(String::new(), |text, name| text + " " + name + " |");
    format!("\n## {title}\n\n| |{columns}\n|---|{}\n", "---:|".repeat(names.len()))
}

/// What targets add to the times of profiles whose rate is fixed, and how long events are under way.
fn times(results: &Results, options: &Options) -> String {
    let rows: [(&str, Figure, bool); 7] = [
        ("first byte, added p50", |sample| Some(sample.first_byte?.p50 as f64), true),
        ("first byte, added p99", |sample| Some(sample.first_byte?.p99 as f64), true),
        ("whole answer, added p50", |sample| Some(sample.whole?.p50 as f64), true),
        ("whole answer, added p99", |sample| Some(sample.whole?.p99 as f64), true),
        ("event under way, p50", |sample| Some(sample.lag?.p50 as f64), false),
        ("event under way, p90", |sample| Some(sample.lag?.p90 as f64), false),
        ("event under way, p99", |sample| Some(sample.lag?.p99 as f64), false),
    ];
    let is_timed =
        |profile: &&crate::profiles::Profile| profile.how.rate.is_some() || !profile.request.stamps.is_empty();
    let names: Vec<&str> = std::iter::once(DIRECT)
        .chain(options.targets.iter().filter(|target| !target.is_peer()).map(|target| target.as_str()))
        .collect();
    let mut text = head("Times, microseconds", &names);
    for profile in results.profiles.iter().filter(is_timed) {
        let has_stamps = !profile.request.stamps.is_empty();
        for (title, what, is_difference) in rows.iter().filter(|(_, _, is_difference)| *is_difference != has_stamps) {
            let _infallible = write!(text, "| {}: {title} |", profile.name);
            for name in &names {
                let value = match *is_difference && *name != DIRECT {
                    true => added(&results.samples, (name, DIRECT), &profile.name, *what),
                    false => figure(&results.samples, name, &profile.name, *what),
                };
                text += &value.map_or(" |".to_owned(), |value| format!(" {value:.0} |"));
            }
            text.push('\n');
        }
    }
    text
}

fn memory(results: &Results) -> String {
    if results.memory.is_empty() {
        return String::new();
    }
    let names = ["streams", "idle, MiB", "all open, MiB", "peak, MiB", "a stream, KiB", "over axum + reqwest, KiB"];
    let mut text = head("Memory", &names);
    let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    for sample in &results.memory {
        let MemorySample { target, streams, stream_bytes, .. } = sample;
        let floor =
            results.memory.iter().find(|other| other.target == Target::Axum.as_str() && other.streams == *streams);
        let over = floor.map_or(String::new(), |floor| format!("{:.1}", (stream_bytes - floor.stream_bytes) / 1024.0));
        let (idle, open, peak) = (mib(sample.idle_rss_bytes), mib(sample.open_rss_bytes), mib(sample.peak_rss_bytes));
        let kib = stream_bytes / 1024.0;
        let _infallible =
            writeln!(text, "| {target} | {streams} | {idle:.1} | {open:.1} | {peak:.1} | {kib:.1} | {over} |");
    }
    text
}
