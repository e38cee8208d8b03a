//! NATS: the server that is configured and answers, or one of our own.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use schemas::config::ByteSize;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::net::TcpStream;
use tokio::time::timeout;
use url::Url;
use uuid::Uuid;

use super::child::create_folder;
use super::{Child, Error, Spec};
use crate::fetch;
use crate::terminal::Step;

/// How long a server may take to introduce itself.
const PROBE_TIMEOUT: Duration = Duration::from_secs(2);
const INTRODUCTION_BYTES_MAX: u64 = 16 << 10;
/// Room beside the event streams: dead letters and progress.
const FURTHER_BYTES: u64 = 1 << 30;

/// A NATS server to use.
#[derive(Debug)]
pub struct Nats {
    child: Option<Child>,
}

impl Nats {
    /// Uses what answers at `[nats] url`; where nothing does and the address is on this machine, starts a server there.
    /// `remove` is a folder to remove when it has stopped.
    pub async fn find_or_start(
        config: &schemas::config::Nats,
        data: &Path,
        remove: Option<PathBuf>,
    ) -> Result<Self, Error> {
        let first = config.url.split(',').next().unwrap_or_default().trim();
        let url = Url::parse(first).ok();
        let host = url.as_ref().and_then(Url::host_str).unwrap_or_default().trim_matches(['[', ']']).to_owned();
        let port = url.as_ref().and_then(Url::port).unwrap_or(4222);
        let mut addresses = tokio::net::lookup_host((host.as_str(), port)).await.into_iter().flatten();
        let Some(address) = addresses.next() else {
            tracing::warn!(host, "nats.url: the name cannot be resolved now; the services go on trying");
            return Ok(Self { child: None });
        };
        if introduction(address).await.is_some() {
            tracing::info!(%address, "using the NATS server that answers there");
            return Ok(Self { child: None });
        }
        if !address.ip().is_loopback() {
            tracing::warn!(%address, "nats.url: nothing answers there now; the services go on trying");
            return Ok(Self { child: None });
        }
        let (spec, name) = server(address, data, config.max_bytes).await?;
        let step = Step::begin(format!("starting nats-server on {address}"));
        let mut child = Child::start(Spec { remove, ..spec })?;
        child.ready(async || introduction(address).await.is_some_and(|text| text.contains(&name))).await?;
        step.done("nats-server is ready");
        Ok(Self { child: Some(child) })
    }

    /// Waits until ours has ended for good; for ever if it is not ours.
    pub async fn failed(&mut self) -> Error {
        match &mut self.child {
            Some(child) => child.failed().await,
            None => std::future::pending().await,
        }
    }

    /// Stops it if it is ours.
    pub async fn stop(self) {
        if let Some(child) = self.child {
            child.stop().await;
        }
    }
}

/// A server to start at an address, and the name by which it introduces itself: that tells it from another one that may have
/// taken the port before it. Its store is the folder `jetstream`.
pub(crate) async fn server(address: SocketAddr, data: &Path, max_bytes: ByteSize) -> Result<(Spec, String), Error> {
    let program = fetch::nats_server(&fetch::Progress::stderr()).await?;
    create_folder(data)?;
    let file = data.join("nats.conf");
    let name = format!("weir-{}", Uuid::now_v7().simple());
    let text = configuration(&name, address, &data.join("jetstream"), max_bytes);
    std::fs::write(&file, text).map_err(|cause| Error::Folder { path: file.clone(), cause })?;
    let spec = Spec {
        name: "nats-server",
        program,
        arguments: vec!["--config".into(), file.into()],
        secret: None,
        log: data.join("nats-server.log"),
        remove: None,
    };
    Ok((spec, name))
}

fn configuration(name: &str, address: SocketAddr, store: &Path, max_bytes: ByteSize) -> String {
    // A path is written as a JSON string, which the server's configuration language reads as it is.
    let store = serde_json::Value::from(store.display().to_string());
    let max_file_store = max_bytes.0.saturating_add(FURTHER_BYTES);
    format!(
        "listen: \"{address}\"\nserver_name: \"{name}\"\njetstream {{\n  store_dir: {store}\n  max_file_store: {max_file_store}\n}}\n"
    )
}

/// How the NATS server at an address introduces itself, if there is one.
pub(crate) async fn introduction(address: SocketAddr) -> Option<String> {
    let read = async {
        let mut line = String::new();
        let stream = BufReader::new(TcpStream::connect(address).await.ok()?);
        stream.take(INTRODUCTION_BYTES_MAX).read_line(&mut line).await.ok()?;
        line.starts_with("INFO ").then_some(line)
    };
    timeout(PROBE_TIMEOUT, read).await.ok().flatten()
}
