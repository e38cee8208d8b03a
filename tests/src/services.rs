//! The three services: in this process on ports of their own, and the gateway as the process that it is in production.

use std::fmt::Display;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Command, ExitStatus};
use std::time::Duration;

use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::configuration::Settings;
use crate::ports::ReservedPort;
use crate::process::{Memory, Process};
use crate::{binaries, eventually};

/// A service that runs in this process. Dropping it ends it at once; [`Service::stop`] ends it gracefully.
pub struct Service {
    name: &'static str,
    end: CancellationToken,
    task: JoinHandle<Result<(), String>>,
}

impl Service {
    fn spawn<E: Display>(
        name: &'static str,
        run: impl Future<Output = Result<(), E>> + Send + 'static,
        end: CancellationToken,
    ) -> Self {
        let task = tokio::spawn(async move { run.await.map_err(|error| error.to_string()) });
        Self { name, end, task }
    }

    /// Asks it to end, as SIGTERM does.
    pub fn ask_to_stop(&self) {
        self.end.cancel();
    }

    /// Asks it to end and waits until it has.
    pub async fn stop(mut self) {
        self.ask_to_stop();
        let ended = tokio::time::timeout(Duration::from_secs(60), &mut self.task).await;
        let result = ended.unwrap_or_else(|_| panic!("the {} did not stop within 60 s", self.name));
        result.expect("no panic in a service").unwrap_or_else(|error| panic!("the {} failed: {error}", self.name));
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.end.cancel();
        self.task.abort();
    }
}

async fn listener() -> (TcpListener, SocketAddr) {
    crate::caller::install_tls();
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("the port just bound");
    (listener, address)
}

/// A gateway in this process.
pub struct Gateway {
    /// `http://` address for clients.
    pub url: String,
    /// `http://` address of `/metrics`, `/healthz` and `/readyz`.
    pub ops_url: String,
    /// The running service.
    pub service: Service,
}

impl Gateway {
    /// Starts it.
    pub async fn start(settings: &Settings) -> Self {
        let (clients, address) = listener().await;
        let (ops, ops_address) = listener().await;
        let end = CancellationToken::new();
        let run = gateway::run(settings.config(), gateway::Listeners { clients, ops }, end.clone());
        let service = Service::spawn("gateway", run, end);
        Self { url: format!("http://{address}"), ops_url: format!("http://{ops_address}"), service }
    }
}

/// Starts a recorder in this process.
pub async fn recorder(settings: &Settings) -> Service {
    recorder_with_ops(settings).await.0
}

/// The same, with the `http://` address of its `/metrics`.
pub async fn recorder_with_ops(settings: &Settings) -> (Service, String) {
    let (ops, address) = listener().await;
    let end = CancellationToken::new();
    let service = Service::spawn("recorder", recorder::run(settings.config(), ops, end.clone()), end);
    (service, format!("http://{address}"))
}

/// `weir-recorder` as a process. It can be frozen, killed and started again.
pub struct RecorderProcess {
    process: Option<Process>,
    folder: TempDir,
    port: ReservedPort,
}

impl RecorderProcess {
    /// Starts it and waits until it is alive.
    pub async fn start(settings: &Settings) -> Self {
        let (port, folder) = (ReservedPort::new(), tempfile::tempdir().expect("a folder for the configuration"));
        let settings = Settings { recorder_ops_listen: port.address(), ..settings.clone() };
        std::fs::write(folder.path().join("weir.toml"), settings.text()).expect("the configuration file");
        let mut recorder = Self { process: None, folder, port };
        recorder.restart().await;
        recorder
    }

    /// Starts it again after it has ended.
    pub async fn restart(&mut self) {
        assert!(self.process.is_none(), "the recorder is running");
        let binary = tokio::task::spawn_blocking(|| binaries::path("weir-recorder")).await.expect("weir-recorder");
        let mut command = Command::new(binary);
        command.arg("--config").arg(self.folder.path().join("weir.toml")).env("RUST_LOG", "debug");
        let log = self.folder.path().join("recorder.log");
        self.process = Some(Process::spawn(&mut command, self.folder.path(), log));
        eventually("the recorder is alive", Duration::from_secs(60), || self.try_metric("weir_recorders")).await;
    }

    /// The process.
    pub fn process(&mut self) -> &mut Process {
        self.process.as_mut().expect("a running recorder")
    }

    /// SIGKILL.
    pub fn kill(&mut self) {
        self.process.take().expect("a running recorder").kill();
    }

    /// SIGTERM, and its end awaited.
    pub async fn stop(&mut self) -> ExitStatus {
        let mut process = self.process.take().expect("a running recorder");
        process.terminate();
        process.wait(Duration::from_secs(60)).await
    }

    /// The sum of a metric over its labels.
    pub async fn try_metric(&self, name: &str) -> Result<f64, String> {
        let http = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(5)).build();
        let url = format!("http://{}/metrics", self.port.address());
        let answer = http.expect("an HTTP client").get(url).send().await.map_err(|error| format!("{error:?}"))?;
        let text = answer.text().await.map_err(|error| format!("{error:?}"))?;
        let is_it = |line: &&str| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' ']));
        let values = text.lines().filter(is_it).map(|line| line.rsplit(' ').next().unwrap_or_default().parse::<f64>());
        values.sum::<Result<f64, _>>().map_err(|error| error.to_string())
    }
}

/// An analytics service in this process.
pub struct Analytics {
    /// Its `http://` address.
    pub url: String,
    /// The running service.
    pub service: Service,
}

impl Analytics {
    /// Starts it.
    pub async fn start(settings: &Settings) -> Self {
        let (listener, address) = listener().await;
        let end = CancellationToken::new();
        let service = Service::spawn("analytics", analytics::run(settings.config(), listener, end.clone()), end);
        Self { url: format!("http://{address}"), service }
    }
}

/// `weir-gateway` as a process. It can be killed and started again with the same ports and ledger.
pub struct GatewayProcess {
    process: Option<Process>,
    settings: Settings,
    environment: Vec<(&'static str, String)>,
    folder: TempDir,
    _ports: [ReservedPort; 2],
}

impl GatewayProcess {
    /// Starts it and waits until it is alive. Its addresses replace those in `settings`.
    pub async fn start(settings: &Settings) -> Self {
        Self::start_in(settings, Vec::new()).await
    }

    /// The same with further variables in its environment.
    pub async fn start_in(settings: &Settings, environment: Vec<(&'static str, String)>) -> Self {
        let ports = [ReservedPort::new(), ReservedPort::new()];
        let [listen, ops_listen] = [ports[0].address(), ports[1].address()];
        let settings = Settings { listen, ops_listen, ..settings.clone() };
        let folder = tempfile::tempdir().expect("a folder for the configuration");
        std::fs::write(folder.path().join("weir.toml"), settings.text()).expect("the configuration file");
        let mut gateway = Self { process: None, settings, environment, folder, _ports: ports };
        gateway.restart().await;
        gateway
    }

    /// Starts it again after it has ended.
    pub async fn restart(&mut self) {
        assert!(self.process.is_none(), "the gateway is running");
        crate::caller::install_tls();
        let binary = tokio::task::spawn_blocking(|| binaries::path("weir-gateway")).await.expect("weir-gateway");
        let mut command = Command::new(binary);
        command.arg("--config").arg(self.folder.path().join("weir.toml")).env("RUST_LOG", "debug");
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        let log = self.folder.path().join("gateway.log");
        let mut process = Process::spawn(&mut command, self.folder.path(), log);
        let health = format!("http://{}/healthz", self.settings.ops_listen);
        let http = reqwest::Client::builder().no_proxy().build().expect("an HTTP client");
        eventually("the gateway is alive", Duration::from_secs(30), || {
            let (http, health) = (&http, &health);
            let ended = process.ended().map(|status| format!("{status}: {}", process.output()));
            async move {
                assert!(ended.is_none(), "the gateway ended: {}", ended.unwrap_or_default());
                let answer = http.get(health).send().await.map_err(|error| format!("{error:?}"))?;
                if answer.status().is_success() { Ok(()) } else { Err(answer.status().to_string()) }
            }
        })
        .await;
        self.process = Some(process);
    }

    /// Its `http://` address for clients.
    pub fn url(&self) -> String {
        format!("http://{}", self.settings.listen)
    }

    /// `http://` address of `/metrics`, `/healthz` and `/readyz`.
    pub fn ops_url(&self) -> String {
        format!("http://{}", self.settings.ops_listen)
    }

    /// The file that it was started with.
    pub fn config_file(&self) -> PathBuf {
        self.folder.path().join("weir.toml")
    }

    /// What that file said at the start, with the addresses in use.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// SIGHUP.
    pub fn hang_up(&self) {
        self.process.as_ref().expect("a running gateway").hang_up();
    }

    /// Its memory.
    pub fn memory(&self) -> Memory {
        self.process.as_ref().expect("a running gateway").memory()
    }

    /// SIGKILL.
    pub fn kill(&mut self) {
        self.process.take().expect("a running gateway").kill();
    }

    /// SIGTERM.
    pub fn terminate(&self) {
        self.process.as_ref().expect("a running gateway").terminate();
    }

    /// Waits for its end.
    pub async fn ended(&mut self) -> ExitStatus {
        let mut process = self.process.take().expect("a running gateway");
        process.wait(Duration::from_secs(60)).await
    }

    /// Everything it has logged, over all its lives.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("gateway.log")).expect("the gateway's log")
    }
}
