//! `weir audit`: whether everything that gateways have emitted is recorded, once.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Args;
use schemas::config::{Config, Span};
use tokio::time::sleep;

use super::{Failure, logging};
use crate::audit::{self, Auditor, Question, State};
use crate::terminal;

/// Between two questions while something is pending.
const PAUSE: Duration = Duration::from_secs(1);

/// Asks analytics whether everything adds up: exit code 0 if it does, 2 if something is still on its way, 1 if not.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The configuration file: `[analytics] listen` and `token` are what is asked.
    #[arg(long, default_value = "weir.toml")]
    config: PathBuf,
    /// From when, as analytics understands it: a time, a day, or a span before now like -1h. A day before `--to`.
    #[arg(long, allow_hyphen_values = true)]
    from: Option<String>,
    /// Until when; now.
    #[arg(long, allow_hyphen_values = true)]
    to: Option<String>,
    /// Show every minute, and not only those that do not add up.
    #[arg(long)]
    minutes: bool,
    /// Print analytics' reply as it is.
    #[arg(long)]
    json: bool,
    /// How long to wait for what is on its way, like 30s.
    #[arg(long, value_parser = span)]
    wait: Option<Span>,
}

fn span(text: &str) -> Result<Span, String> {
    text.parse()
}

pub(super) async fn run(arguments: Arguments) -> Result<(), Failure> {
    let config = Config::load(&arguments.config)?;
    logging::install_tls()?;
    let auditor = auditor(&config).map_err(Failure::Failed)?;
    let limit = arguments.wait.map_or(Duration::ZERO, |span| span.0);
    let began = Instant::now();
    let report = loop {
        let (from, to) = (arguments.from.as_deref(), arguments.to.as_deref());
        let report = auditor.ask(Question { from, to, minutes: arguments.minutes }).await;
        let report = report.map_err(|error| Failure::Failed(error.to_string()))?;
        if report.state != State::Pending || began.elapsed() >= limit {
            break report;
        }
        sleep(PAUSE).await;
    };
    terminal::out(if arguments.json { report.text.clone() } else { audit::printed(&report) });
    match report.state {
        State::Clean => Ok(()),
        State::Pending => Err(Failure::Pending("events are still on their way: ask again, or with --wait".to_owned())),
        State::Unknown => Err(Failure::Failed("not everything is known".to_owned())),
        State::Unclean => Err(Failure::Failed("the books do not add up".to_owned())),
    }
}

fn auditor(config: &Config) -> Result<Auditor, String> {
    let listen = config.analytics.listen;
    // What listens everywhere also listens here.
    let ip = if listen.ip().is_unspecified() { IpAddr::V4(Ipv4Addr::LOCALHOST) } else { listen.ip() };
    let token = config.analytics.token.as_ref().map(|token| token.resolve()).transpose();
    let token = token.map_err(|reason| format!("analytics.token: {reason}"))?;
    Auditor::new(SocketAddr::new(ip, listen.port()), token).map_err(|error| error.to_string())
}
