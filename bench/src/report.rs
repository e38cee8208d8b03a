//! What a run found, as Markdown and as JSON.

use std::fmt::Write as _;
use std::io::Write as _;

use serde::Serialize;

use crate::answer::{EVENTS, IDLE_EVENTS};
use crate::error::Error;
use crate::figures::{MemorySample, Sample, cpu_us, median, rate, ratio};
use crate::machine::Machine;
use crate::measure::{DIRECT, Options, Results};
use crate::pacing::EVENT_PERIOD;
use crate::process::{LOAD_CORE, TARGET_CORE};
use crate::target::Target;

#[derive(Serialize)]
struct Document<'a> {
    machine: &'a Machine,
    command: &'a str,
    samples: &'a [Sample],
    memory: &'a [MemorySample],
}

/// Prints the report, and writes it where asked to.
pub fn publish(results: &Results, options: &Options) -> Result<(), Error> {
    let (machine, command) = (&results.machine, command());
    let markdown = [introduction(options, machine, &command), cpu(results), memory(results)].concat();
    let document = Document { machine, command: &command, samples: &results.samples, memory: &results.memory };
    if let Some(folder) = &options.out {
        let json = serde_json::to_string_pretty(&document).unwrap_or_default();
        for (name, text) in [("RESULTS.md", &markdown), ("results.json", &json)] {
            let path = folder.join(name);
            std::fs::write(&path, text).map_err(Error::io(format!("writing {}", path.display())))?;
        }
    }
    print(&markdown)
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
    let Machine { processors, kernel, rustc, commit, nats_server, load_average } = machine;
    let Options { rounds, window_ms, clients, slow_clients, open_streams, .. } = options;
    let period_ms = EVENT_PERIOD.as_millis();
    format!(
        "# What the gateway costs, beside a relay that reads nothing\n\n\
         Written by `{command}`.\n\n\
         Machine: {processors}, Linux {kernel}, {rustc}; gateway at {commit}; nats-server: {nats_server}. Load average \
         at the end: {load_average}.\n\n\
         Method: the target is one process on core {TARGET_CORE}; the upstream (pre-rendered answers), the load \
         (closed loop, every byte of every answer checked) and NATS share core {LOAD_CORE}. The bare relay is hyper's \
         server and the gateway's own HTTP client; it joins what is ready and reads nothing. The gateway does all that \
         it does in production: authentication, routing, reading every event, three events a request in its ledger. \
         {rounds} rounds, the order of the targets turned around in every other one, a fresh process each; a \
         measurement takes {window_ms} ms after a warm-up, with {clients} clients ({slow_clients} where {EVENTS} \
         events come {period_ms} ms apart). CPU is user and system time of the whole process from /proc/PID/stat. \
         Figures are medians over the rounds; ratios are taken within a round. Memory is what {open_streams} open \
         streams add to the anonymous resident memory of a fresh process after {IDLE_EVENTS} events each.\n\n"
    )
}

fn cpu(results: &Results) -> String {
    let mut text = String::from("## CPU, microseconds a request (ratio to the bare relay)\n\n| |");
    for target in &results.targets {
        let _infallible = write!(text, " {} |", target.as_str());
    }
    text += " answers/s: direct |";
    for target in &results.targets {
        let _infallible = write!(text, " {} |", target.as_str());
    }
    text += "\n|---|";
    text += &"---:|".repeat(2 * results.targets.len() + 1);
    text.push('\n');
    let floor = Target::BareRelay.as_str();
    for profile in &results.profiles {
        let (name, samples) = (profile.name.as_str(), &results.samples);
        let _infallible = write!(text, "| {name} |");
        for target in results.targets.iter().map(|target| target.as_str()) {
            text += &match (cpu_us(samples, target, name), ratio(samples, target, floor, name)) {
                (Some(us), Some(_)) if target == floor => format!(" {us:.1} |"),
                (Some(us), Some(ratio)) => format!(" {us:.1} ({ratio:.2}) |"),
                _ => " |".to_owned(),
            };
        }
        for target in std::iter::once(DIRECT).chain(results.targets.iter().map(|target| target.as_str())) {
            text += &rate(samples, target, name).map_or(" |".to_owned(), |rate| format!(" {rate:.0} |"));
        }
        text.push('\n');
    }
    text
}

fn memory(results: &Results) -> String {
    if results.memory.is_empty() {
        return String::new();
    }
    let mut text = String::from(
        "\n## Memory\n\n| | idle, MiB | all streams open, MiB | a stream, KiB | over the bare relay, KiB |\n\
         |---|---:|---:|---:|---:|\n",
    );
    let of = |target: Target, figure: fn(&MemorySample) -> f64| {
        median(results.memory.iter().filter(|sample| sample.target == target.as_str()).map(figure)).unwrap_or(f64::NAN)
    };
    for target in results.targets.iter().copied() {
        let mib = |bytes: f64| bytes / f64::from(1 << 20);
        let idle = mib(of(target, |sample| sample.idle_rss_bytes as f64));
        let open = mib(of(target, |sample| sample.open_rss_bytes as f64));
        let stream = of(target, |sample| sample.stream_bytes) / 1024.0;
        let over = stream - of(Target::BareRelay, |sample| sample.stream_bytes) / 1024.0;
        let _infallible = writeln!(text, "| {} | {idle:.1} | {open:.1} | {stream:.1} | {over:.1} |", target.as_str());
    }
    text
}
