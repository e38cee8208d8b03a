//! A real NATS server with JetStream, of the test's own.

use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::TcpStream;

use crate::eventually;
use crate::ports::ReservedPort;
use crate::process::Process;

/// One `nats-server`. It can be stopped, killed and started again on the same port and the same files.
pub struct Broker {
    // First, so that it ends before its folder goes.
    process: Option<Process>,
    port: ReservedPort,
    folder: TempDir,
    binary: std::path::PathBuf,
}

impl Broker {
    /// Starts a server with an empty store.
    pub async fn start() -> Self {
        let binary = weir::fetch::nats_server(&weir::fetch::Progress::stderr()).await.expect("nats-server");
        let folder = tempfile::tempdir().expect("a folder for JetStream");
        let mut broker = Self { port: ReservedPort::new(), folder, process: None, binary };
        broker.restart().await;
        broker
    }

    /// Where it listens, running or not.
    pub fn url(&self) -> String {
        format!("nats://{}", self.port.address())
    }

    /// SIGTERM, and its end awaited.
    pub async fn stop(&mut self) {
        let mut process = self.process.take().expect("a running NATS server");
        process.terminate();
        process.wait(Duration::from_secs(20)).await;
    }

    /// SIGKILL.
    pub fn kill(&mut self) {
        self.process.take().expect("a running NATS server").kill();
    }

    /// Removes everything that it has stored: streams, messages, KV. Call while it is down.
    pub fn wipe(&mut self) {
        assert!(self.process.is_none(), "the NATS server is running");
        for entry in std::fs::read_dir(self.folder.path()).expect("the folder of JetStream").flatten() {
            if entry.path().is_dir() {
                std::fs::remove_dir_all(entry.path()).expect("an emptied folder");
            }
        }
    }

    /// Starts it again and waits until it greets.
    pub async fn restart(&mut self) {
        assert!(self.process.is_none(), "the NATS server is running");
        let address = self.port.address();
        let mut command = Command::new(&self.binary);
        command.args(["--addr", &address.ip().to_string(), "--port", &address.port().to_string(), "--jetstream"]);
        command.arg("--store_dir").arg(self.folder.path());
        self.process = Some(Process::spawn(&mut command, self.folder.path(), self.folder.path().join("nats.log")));
        eventually("nats-server greets", Duration::from_secs(20), || async move {
            let stream = TcpStream::connect(address).await.map_err(|error| error.to_string())?;
            let mut greeting = String::new();
            BufReader::new(stream).read_line(&mut greeting).await.map_err(|error| error.to_string())?;
            if greeting.contains("\"jetstream\":true") { Ok(()) } else { Err(format!("it said {greeting:?}")) }
        })
        .await;
    }
}
