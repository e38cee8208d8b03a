//! `weir dead-letters`: what could not be stored, why, and another try.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::{Args, Subcommand};
use recorder::letters::{Fate, Filter, Letter, LetterId, Letters, Sender, Sent};
use schemas::config::{Config, Span};
use schemas::time::Timestamp;
use tokio::time::sleep;

use super::Failure;
use crate::prices::day_or_time;
use crate::terminal::{self, Align};

/// Between two questions for what has become of a letter.
const PAUSE: Duration = Duration::from_millis(500);
/// Clocks of this machine and of the recorder's may differ by this much.
const CLOCK_MARGIN_MICROS: i64 = 60_000_000;
/// So much of a reason is shown in a list.
const REASON_CHARS: usize = 100;
/// More than that are sent again in several runs.
const LETTERS_MAX: u64 = 1_000_000;

/// Shows events that could not be stored, and sends them again.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    List(List),
    Show(Show),
    Replay(Replay),
}

#[derive(Debug, Args)]
struct Deployment {
    /// The configuration, whose ClickHouse and NATS are used.
    #[arg(long, default_value = "weir.toml")]
    config: PathBuf,
}

#[derive(Debug, Args)]
struct Which {
    /// Only those since then: a time, a day, or a span before now like 2h.
    #[arg(long)]
    since: Option<String>,
    /// Only those whose reason contains this.
    #[arg(long)]
    reason: Option<String>,
    /// Only those that failed there.
    #[arg(long, value_parser = ["decode", "insert"])]
    stage: Option<String>,
}

/// Lists dead letters that are open: those that no replay has stored yet.
#[derive(Debug, Args)]
struct List {
    #[command(flatten)]
    deployment: Deployment,
    #[command(flatten)]
    which: Which,
    /// Those as well that a replay has stored.
    #[arg(long)]
    all: bool,
    /// At most so many, the oldest first.
    #[arg(long, default_value_t = 100)]
    limit: u64,
}

/// Prints one dead letter: where it came from, why it failed, and the event's bytes.
#[derive(Debug, Args)]
struct Show {
    #[command(flatten)]
    deployment: Deployment,
    /// Its id, as `list` prints it.
    id: LetterId,
}

/// Sends dead letters again. The recorder stores an event once, however often it is sent: exit code 0 if all are stored,
/// 2 if the recorder has not said so of all in time, 1 if one cannot be stored.
#[derive(Debug, Args)]
struct Replay {
    #[command(flatten)]
    deployment: Deployment,
    /// Their ids, as `list` prints them.
    #[arg(required_unless_present = "open", conflicts_with = "open")]
    ids: Vec<LetterId>,
    /// Instead: every open one, or those of them that the other options select.
    #[arg(long)]
    open: bool,
    #[command(flatten)]
    which: Which,
    /// How long to wait for what becomes of them.
    #[arg(long, default_value = "30s")]
    wait: Span,
}

pub(super) async fn run(arguments: Arguments) -> Result<(), Failure> {
    // Fails only when a provider is installed already, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    match arguments.command {
        Command::List(list) => self::list(&list).await,
        Command::Show(show) => self::show(&show).await,
        Command::Replay(replay) => self::replay(&replay).await,
    }
}

fn failed(error: impl std::fmt::Display) -> Failure {
    Failure::Failed(error.to_string())
}

impl Which {
    fn filter(&self, all: bool) -> Result<Filter, Failure> {
        let since = self.since.as_deref().map(time).transpose()?;
        Ok(Filter { since, reason: self.reason.clone(), stage: self.stage.clone(), all })
    }
}

fn time(text: &str) -> Result<Timestamp, Failure> {
    match text.parse::<Span>() {
        Ok(span) => {
            let micros = i64::try_from(span.0.as_micros()).unwrap_or(i64::MAX);
            Ok(Timestamp::from_micros(Timestamp::now().as_micros().saturating_sub(micros)))
        }
        Err(_) => day_or_time(text).map_err(failed),
    }
}

async fn list(arguments: &List) -> Result<(), Failure> {
    let letters = Letters::new(&Config::load(&arguments.deployment.config)?).map_err(failed)?;
    let found = letters.list(&arguments.which.filter(arguments.all)?, arguments.limit).await.map_err(failed)?;
    if found.is_empty() {
        terminal::out("there are no such dead letters");
        return Ok(());
    }
    let columns = ["id", "recorded at", "stage", "request", "state", "reason"].map(|name| (name, Align::Left));
    let rows: Vec<Vec<String>> = found.iter().map(row).collect();
    terminal::out(terminal::table(&columns, &rows));
    if found.len() as u64 == arguments.limit {
        terminal::out(format_args!("there may be more: --limit is {}", arguments.limit));
    }
    Ok(())
}

fn row(letter: &Letter) -> Vec<String> {
    vec![
        letter.id.to_string(),
        letter.recorded_at.to_string(),
        letter.stage.clone(),
        letter.request_id.map_or("-".to_owned(), |id| id.to_string()),
        letter.fate.as_ref().map_or("open", |fate| fate.outcome.as_str()).to_owned(),
        letter.reason.chars().take(REASON_CHARS).map(|c| if c.is_control() { ' ' } else { c }).collect(),
    ]
}

async fn show(arguments: &Show) -> Result<(), Failure> {
    let letters = Letters::new(&Config::load(&arguments.deployment.config)?).map_err(failed)?;
    let Some(letter) = letters.show(arguments.id).await.map_err(failed)? else {
        return Err(Failure::Failed(format!("there is no dead letter {}", arguments.id)));
    };
    terminal::out(told(&letter));
    Ok(())
}

fn told(letter: &Letter) -> String {
    let known = |value: Option<String>| value.unwrap_or_else(|| "cannot be read".to_owned());
    let fate = match &letter.fate {
        None => "open; never sent again".to_owned(),
        Some(Fate { outcome, reason }) if reason.is_empty() => outcome.clone(),
        Some(Fate { outcome, reason }) => format!("{outcome}: {reason}"),
    };
    let lines = [
        ("id", letter.id.to_string()),
        ("state", fate),
        ("stage", letter.stage.clone()),
        ("reason", letter.reason.clone()),
        ("request", known(letter.request_id.map(|id| id.to_string()))),
        ("ledger", known(letter.epoch.map(|epoch| epoch.to_string()))),
        ("number", known(letter.seq.map(|seq| seq.to_string()))),
        ("subject", letter.subject.clone()),
        ("message id", letter.message_id.clone()),
        ("published at", letter.published_at.to_string()),
        ("recorded at", letter.recorded_at.to_string()),
    ];
    let mut text: String = lines.iter().map(|(name, value)| format!("{name:<13} {value}\n")).collect();
    // What is no text is escaped, so that a terminal shows it and does not obey it.
    let payload = String::from_utf8_lossy(&letter.payload);
    text += "\n";
    text.extend(payload.chars().flat_map(|c| match c {
        c if c.is_control() => c.escape_unicode().collect::<Vec<_>>(),
        c => vec![c],
    }));
    text
}

async fn replay(arguments: &Replay) -> Result<(), Failure> {
    let config = Config::load(&arguments.deployment.config)?;
    let letters = Letters::new(&config).map_err(failed)?;
    let chosen = choose(&letters, arguments).await?;
    if chosen.is_empty() {
        terminal::out("there are no such dead letters");
        return Ok(());
    }
    let began = Timestamp::from_micros(Timestamp::now().as_micros() - CLOCK_MARGIN_MICROS);
    let before = letters.fates(began).await.map_err(failed)?;
    let sender = Sender::connect(&config).await.map_err(failed)?;
    let (mut sent, mut refused) = (BTreeSet::new(), 0);
    for letter in &chosen {
        match sender.send(letter).await {
            Sent::Published => drop(sent.insert(letter.id)),
            Sent::Refused(reason) => {
                refused += 1;
                terminal::out(format_args!("{}  not sent: {reason}", letter.id));
            }
        }
    }
    let fates = wait(&letters, (began, &before), &sent, arguments.wait.0).await?;
    summed_up(&sent, &fates, refused)
}

async fn choose(letters: &Letters, arguments: &Replay) -> Result<Vec<Letter>, Failure> {
    if arguments.open {
        return letters.list(&arguments.which.filter(false)?, LETTERS_MAX).await.map_err(failed);
    }
    let mut chosen = Vec::new();
    for id in &arguments.ids {
        match letters.show(*id).await.map_err(failed)? {
            Some(letter) => chosen.push(letter),
            None => return Err(Failure::Failed(format!("there is no dead letter {id}; nothing was sent"))),
        }
    }
    Ok(chosen)
}

/// Waits until the recorder has said of each what became of it. What it had said `before` is no answer.
async fn wait(
    letters: &Letters,
    (since, before): (Timestamp, &BTreeMap<LetterId, (Timestamp, Fate)>),
    sent: &BTreeSet<LetterId>,
    limit: Duration,
) -> Result<BTreeMap<LetterId, Fate>, Failure> {
    let began = Instant::now();
    loop {
        let told = letters.fates(since).await.map_err(failed)?;
        let is_news = |id: &LetterId, at: &Timestamp| before.get(id).is_none_or(|(earlier, _)| earlier < at);
        let news: BTreeMap<LetterId, Fate> = told
            .into_iter()
            .filter(|(id, (at, _))| sent.contains(id) && is_news(id, at))
            .map(|(id, (_, fate))| (id, fate))
            .collect();
        if news.len() == sent.len() || began.elapsed() >= limit {
            return Ok(news);
        }
        sleep(PAUSE).await;
    }
}

fn summed_up(sent: &BTreeSet<LetterId>, fates: &BTreeMap<LetterId, Fate>, refused: usize) -> Result<(), Failure> {
    for id in sent {
        terminal::out(match fates.get(id) {
            None => format!("{id}  sent; the recorder has not come to it yet"),
            Some(Fate { outcome, reason }) if reason.is_empty() => format!("{id}  {outcome}"),
            Some(Fate { outcome, reason }) => format!("{id}  {outcome}: {reason}"),
        });
    }
    let stored = fates.values().filter(|fate| fate.is_stored()).count();
    let failed = fates.len() - stored + refused;
    if failed > 0 {
        return Err(Failure::Failed(format!("{failed} of {} cannot be stored", sent.len() + refused)));
    }
    match sent.len() - stored {
        0 => Ok(()),
        waiting => Err(Failure::Pending(format!("{waiting} are on their way: look again with weir dead-letters list"))),
    }
}
