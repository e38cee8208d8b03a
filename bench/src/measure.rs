//! A run: every target under every profile, in rounds whose order turns back and forth.

use std::net::SocketAddr;
use std::path::PathBuf;

use schemas::outcome::Format;

use crate::answer;
use crate::client::Asked;
use crate::error::Error;
use crate::figures::{MemorySample, Percentiles, Sample};
use crate::load;
use crate::machine::{self, Machine};
use crate::pacing::Pacing;
use crate::peers;
use crate::process::{self, Process};
use crate::profiles::{self, Profile, Strength};
use crate::programs::{Named, Programs};
use crate::report;
use crate::target::{Running, Target};

/// How a run is done.
#[derive(clap::Args, Clone, Debug)]
pub struct Options {
    /// Rounds; figures are medians over them.
    #[arg(long, default_value_t = 5)]
    pub rounds: usize,
    /// Who is compared.
    #[arg(long, value_enum, value_delimiter = ',', default_values = ["nginx", "haproxy", "hyper", "axum", "ledger", "nats"])]
    pub targets: Vec<Target>,
    /// Numbers of streams that are held open for the memory figures; 0 leaves these out.
    #[arg(long, value_delimiter = ',', default_values_t = [1000])]
    pub open_streams: Vec<usize>,
    #[command(flatten)]
    pub strength: Strength,
    #[command(flatten)]
    pub programs: Named,
    /// A folder for `results.md` and `results.json`; the report is only printed unless one is named.
    #[arg(long)]
    pub out: Option<PathBuf>,
}

/// Everything that was measured.
#[derive(Debug)]
pub struct Results {
    /// What was sent, in the order of the report.
    pub profiles: Vec<Profile>,
    /// CPU, rates and times.
    pub samples: Vec<Sample>,
    /// Memory.
    pub memory: Vec<MemorySample>,
    /// What has no figures, and why: one that fails does not take the others' figures away.
    pub failures: Vec<String>,
    /// Where and with what.
    pub machine: Machine,
}

/// The load against the upstream itself.
pub const DIRECT: &str = "direct";

struct Run<'a> {
    programs: &'a Programs,
    profiles: &'a [Profile],
    upstream: &'a Running,
}

/// Measures.
pub fn run(options: &Options) -> Result<Results, Error> {
    process::leave_the_targets_core()?;
    if let Some(folder) = &options.out {
        // Not after a quarter of an hour's work.
        std::fs::create_dir_all(folder).map_err(Error::io(format!("making the folder {}", folder.display())))?;
    }
    let programs = Programs::find(&options.programs, options.targets.contains(&Target::Full))?;
    let (profiles, mut samples) = (profiles::all(&options.strength), Vec::new());
    let (mut memory, mut failures) = (Vec::new(), Vec::new());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(Error::io("a runtime"))?;
    let upstream = Running::upstream(&programs)?;
    let run = Run { programs: &programs, profiles: &profiles, upstream: &upstream };
    for round in 1..=options.rounds {
        report::progress(&format!("round {round} of {}", options.rounds));
        samples.extend(runtime.block_on(run.direct(round))?);
        let mut order = options.targets.clone();
        if round % 2 == 0 {
            order.reverse();
        }
        for target in order {
            let mut failed = |what: &str, error: Error| {
                let failure = format!("round {round}, {}, {what}: {error}", target.as_str());
                report::progress(&failure);
                failures.push(failure);
            };
            match runtime.block_on(run.target(round, target, &mut failed)) {
                Ok(of_target) => samples.extend(of_target),
                Err(error) => failed("its start", error),
            }
        }
    }
    for streams in options.open_streams.iter().copied().filter(|streams| *streams > 0) {
        for target in options.targets.iter().copied().filter(|target| !target.is_peer()) {
            let what = format!("{streams} open streams: {}", target.as_str());
            report::progress(&what);
            match runtime.block_on(run.memory(target, streams)) {
                Ok(sample) => memory.push(sample),
                Err(error) => failures.push(format!("{what}: {error}")),
            }
        }
    }
    let machine = machine::describe(Some(&programs));
    drop(upstream);
    Ok(Results { profiles, samples, memory, failures, machine })
}

impl Run<'_> {
    async fn direct(&self, round: usize) -> Result<Vec<Sample>, Error> {
        let asked = self.asked(DIRECT, self.upstream.address);
        let mut samples = Vec::new();
        for profile in self.profiles {
            samples.push(cell(round, &asked, None, profile).await?);
        }
        Ok(samples)
    }

    /// A target under every profile. It starts anew in every round, with an empty ledger. A profile under which it fails
    /// is told to `failed` and has no sample.
    async fn target(
        &self,
        round: usize,
        target: Target,
        failed: &mut impl FnMut(&str, Error),
    ) -> Result<Vec<Sample>, Error> {
        let running = Running::target(target, self.programs, self.upstream.address)?;
        let mut asked = self.asked(running.name, running.address);
        asked.is_byte_true = !target.is_peer();
        if target == Target::Portkey {
            asked.headers.extend(peers::portkey_headers(self.upstream.address));
        }
        let mut samples = Vec::new();
        for profile in self.profiles.iter().filter(|profile| profile.is_for(target)) {
            match cell(round, &asked, Some(&running.process), profile).await {
                Ok(sample) => samples.push(sample),
                Err(error) => failed(&profile.name, error),
            }
        }
        Ok(samples)
    }

    fn asked(&self, name: &'static str, address: SocketAddr) -> Asked {
        Asked { name, address, is_byte_true: true, headers: Vec::new() }
    }

    /// What open streams take: the difference that opening them makes in a fresh process.
    async fn memory(&self, target: Target, streams: usize) -> Result<MemorySample, Error> {
        let running = Running::target(target, self.programs, self.upstream.address)?;
        let asked = self.asked(running.name, running.address);
        let idle = running.process.memory()?;
        // One stream first: what is set up once is no stream's cost.
        let request = answer::request(Format::OpenaiChat, Pacing::Idle);
        let first = load::hold(&asked, &request, 1).await?;
        let before = running.process.memory()?;
        let held = load::hold(&asked, &request, streams).await?;
        let after = running.process.memory()?;
        drop((first, held));
        let taken = after.anonymous_bytes.saturating_sub(before.anonymous_bytes);
        Ok(MemorySample {
            target: running.name,
            streams,
            idle_rss_bytes: idle.rss_bytes,
            open_rss_bytes: after.rss_bytes,
            peak_rss_bytes: after.peak_bytes,
            stream_bytes: taken as f64 / streams as f64,
        })
    }
}

async fn cell(round: usize, asked: &Asked, process: Option<&Process>, profile: &Profile) -> Result<Sample, Error> {
    let observed = load::run(asked, process, &profile.request, profile.how).await?;
    let requests = observed.requests.max(1) as f64;
    Ok(Sample {
        round,
        target: asked.name,
        profile: profile.name.clone(),
        cpu_us: observed.used.map(|used| used.cpu_us as f64 / requests),
        switches: observed.used.map(|used| used.switches as f64 / requests),
        peak_rss_bytes: process.map(Process::memory).transpose()?.map(|memory| memory.peak_bytes),
        requests_per_second: observed.requests as f64 / observed.window.as_secs_f64(),
        first_byte: Percentiles::of(&observed.times.first_byte),
        whole: Percentiles::of(&observed.times.whole),
        lag: Percentiles::of(&observed.times.lag),
    })
}
