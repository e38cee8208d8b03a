//! An engine process for a test.

use std::future::Future;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use clickhouse::Client;
use tempfile::TempDir;
use tokio::net::TcpSocket;

/// Long enough for a machine that is busy with other things; nothing waits that long when all is well.
const DEADLINE: Duration = Duration::from_secs(60);

/// An engine with data of its own. It can be killed and started again on the same port and data.
pub struct Engine {
    process: Child,
    data: TempDir,
    /// Bound and never listening: keeps the port for this engine, also while it is down.
    _port: TcpSocket,
    address: SocketAddr,
    library: std::path::PathBuf,
    pub http: reqwest::Client,
    password: &'static str,
}

impl Engine {
    pub async fn start() -> Self {
        Self::start_with(&[], "").await
    }

    /// An engine that is started with more in its environment, and whose client uses a password.
    pub async fn start_with(environment: &[(&'static str, &'static str)], password: &'static str) -> Self {
        // Fails when another test was first, which is just as well.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let library = weir::fetch::libchdb(&weir::fetch::Progress::stderr()).await.expect("ClickHouse's engine");
        let port = TcpSocket::new_v4().expect("a socket");
        port.set_reuseaddr(true).expect("SO_REUSEADDR");
        port.bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).expect("a free port");
        let address = port.local_addr().expect("its address");
        let data = TempDir::new().expect("a folder");
        let process =
            command(&data, address, &library).envs(environment.iter().copied()).spawn().expect("the weir binary");
        let http = reqwest::Client::builder().no_proxy().build().expect("a client");
        let engine = Self { process, data, _port: port, address, library, http, password };
        engine.ready().await;
        engine.execute("CREATE DATABASE test").await;
        engine
    }

    async fn ready(&self) {
        let ping = format!("{}/ping", self.url());
        eventually("the engine answers", async || self.http.get(&ping).send().await.is_ok()).await;
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The crate's client with its default settings.
    pub fn client(&self) -> Client {
        Client::default().with_url(self.url()).with_database("test").with_user("default").with_password(self.password)
    }

    pub async fn execute(&self, sql: &str) {
        self.client()
            .with_database("default")
            .query(sql)
            .execute()
            .await
            .unwrap_or_else(|error| panic!("{sql}: {error}"));
    }

    pub async fn number(&self, sql: &str) -> u64 {
        self.client().query(sql).fetch_one::<u64>().await.unwrap_or_else(|error| panic!("{sql}: {error}"))
    }

    /// Its URL with arguments.
    pub fn with(&self, arguments: &[(&str, &str)]) -> reqwest::Url {
        reqwest::Url::parse_with_params(&self.url(), arguments).expect("a URL")
    }

    /// Sends a POST with the statement in its body; `arguments` go into the URL.
    pub async fn post(&self, sql: &str, arguments: &[(&str, &str)]) -> reqwest::Response {
        self.http.post(self.with(arguments)).body(sql.to_owned()).send().await.expect("an answer")
    }

    pub fn kill(&mut self) {
        self.process.kill().expect("kill -9");
        self.process.wait().expect("its end");
    }

    pub async fn restart(&mut self) {
        self.process = spawn(&self.data, self.address, &self.library);
        self.ready().await;
    }

    pub fn terminate(&self) {
        let pid = self.process.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().expect("kill").success());
    }

    /// Closes its standard input, as the end of the process that started it does.
    pub fn orphan(&mut self) {
        drop(self.process.stdin.take());
    }

    pub async fn ended(&mut self) -> ExitStatus {
        let deadline = Instant::now() + DEADLINE;
        loop {
            if let Some(status) = self.process.try_wait().expect("its state") {
                return status;
            }
            assert!(Instant::now() < deadline, "the engine does not end");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// What it says when it is started a second time on the same data.
    pub fn second(&self) -> String {
        let output = command(&self.data, SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), &self.library)
            .output()
            .expect("its output");
        assert!(!output.status.success());
        String::from_utf8_lossy(&output.stderr).into_owned()
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn command(data: &TempDir, address: SocketAddr, library: &std::path::Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_weir"));
    command.arg("clickhouse").arg("--data").arg(data.path()).args(["--listen", &address.to_string()]);
    command.arg("--lib").arg(library).arg("--exit-with-parent");
    command.env("WEIR_LOG", "warn").stdin(Stdio::piped());
    command
}

fn spawn(data: &TempDir, address: SocketAddr, library: &std::path::Path) -> Child {
    command(data, address, library).spawn().expect("the weir binary")
}

/// Checks until it is so.
pub async fn eventually<F: Future<Output = bool>>(what: &str, check: impl Fn() -> F) {
    let deadline = Instant::now() + DEADLINE;
    while !check().await {
        assert!(Instant::now() < deadline, "it never came true that {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
