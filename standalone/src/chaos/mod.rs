//! `weir chaos`: real processes under a steady load, killed, stopped, wiped and without room on their disk, at times drawn
//! from a seed; and at the end whether every request is accounted for, once, to the last digit.
//!
//! The simulated provider lives in this process, which nobody kills: its tally is the truth.

mod schedule;
mod disk;
mod process;
mod configuration;
mod deployment;
mod meter;
mod torture;
mod load;
mod books;
mod settle;
mod totals;
mod report;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use schemas::config::Config;
use schemas::price::Book;
use tokio_util::sync::{CancellationToken, DropGuard};

use self::books::Books;
use self::deployment::{Deployment, Seconds};
use self::load::Load;
use self::meter::{Count, Meter};
use self::report::Figures;
use self::schedule::{Act, Cast, Deed, Part};
use self::settle::Settling;
use self::torture::{Deeds, Torturer};
use crate::demo::readback::{self, Readback};
use crate::demo::report::accounting;
use crate::simulate::{Options, Simulator};
use crate::terminal::{self, Step};
use crate::{audit, stack};

pub use self::disk::{enter_own_mounts, take_room};

/// What a run is.
#[derive(Clone, Debug)]
pub struct Plan {
    /// How long parts are tortured.
    pub length: Duration,
    /// Decides everything that is drawn.
    pub seed: u64,
    /// Clients that ask at the same time.
    pub clients: u64,
    /// Recorders that share the partitions: 1 or 2.
    pub recorders: u64,
    /// Gateways that clients ask in turn: 1 or 2.
    pub gateways: u64,
    /// Where everything is put, and left; none for a temporary folder.
    pub folder: Option<PathBuf>,
}

/// Why a run failed, or could not be made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A part cannot be had or started.
    #[error(transparent)]
    Stack(#[from] stack::Error),
    /// The configuration is wrong: a mistake of ours.
    #[error("the configuration of the run: {0}")]
    Configuration(#[from] schemas::config::Mistakes),
    /// An address in it is none: a mistake of ours.
    #[error("{0} is no address")]
    Address(String),
    /// The price book that ships with Weir is wrong.
    #[error(transparent)]
    Prices(#[from] schemas::price::InvalidBook),
    /// What was recorded cannot be read.
    #[error(transparent)]
    Readback(#[from] readback::Error),
    /// The audit cannot be had.
    #[error(transparent)]
    Audit(#[from] audit::Error),
    /// The run's folder cannot be made.
    #[error("cannot create the folder of the run: {0}")]
    Folder(io::Error),
    /// A part does not come back.
    #[error("{name} does not answer any more; it ended {ends} times by itself, and said at last: {last_words}")]
    Silent {
        /// Which.
        name: &'static str,
        /// How often it ended while it was waited for.
        ends: u64,
        /// The end of its log, which is gone with the run's folder.
        last_words: String,
    },
    /// A disk could not be filled, emptied or wiped.
    #[error("cannot {what} the disk of {part}: {cause}")]
    Disk {
        /// What was tried.
        what: &'static str,
        /// Whose.
        part: &'static str,
        /// Why not.
        cause: io::Error,
    },
    /// Interrupted.
    #[error("interrupted")]
    Interrupted,
    /// The books do not agree.
    #[error("seed {seed}: not everything adds up: {what}")]
    Unbalanced {
        /// The run's seed.
        seed: u64,
        /// What is different.
        what: String,
    },
}

/// Makes a run. Succeeds only if everything adds up.
pub async fn run(plan: &Plan, stop: &CancellationToken) -> Result<(), Error> {
    let temporary = match &plan.folder {
        None => Some(tempfile::Builder::new().prefix("weir-chaos-").tempdir().map_err(Error::Folder)?),
        Some(folder) => {
            std::fs::create_dir_all(folder).map_err(Error::Folder)?;
            None
        }
    };
    let folder = temporary.as_ref().map(|folder| folder.path().to_owned()).or_else(|| plan.folder.clone());
    let folder = std::path::absolute(folder.unwrap_or_default()).map_err(Error::Folder)?;
    // Not spawned: children live no longer than the thread that starts them, and this one lives as long as the process.
    tokio::select! {
        ended = make(plan, &folder) => ended,
        () = stop.cancelled() => Err(Error::Interrupted),
    }
}

/// The provider, for as long as this lives.
struct Provider {
    simulator: Simulator,
    _stop: DropGuard,
}

async fn make(plan: &Plan, folder: &Path) -> Result<(), Error> {
    let cast = Cast { recorders: plan.recorders, gateways: plan.gateways };
    let acts = schedule::draw(plan.seed, plan.length, cast);
    let (listener, address) = stack::bind(0).await?;
    let provider = provide(plan.seed, listener);
    let (config, ports) = configuration::write(folder, address)?;
    let seconds = Seconds {
        recorder: (plan.recorders > 1).then_some(ports.second_recorder),
        gateway: (plan.gateways > 1).then_some(ports.second_gateway_ops),
    };
    let full = acts.iter().find(|act| matches!(act.deed, Deed::Fill(_))).map(|act| act.part);
    let deployment = Deployment::prepare(folder, &config, full, seconds).await?;
    let step = Step::begin("starting every part as a process of its own");
    deployment.start().await?;
    step.done(format_args!("everything answers; seed {}", plan.seed));
    let mut tellers =
        BTreeMap::from([(Part::Gateway, config.gateway.ops_listen), (Part::Recorder, config.recorder.ops_listen)]);
    tellers.extend(seconds.recorder.map(|address| (Part::SecondRecorder, address)));
    tellers.extend(seconds.gateway.map(|address| (Part::SecondGateway, address)));
    let mut gateways = vec![config.gateway.listen];
    gateways.extend(seconds.gateway.map(|_| ports.second_gateway));
    let client = reqwest::Client::builder().no_proxy().build().map_err(stack::Error::Client)?;
    let (deployment, simulator) = (&deployment, &provider.simulator);
    let scene = Scene { plan, config: &config, gateways, deployment, simulator };
    let torment = scene.torment(&acts, Meter::new(client, tellers)).await;
    deployment.end().await;
    torment
}

fn provide(seed: u64, listener: tokio::net::TcpListener) -> Provider {
    let simulator = Simulator::new(Options {
        seed,
        first_token: Duration::from_millis(100),
        per_token: Duration::from_millis(4),
        output_tokens: 20..=240,
        answers_max: usize::MAX,
        ..Options::default()
    });
    let (serving, stop) = (simulator.clone(), CancellationToken::new());
    let _stop = stop.clone().drop_guard();
    tokio::spawn(async move { serving.serve(listener, stop).await });
    Provider { simulator, _stop }
}

/// Everything that stands.
struct Scene<'a> {
    plan: &'a Plan,
    config: &'a Config,
    /// Where clients ask.
    gateways: Vec<SocketAddr>,
    deployment: &'a Deployment,
    simulator: &'a Simulator,
}

impl Scene<'_> {
    /// Does one run's acts under its load, and judges what came of it.
    async fn torment(&self, acts: &[Act], meter: Meter) -> Result<(), Error> {
        let Self { plan, config, deployment, simulator, .. } = *self;
        let client = reqwest::Client::builder().no_proxy().build().map_err(stack::Error::Client)?;
        let torturer = Torturer { deployment, meter: &meter, deeds: RefCell::new(Deeds::default()) };
        let load = Load::start(&self.gateways, &client, plan.seed, plan.clients);
        torturer.run(acts, plan.length).await?;
        let step = Step::begin(format!("{} requests were sent; letting everything settle", load.begun()));
        let began = Instant::now();
        let sent = load.finish().await;
        let readback = Readback { client, analytics: config.analytics.listen, config: config.clone() };
        let settled = Settling { readback: &readback, simulator, meter: &meter }.wait().await?;
        step.done("settled");
        meter.look().await;

        let books = Books {
            sent,
            answers: simulator.tally().answers.into(),
            rows: settled.rows,
            opened: settled.opened,
            candidates: settled.candidates,
            uneven: settled.uneven,
            totals: settled.totals,
            prices: Book::builtin()?,
        };
        let figures = Figures {
            seed: plan.seed,
            seconds: plan.length.as_secs(),
            sent: books.sent.len(),
            let_in: books.opened.len(),
            orphans: books.rows.iter().filter(|row| row.is_orphan()).count(),
            deeds: torturer.deeds.take(),
            deduplicated: meter.total(Count::Deduplicated).await,
            resent: meter.total(Count::Resent).await,
            dead_letters: settled.dead_letters.max(meter.total(Count::DeadLettered).await),
            lost: meter.total(Count::Lost).await,
            damaged: meter.total(Count::Damaged).await,
            lag_seconds: settled.lag_seconds,
            settled_after_seconds: began.elapsed().as_secs_f64(),
            audit: settled.audit.clone(),
        };
        judge(plan, &books, &figures, settled.reasons)
    }
}

/// Prints what came of a run.
fn judge(plan: &Plan, books: &Books, figures: &Figures, reasons: Vec<String>) -> Result<(), Error> {
    let (mut checks, differences) = books.compare();
    checks.push(settle::audit_check(&figures.audit));
    checks.push(crate::demo::accounting::Check::new("dead letters", 0, figures.dead_letters));
    let ended: u64 = figures.deeds.ended.values().sum();
    checks.push(crate::demo::accounting::Check::new("parts that ended by themselves", 0, ended));
    for difference in differences.iter().chain(&reasons) {
        terminal::err(difference);
    }
    terminal::out(accounting(&checks));
    terminal::out(report::figures(figures));
    let different: Vec<&str> = checks.iter().filter(|check| !check.holds()).map(|check| check.what.trim()).collect();
    if different.is_empty() {
        return Ok(());
    }
    Err(Error::Unbalanced { seed: plan.seed, what: different.join("; ") })
}
