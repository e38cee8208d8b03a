//! Real ClickHouse engines: one that all tests share, each with its own database, and private ones to be killed.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use serde::de::DeserializeOwned;
use tempfile::TempDir;
use tokio::sync::OnceCell;

use crate::disk::Disk;
use crate::ports::ReservedPort;
use crate::process::Process;
use crate::{binaries, eventually};

/// What an engine may take: the shared one holds the forty tables and twenty views of each of 170 tests, and ends itself
/// where it is not allowed to.
const MEMORY_BYTES: u64 = 10 << 30;

/// One engine process (`weir clickhouse`). It can be killed and started again on the same port and the same files.
pub struct Engine {
    // First, so that it ends before its folder goes.
    process: Option<Process>,
    port: ReservedPort,
    folder: TempDir,
    binary: std::path::PathBuf,
    library: std::path::PathBuf,
    disk: Option<Disk>,
}

impl Engine {
    /// Starts an engine without data.
    pub async fn start() -> Self {
        Self::start_on(|_| None).await
    }

    /// Starts one with a disk of its own, which can be full. `None` where no disk can be mounted (said on standard error).
    pub async fn start_on_small_disk(mebibytes: u32) -> Option<Self> {
        if let Err(why) = Disk::is_possible() {
            crate::skipped(&format!("a small disk cannot be mounted: {why}"));
            return None;
        }
        Some(Self::start_on(|folder| Some(Disk::mount(folder, mebibytes))).await)
    }

    async fn start_on(disk: impl FnOnce(&Path) -> Option<Disk>) -> Self {
        let library = weir::fetch::libchdb(&weir::fetch::Progress::stderr()).await.expect("ClickHouse's engine");
        let binary = tokio::task::spawn_blocking(|| binaries::path("weir")).await.expect("the weir binary");
        let folder = tempfile::tempdir().expect("a folder for ClickHouse");
        let disk = disk(folder.path());
        let mut engine = Self { port: ReservedPort::new(), folder, process: None, binary, library, disk };
        engine.restart().await;
        engine
    }

    /// The engine that the tests of this process share. It ends with the process.
    pub async fn shared() -> &'static Engine {
        static SHARED: OnceCell<Engine> = OnceCell::const_new();
        SHARED.get_or_init(Engine::start).await
    }

    /// Its HTTP address, running or not.
    pub fn url(&self) -> String {
        format!("http://{}", self.port.address())
    }

    /// SIGTERM, and its end awaited.
    pub async fn stop(&mut self) {
        let mut process = self.process.take().expect("a running engine");
        process.terminate();
        process.wait(Duration::from_secs(30)).await;
    }

    /// SIGKILL.
    pub fn kill(&mut self) {
        self.process.take().expect("a running engine").kill();
    }

    /// Starts it again and waits until it answers.
    pub async fn restart(&mut self) {
        assert!(self.process.is_none(), "the engine is running");
        let mut command = match &self.disk {
            Some(disk) => disk.program(&self.binary),
            None => Command::new(&self.binary),
        };
        command.arg("clickhouse").arg("--data").arg(self.folder.path().join("data"));
        command.args(["--listen", &self.port.address().to_string()]).arg("--lib").arg(&self.library);
        command.args(["--memory", &MEMORY_BYTES.to_string()]);
        let log = self.folder.path().join("engine.log");
        let mut process = Process::spawn(&mut command, self.folder.path(), log);
        let ping = format!("{}/ping", self.url());
        let http = http_client();
        eventually("the engine answers", Duration::from_secs(60), || {
            let (http, ping) = (&http, &ping);
            let ended = process.ended().map(|status| format!("{status}: {}", process.output()));
            async move {
                assert!(ended.is_none(), "the engine ended: {}", ended.unwrap_or_default());
                let answer = http.get(ping).send().await.map_err(|error| format!("{error:?}"))?;
                if answer.status().is_success() { Ok(()) } else { Err(answer.status().to_string()) }
            }
        })
        .await;
        self.process = Some(process);
    }

    /// The small disk.
    pub fn disk(&self) -> &Disk {
        self.disk.as_ref().expect("an engine on a small disk")
    }
}

/// A client for this test's runtime: connections must not outlive the runtime that opened them.
fn http_client() -> reqwest::Client {
    crate::caller::install_tls();
    reqwest::Client::builder().timeout(Duration::from_secs(60)).build().expect("an HTTP client")
}

/// A database of the test's own, which the recorder creates.
#[derive(Clone)]
pub struct Database {
    /// Its name.
    pub name: Arc<str>,
    url: Arc<str>,
    http: reqwest::Client,
}

impl Database {
    /// A new name on the engine.
    pub fn on(engine: &Engine) -> Self {
        let name = format!("t_{}", uuid::Uuid::now_v7().simple());
        Self { name: name.into(), url: engine.url().into(), http: http_client() }
    }

    /// Runs a SELECT; `{db}` stands for the database. Decimals come as strings, whole numbers as numbers.
    pub async fn rows<T: DeserializeOwned>(&self, sql: &str) -> Vec<T> {
        match self.try_rows(sql).await {
            Ok(rows) => rows,
            Err(error) => panic!("{sql}: {error}"),
        }
    }

    /// The same, for a database that may not be up or migrated yet.
    pub async fn try_rows<T: DeserializeOwned>(&self, sql: &str) -> Result<Vec<T>, String> {
        let settings = [
            ("default_format", "JSONEachRow"),
            ("output_format_json_quote_64bit_integers", "0"),
            ("output_format_json_quote_decimals", "1"),
            ("output_format_json_named_tuples_as_objects", "1"),
            ("date_time_output_format", "iso"),
        ];
        let sql = sql.replace("{db}", &self.name);
        let mut url = url::Url::parse(&self.url).expect("the engine's URL");
        url.query_pairs_mut().extend_pairs(settings);
        let answer = self.http.post(url).body(sql).send().await.map_err(|error| format!("{error:?}"))?;
        let status = answer.status();
        let text = answer.text().await.map_err(|error| format!("{error:?}"))?;
        if !status.is_success() {
            return Err(format!("{status} {text}"));
        }
        let lines = text.lines().filter(|line| !line.is_empty());
        lines.map(|line| serde_json::from_str(line).map_err(|error| format!("{error} in {line}"))).collect()
    }
}
