//! A run: every target under every profile, in rounds whose order turns back and forth.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use schemas::outcome::Format;

use crate::answer::{self, Request};
use crate::error::Error;
use crate::figures::{MemorySample, Sample};
use crate::load::{self, Loop};
use crate::machine::{self, Machine};
use crate::pacing::Pacing;
use crate::process::{self, Process};
use crate::report;
use crate::target::{Programs, Running, Target, reserve_port};

/// How a run is done.
#[derive(clap::Args, Clone, Debug)]
pub struct Options {
    /// Rounds; figures are medians over them.
    #[arg(long, default_value_t = 5)]
    pub rounds: usize,
    /// Length of a measurement, in milliseconds.
    #[arg(long, default_value_t = 2000)]
    pub window_ms: u64,
    /// Clients at once.
    #[arg(long, default_value_t = 16)]
    pub clients: usize,
    /// Clients at once where events come one by one.
    #[arg(long, default_value_t = 64)]
    pub slow_clients: usize,
    /// Streams that are held open for the memory figures; 0 leaves these out.
    #[arg(long, default_value_t = 1000)]
    pub open_streams: usize,
    /// Only profiles whose name contains this.
    #[arg(long, default_value = "")]
    pub only: String,
    /// A gateway binary; cargo builds the workspace's unless one is named.
    #[arg(long)]
    pub gateway: Option<PathBuf>,
    /// A nats-server binary; the one on PATH unless one is named, and none if there is none.
    #[arg(long)]
    pub nats_server: Option<PathBuf>,
    /// Where the report goes; it is only printed unless a folder is named.
    #[arg(long)]
    pub out: Option<PathBuf>,
}

/// Everything that was measured.
#[derive(Debug)]
pub struct Results {
    /// Who was measured, in the order of the report.
    pub targets: Vec<Target>,
    /// What was sent, in the order of the report.
    pub profiles: Vec<Profile>,
    /// CPU and rates.
    pub samples: Vec<Sample>,
    /// Memory.
    pub memory: Vec<MemorySample>,
    /// Where and with what.
    pub machine: Machine,
}

/// One kind of load.
#[derive(Clone, Debug)]
pub struct Profile {
    /// Its name in reports.
    pub name: String,
    request: Arc<Request>,
    clients: usize,
}

/// The load against the upstream itself.
pub const DIRECT: &str = "direct";

const WARM_UP: Duration = Duration::from_millis(300);

struct Run<'a> {
    options: &'a Options,
    programs: &'a Programs,
    profiles: &'a [Profile],
    upstream: &'a Running,
}

/// Measures.
pub fn run(options: &Options) -> Result<Results, Error> {
    process::leave_the_targets_core()?;
    let programs = Programs::find(options.gateway.clone(), options.nats_server.clone())?;
    let mut targets = vec![Target::BareRelay, Target::Gateway];
    targets.extend(programs.nats_server.is_some().then_some(Target::GatewayWithNats));
    let (profiles, mut samples, mut memory) = (profiles(options), Vec::new(), Vec::new());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(Error::io("a runtime"))?;
    let upstream = Running::upstream(&programs)?;
    let run = Run { options, programs: &programs, profiles: &profiles, upstream: &upstream };
    for round in 1..=options.rounds {
        report::progress(&format!("round {round} of {}", options.rounds));
        let direct = runtime.block_on(run.cells(round, DIRECT, (upstream.address, None)))?;
        samples.extend(direct);
        let mut order = targets.clone();
        if round % 2 == 0 {
            order.reverse();
        }
        for target in order {
            samples.extend(runtime.block_on(run.target(round, target))?);
            if options.open_streams > 0 {
                memory.push(runtime.block_on(run.memory(round, target))?);
            }
        }
    }
    let machine = machine::describe(programs.nats_server.as_deref());
    drop(upstream);
    Ok(Results { targets, profiles, samples, memory, machine })
}

fn profiles(options: &Options) -> Vec<Profile> {
    let profile = |format: Format, pacing: Pacing, clients| {
        let name = match pacing {
            Pacing::Plain => format!("{format}, plain 1 KB"),
            _ => format!("{format}, {} events {}", answer::EVENTS, pacing.as_str()),
        };
        Profile { name, request: Arc::new(answer::request(format, pacing)), clients }
    };
    let mut profiles = vec![profile(Format::OpenaiChat, Pacing::Plain, options.clients)];
    profiles.extend(Format::ALL.iter().map(|format| profile(*format, Pacing::Together, options.clients)));
    profiles.push(profile(Format::OpenaiChat, Pacing::OneByOne, options.slow_clients));
    profiles.push(profile(Format::Anthropic, Pacing::OneByOne, options.slow_clients));
    profiles.retain(|profile| profile.name.contains(&options.only));
    profiles
}

impl Run<'_> {
    /// A target's CPU under every profile. It starts anew in every round, with an empty ledger.
    async fn target(&self, round: usize, target: Target) -> Result<Vec<Sample>, Error> {
        let (nats, running) = self.start(target)?;
        let samples = self.cells(round, target.as_str(), (running.address, Some(&running.process))).await?;
        drop((running, nats));
        Ok(samples)
    }

    async fn cells(
        &self,
        round: usize,
        target: &'static str,
        (address, process): (std::net::SocketAddr, Option<&Process>),
    ) -> Result<Vec<Sample>, Error> {
        let mut samples = Vec::new();
        for Profile { name, request, clients } in self.profiles {
            let window = Duration::from_millis(self.options.window_ms);
            let how = Loop { clients: *clients, warm_up: WARM_UP, window };
            let observed = load::closed_loop((target, address), process, request, how).await?;
            let requests = observed.requests.max(1) as f64;
            samples.push(Sample {
                round,
                target,
                profile: name.clone(),
                cpu_us: observed.cpu_us.map(|cpu_us| cpu_us as f64 / requests),
                requests_per_second: observed.requests as f64 / observed.window.as_secs_f64(),
                median_us: observed.median_us,
            });
        }
        Ok(samples)
    }

    /// What open streams take: the difference that opening them makes in a fresh process.
    async fn memory(&self, round: usize, target: Target) -> Result<MemorySample, Error> {
        let (nats, running) = self.start(target)?;
        // One stream first: what is set up once is no stream's cost.
        let request = answer::request(Format::OpenaiChat, Pacing::Idle);
        let first = load::hold(&running, &request, 1).await?;
        let before = running.process.memory()?;
        let held = load::hold(&running, &request, self.options.open_streams).await?;
        let after = running.process.memory()?;
        drop((first, held, running, nats));
        let taken = after.anonymous_bytes.saturating_sub(before.anonymous_bytes);
        Ok(MemorySample {
            round,
            target: target.as_str(),
            idle_rss_bytes: before.rss_bytes,
            open_rss_bytes: after.rss_bytes,
            stream_bytes: taken as f64 / self.options.open_streams as f64,
        })
    }

    fn start(&self, target: Target) -> Result<(Option<Running>, Running), Error> {
        // A port where nothing listens: NATS is away.
        let (_nobody, away) = reserve_port()?;
        let nats = match (target, &self.programs.nats_server) {
            (Target::GatewayWithNats, Some(program)) => Some(Running::nats(program)?),
            _ => None,
        };
        let address = nats.as_ref().map_or(away, |nats| nats.address);
        Ok((nats, Running::target(target, self.programs, self.upstream.address, address)?))
    }
}
