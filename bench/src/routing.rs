//! `bench routing`: what it costs to choose among many candidates, by many tasks at once.
//!
//! A decision is all that a request does before it is sent, but for I/O: it looks up its conversation, orders the
//! candidates, takes a slot of the first, gives it back with a good result, and notes where the conversation is now. There
//! is nothing that all tasks share but what they read; what shows otherwise is how often a thread had to wait, which the
//! kernel counts, and what a decision costs among many tasks beside what it costs alone.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use gateway::catalog::{Catalog, Listed};
use gateway::formats::Conversation;
use gateway::health::{Admission, Claim, Health};
use gateway::routing::{Affinity, Ask, Needs, line};
use schemas::config::Config;
use schemas::outcome::Format;

use crate::error::Error;
use crate::figures::median;
use crate::machine;
use crate::process::own_cpu_us;

/// How a run is done.
#[derive(clap::Args, Clone, Debug)]
pub struct Options {
    /// Candidates of the model.
    #[arg(long, default_value_t = 1000)]
    pub candidates: usize,
    /// Tasks that decide at the same time.
    #[arg(long, default_value_t = 64)]
    pub tasks: usize,
    /// Rounds; figures are medians over them.
    #[arg(long, default_value_t = 5)]
    pub rounds: usize,
    /// Length of a measurement, in milliseconds.
    #[arg(long, default_value_t = 1000)]
    pub window_ms: u64,
}

/// All that tasks share.
struct Shared {
    listed: Arc<Listed>,
    health: Health,
    affinity: Affinity,
    is_over: AtomicBool,
}

/// One measurement.
#[derive(Clone, Copy, Debug)]
struct Sample {
    cpu_ns: f64,
    decisions_per_s: f64,
    /// Of a million decisions.
    waits: f64,
}

/// Decisions between two looks at the clock and at the other tasks.
const BATCH: u64 = 64;
/// Conversations of each task.
const CONVERSATIONS: u64 = 32;

/// Measures and prints.
pub fn run(options: &Options) -> Result<(), Error> {
    let cells = [(1, 1), (1, options.tasks), (options.candidates, 1), (options.candidates, options.tasks)];
    let mut samples: BTreeMap<(usize, usize), Vec<Sample>> = BTreeMap::new();
    for round in 0..options.rounds {
        // What slows the machine for a while slows the first and the last cell alike.
        let order: Vec<_> = if round % 2 == 0 { cells.to_vec() } else { cells.iter().rev().copied().collect() };
        for cell in order {
            samples.entry(cell).or_default().push(measure(cell, Duration::from_millis(options.window_ms))?);
        }
    }
    let text = report(options, &samples);
    std::io::stdout().write_all(text.as_bytes()).map_err(Error::io("printing the report"))
}

fn shared(candidates: usize) -> Result<Shared, Error> {
    let mut file = String::from("[[providers]]\nname = \"p\"\n");
    let mut routes = String::from("[[models]]\nname = \"m\"\n");
    for at in 0..candidates {
        let _infallible = write!(
            file,
            "[[providers.endpoints]]\nname = \"e{at}\"\nformat = \"anthropic\"\nbase_url = \"http://127.0.0.1:9\"\n"
        );
        let _infallible = write!(routes, "[[models.routes]]\nendpoint = \"e{at}\"\n");
    }
    let wrong = |mistakes| Error::Setup(format!("the catalogue of the benchmark: {mistakes}"));
    let config = Config::parse(&(file + &routes), &BTreeMap::new()).map_err(wrong)?;
    let catalog = Catalog::build(&config, Arc::default()).map_err(wrong)?;
    let listed = catalog.find("m", Format::Anthropic).ok_or_else(|| Error::Setup("no model".to_owned()))?;
    let (health, affinity) = (Health::new(catalog.health_specs()), Affinity::default());
    Ok(Shared { listed, health, affinity, is_over: AtomicBool::new(false) })
}

fn measure((candidates, tasks): (usize, usize), window: Duration) -> Result<Sample, Error> {
    let shared = Arc::new(shared(candidates)?);
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(Error::io("starting the runtime"))?;
    let (begin, cpu_us, waits) = (Instant::now(), own_cpu_us()?, waits()?);
    let running: Vec<_> = (0..tasks).map(|task| runtime.spawn(decide_on(Arc::clone(&shared), task))).collect();
    std::thread::sleep(window);
    shared.is_over.store(true, Ordering::Relaxed);
    let waited = self::waits()?.saturating_sub(waits);
    let counts = runtime.block_on(async {
        let mut sum = 0;
        for task in running {
            sum += task.await.map_err(|error| Error::Setup(format!("a task of the benchmark: {error}")))?;
        }
        Ok::<u64, Error>(sum)
    })?;
    let decisions = counts as f64;
    Ok(Sample {
        cpu_ns: own_cpu_us()?.saturating_sub(cpu_us) as f64 * 1000.0 / decisions,
        decisions_per_s: decisions / begin.elapsed().as_secs_f64(),
        waits: waited as f64 * 1e6 / decisions,
    })
}

/// Decides until the time is up; how often.
async fn decide_on(shared: Arc<Shared>, task: usize) -> u64 {
    let client = format!("client-{task}");
    let mut count = 0;
    while !shared.is_over.load(Ordering::Relaxed) {
        for _ in 0..BATCH {
            decide(&shared, &client, count);
            count += 1;
        }
        tokio::task::yield_now().await;
    }
    count
}

fn decide(shared: &Shared, client: &str, count: u64) {
    let now = Instant::now();
    let conversation = Conversation { id: count % CONVERSATIONS, ..Conversation::default() };
    let mut turn = shared.affinity.turn((client, "m", Format::Anthropic), conversation, now);
    let (format, needs, held) = (Format::Anthropic, Needs::default(), turn.held());
    let ask = Ask { client, user: "", format, needs, held, home: None };
    let line = line(&shared.listed, &ask, &shared.health, now);
    let claim = if held.is_some() { Claim::Known } else { Claim::New };
    for (at, place) in line.fit.iter().enumerate() {
        let Some(id) = shared.listed.target_id(*place) else { continue };
        if let Admission::Admitted(slot) = shared.health.admit(id, claim, now) {
            slot.succeeded(now);
            shared.listed.identity(*place).into_iter().for_each(|who| turn.answered(who, at));
            return turn.settle(&shared.affinity, now);
        }
    }
}

/// How often the threads of this process have had to wait so far, for a lock or for work.
fn waits() -> Result<u64, Error> {
    let tasks = std::fs::read_dir("/proc/self/task").map_err(Error::io("reading /proc/self/task"))?;
    let of = |status: String| {
        let line = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"))?;
        line.trim().parse::<u64>().ok()
    };
    // A thread may end while it is looked at.
    Ok(tasks.flatten().filter_map(|task| std::fs::read_to_string(task.path().join("status")).ok().and_then(of)).sum())
}

fn report(options: &Options, samples: &BTreeMap<(usize, usize), Vec<Sample>>) -> String {
    let of = |cell: (usize, usize), figure: fn(&Sample) -> f64| {
        median(samples.get(&cell).into_iter().flatten().map(figure)).unwrap_or(f64::NAN)
    };
    let machine = machine::describe(None);
    let mut text = format!(
        "# What a decision costs\n\n{}, Linux {}, {}; gateway at {}. {} rounds of {} ms. Load average: {}.\n\n\
         | candidates | tasks | CPU, ns a decision | to one candidate | to one task | decisions/s | waits a million |\n\
         |---:|---:|---:|---:|---:|---:|---:|\n",
        machine.processors,
        machine.kernel,
        machine.rustc,
        machine.commit,
        options.rounds,
        options.window_ms,
        machine.load_average,
    );
    for (candidates, tasks) in samples.keys().copied() {
        let cpu_ns = of((candidates, tasks), |sample| sample.cpu_ns);
        let to_one_candidate = cpu_ns / of((1, tasks), |sample| sample.cpu_ns);
        let to_one_task = cpu_ns / of((candidates, 1), |sample| sample.cpu_ns);
        let rate = of((candidates, tasks), |sample| sample.decisions_per_s);
        let waits = of((candidates, tasks), |sample| sample.waits);
        let _infallible = writeln!(
            text,
            "| {candidates} | {tasks} | {cpu_ns:.0} | {to_one_candidate:.2} | {to_one_task:.2} | {rate:.0} | {waits:.0} |"
        );
    }
    text
}
