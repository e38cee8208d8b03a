//! `bench catch-up`: how fast a recorder works off what an outage has left in NATS, beside how fast ClickHouse takes the
//! same rows from files, in one run.

use std::collections::BTreeMap;
use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use futures_util::future::try_join_all;
use reqwest::Client;
use schemas::config::Config;

use crate::backlog;
use crate::error::Error;
use crate::machine;
use crate::process::Process;
use crate::programs::{built, on_path};
use crate::target::{Running, reserve_port};

/// All cores: the parts share the machine as they do in production.
const CORES: &str = "0-1";
const DATABASE: &str = "catch_up";
const TABLES: [&str; 3] = ["requests", "candidates", "opened"];
const FORMAT: &str = "RowBinaryWithNamesAndTypes";
/// Longest time that anything may take.
const PATIENCE: Duration = Duration::from_secs(600);

/// A table and the file of its rows.
type TableFile = (&'static str, PathBuf);

/// How a run is done.
#[derive(clap::Args, Clone, Debug)]
pub struct Options {
    /// Requests that have piled up; each leaves three events.
    #[arg(long, default_value_t = 100_000)]
    pub requests: u64,
    /// Times that ClickHouse takes the rows from files; the best one counts.
    #[arg(long, default_value_t = 3)]
    pub rounds: usize,
    /// A nats-server binary; the one on PATH unless one is named.
    #[arg(long)]
    pub nats_server: Option<PathBuf>,
    /// ClickHouse's engine, libchdb.so; without it the cache or the package registry is asked.
    #[arg(long)]
    pub lib: Option<PathBuf>,
}

/// Measures and prints.
pub fn run(options: &Options) -> Result<(), Error> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    runtime.map_err(Error::io("a runtime"))?.block_on(measure(options))
}

async fn measure(options: &Options) -> Result<(), Error> {
    // A second one fails, and the first one serves.
    let _first = rustls::crypto::ring::default_provider().install_default();
    let folder = tempfile::tempdir().map_err(Error::io("a folder for the run"))?;
    let nats_server = options.nats_server.clone().or_else(|| on_path("nats-server"));
    let nats_server = nats_server
        .ok_or_else(|| Error::Setup("there is no nats-server on PATH; name one with --nats-server".to_owned()))?;
    let (weir, recorder) = (built("weir", "weir")?, built("recorder", "weir-recorder")?);
    let nats = Running::nats(&nats_server, CORES)?;
    let ((_engine_port, engine), (_ops_port, ops)) = (reserve_port()?, reserve_port()?);
    let _engine = start_engine(options, &weir, folder.path(), engine)?;
    let http = Client::builder().no_proxy().timeout(PATIENCE).build()?;

    let text = configuration(nats.address, engine, ops);
    let config = Config::parse(&text, &BTreeMap::new()).map_err(|mistakes| Error::Setup(mistakes.to_string()))?;
    let events = backlog::publish(&config.nats, options.requests).await?;
    let file = folder.path().join("weir.toml");
    std::fs::write(&file, text).map_err(Error::io("writing the configuration"))?;
    let mut command = Command::new(recorder);
    command.arg("--config").arg(&file);
    let recorder = Process::start(CORES, &command, &folder.path().join("log"), ops)?;
    let caught_up = catch_up(&http, ops, events).await?;
    let (memory, used) = (recorder.memory()?, recorder.used()?);
    drop(recorder);

    let files = export(&http, engine, folder.path(), options.requests).await?;
    let mut best = Duration::MAX;
    for _ in 0..options.rounds {
        best = best.min(from_files(&http, engine, &files).await?);
    }
    let rate = |time: Duration| events as f64 / time.as_secs_f64();
    let (recorder, clickhouse) = (rate(caught_up.time), rate(best));
    let machine = machine::describe(None);
    let text = format!(
        "# How fast a recorder catches up\n\n{}, Linux {}, {}; recorder at {}. {events} events, each a row of a table with \
         its views; all parts share cores {CORES}. Load average: {}.\n\n| | rows a second |\n|---|---:|\n\
         | recorder, from NATS, with everything it does | {recorder:.0} |\n\
         | ClickHouse, the same rows from files, one insert a table, all at once, best of {} | {clickhouse:.0} |\n\n\
         Ratio {:.2}. The recorder used {:.1} us of CPU an event and {} MiB of memory at most. Its stages, in seconds \
         (inserts are several at once; gathering and planning overlap with them): {}.\n",
        machine.processors,
        machine.kernel,
        machine.rustc,
        machine.commit,
        machine.load_average,
        options.rounds,
        recorder / clickhouse,
        used.cpu_us as f64 / events as f64,
        memory.peak_bytes >> 20,
        caught_up.stages,
    );
    std::io::stdout().write_all(text.as_bytes()).map_err(Error::io("printing the report"))
}

fn start_engine(options: &Options, weir: &Path, folder: &Path, engine: SocketAddr) -> Result<Process, Error> {
    let mut command = Command::new(weir);
    command.args(["clickhouse", "--listen", &engine.to_string(), "--data"]).arg(folder.join("clickhouse"));
    if let Some(lib) = &options.lib {
        command.arg("--lib").arg(lib);
    }
    Process::start(CORES, &command, &folder.join("engine.log"), engine)
}

fn configuration(nats: SocketAddr, engine: SocketAddr, ops: SocketAddr) -> String {
    format!(
        "[nats]\nurl = \"nats://{nats}\"\nmax_bytes = \"16GiB\"\n\n[clickhouse]\nurl = \"http://{engine}\"\n\
         database = \"{DATABASE}\"\n\n[recorder]\nops_listen = \"{ops}\"\n"
    )
}

/// How a backlog was worked off.
struct CaughtUp {
    /// For all events.
    time: Duration,
    /// What its stages have taken.
    stages: String,
}

/// From the first committed range on, so that connecting and migrating do not count, in proportion to all events.
async fn catch_up(http: &Client, ops: SocketAddr, events: u64) -> Result<CaughtUp, Error> {
    let (begun, mut first) = (Instant::now(), None);
    loop {
        let text = http.get(format!("http://{ops}/metrics")).send().await?.text().await?;
        let line = text.lines().find_map(|line| line.strip_prefix("weir_events_stored_total "));
        let stored = line.and_then(|value| value.parse::<u64>().ok()).unwrap_or(0);
        if stored > 0 && first.is_none() {
            first = Some((Instant::now(), stored));
        }
        if let Some((at, before)) = first.filter(|_| stored >= events) {
            let share = events.saturating_sub(before) as f64 / events as f64;
            return match share > 0.5 {
                true => Ok(CaughtUp { time: at.elapsed().div_f64(share), stages: stages(&text) }),
                false => Err(Error::Setup("too few events: most were recorded at once".to_owned())),
            };
        }
        if begun.elapsed() > PATIENCE {
            return Err(Error::Setup(format!("{stored} of {events} events are recorded after {PATIENCE:?}")));
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// The sums of the recorder's stages, as its metrics tell them.
fn stages(metrics: &str) -> String {
    let sums = metrics.lines().filter_map(|line| {
        let (stage, seconds) = line.strip_prefix("weir_recorder_stage_seconds_sum{stage=\"")?.split_once("\"} ")?;
        Some(format!("{stage} {:.2}", seconds.parse::<f64>().ok()?))
    });
    sums.collect::<Vec<_>>().join(", ")
}

async fn statement(http: &Client, engine: SocketAddr, sql: &str, body: Vec<u8>) -> Result<Vec<u8>, Error> {
    let url = reqwest::Url::parse_with_params(&format!("http://{engine}/"), [("query", sql)]);
    let url = url.map_err(|error| Error::Setup(format!("the address of a statement: {error}")))?;
    let answer = http.post(url).body(body).send().await?;
    let (status, bytes) = (answer.status(), answer.bytes().await?);
    match status.is_success() {
        true => Ok(bytes.to_vec()),
        false => Err(Error::Setup(format!("ClickHouse answers {sql} with {}", String::from_utf8_lossy(&bytes)))),
    }
}

/// Writes the rows of each table to a file. There is one for each request: the recorder has not worked less than it should.
async fn export(http: &Client, engine: SocketAddr, folder: &Path, requests: u64) -> Result<Vec<TableFile>, Error> {
    let mut files = Vec::new();
    for table in TABLES {
        let count = statement(http, engine, &format!("SELECT count() FROM {DATABASE}.{table}"), Vec::new()).await?;
        if String::from_utf8_lossy(&count).trim() != requests.to_string() {
            let count = String::from_utf8_lossy(&count);
            return Err(Error::Setup(format!("{table} has {} rows of {requests} requests", count.trim())));
        }
        let path = folder.join(table);
        let sql = format!("SELECT * FROM {DATABASE}.{table} FORMAT {FORMAT}");
        let rows = statement(http, engine, &sql, Vec::new()).await?;
        std::fs::write(&path, rows).map_err(Error::io("writing the rows to a file"))?;
        files.push((table, path));
    }
    Ok(files)
}

/// Into the same tables, emptied before, with the same views.
async fn from_files(http: &Client, engine: SocketAddr, files: &[TableFile]) -> Result<Duration, Error> {
    for (table, _) in files {
        statement(http, engine, &format!("TRUNCATE TABLE {DATABASE}.{table}"), Vec::new()).await?;
    }
    let begun = Instant::now();
    let inserts = files.iter().map(|(table, path)| async move {
        let rows = std::fs::read(path).map_err(Error::io("reading the rows from a file"))?;
        let settings = "async_insert = 0, insert_deduplicate = 0";
        let sql = format!("INSERT INTO {DATABASE}.{table} SETTINGS {settings} FORMAT {FORMAT}");
        statement(http, engine, &sql, rows).await.map(drop)
    });
    try_join_all(inserts).await?;
    Ok(begun.elapsed())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_recorder_takes_the_configuration_and_its_stages_are_read() {
        let [nats, engine, ops] = [1, 2, 3].map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
        let config = Config::parse(&configuration(nats, engine, ops), &BTreeMap::new()).unwrap();
        assert_eq!((config.nats.partitions, config.clickhouse.database.as_str()), (1, DATABASE));
        let metrics = "weir_recorder_stage_seconds_sum{stage=\"insert\"} 1.256\n\
                       weir_recorder_stage_seconds_count{stage=\"insert\"} 9\n\
                       weir_recorder_stage_seconds_sum{stage=\"plan\"} 0.5\n";
        assert_eq!(stages(metrics), "insert 1.26, plan 0.50");
    }
}
