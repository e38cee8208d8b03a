//! What is measured: a process between the load and the upstream.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;

use schemas::outcome::Format;
use tempfile::TempDir;
use tokio::net::TcpSocket;

use crate::answer;
use crate::error::Error;
use crate::process::{LOAD_CORE, Process, TARGET_CORE};

/// The key that the gateway knows the load by.
pub const CLIENT_KEY: &str = "bench-client-key";

/// Who is between the load and the upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// The floor.
    BareRelay,
    /// The gateway with its ledger, NATS away.
    Gateway,
    /// The gateway with its ledger, shipping to NATS.
    GatewayWithNats,
}

impl Target {
    /// Its name in reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::BareRelay => "bare relay",
            Self::Gateway => "gateway, ledger only",
            Self::GatewayWithNats => "gateway, shipping to NATS",
        }
    }
}

/// The programs of a run.
#[derive(Debug)]
pub struct Programs {
    own: PathBuf,
    /// `weir-gateway`
    pub gateway: PathBuf,
    /// `nats-server`, if there is one.
    pub nats_server: Option<PathBuf>,
}

impl Programs {
    /// Finds them. The gateway is brought up to date by cargo unless another one is named.
    pub fn find(gateway: Option<PathBuf>, nats_server: Option<PathBuf>) -> Result<Self, Error> {
        let own = std::env::current_exe().map_err(Error::io("the path of this program"))?;
        let gateway = match gateway {
            Some(path) => path,
            None => build_gateway(&own)?,
        };
        let on_path = || {
            std::env::split_paths(&std::env::var_os("PATH")?)
                .map(|dir| dir.join("nats-server"))
                .find(|path| path.is_file())
        };
        Ok(Self { own, gateway, nats_server: nats_server.or_else(on_path) })
    }
}

/// Cargo knows whether the binary beside this one is stale.
fn build_gateway(own: &Path) -> Result<PathBuf, Error> {
    let folder = own.parent().unwrap_or(Path::new("."));
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(["build", "--quiet", "-p", "gateway", "--bins", "--manifest-path"]);
    cargo.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml"));
    if folder.ends_with("release") {
        cargo.arg("--release");
    }
    let status = cargo.status().map_err(Error::io("starting cargo"))?;
    if !status.success() {
        return Err(Error::Setup("cargo could not build the gateway".to_owned()));
    }
    Ok(folder.join("weir-gateway"))
}

/// A process with a folder and a port of its own.
#[derive(Debug)]
pub struct Running {
    /// Who it is.
    pub name: &'static str,
    /// The process.
    pub process: Process,
    /// Where it listens.
    pub address: SocketAddr,
    // Both go after the process.
    _port: TcpSocket,
    _folder: TempDir,
}

impl Running {
    /// Starts the server that answers.
    pub fn upstream(programs: &Programs) -> Result<Self, Error> {
        let (folder, (port, address)) = (folder()?, reserve_port()?);
        let arguments = ["upstream".to_owned(), "--listen".to_owned(), address.to_string()];
        let process = Process::start(LOAD_CORE, &programs.own, &arguments, &folder.path().join("log"), address)?;
        Ok(Self { name: "upstream", process, address, _port: port, _folder: folder })
    }

    /// Starts a NATS server with an empty store.
    pub fn nats(program: &Path) -> Result<Self, Error> {
        let (folder, (port, address)) = (folder()?, reserve_port()?);
        let (number, store) = (address.port().to_string(), folder.path().display().to_string());
        let arguments = ["--addr", "127.0.0.1", "--port", &number, "--jetstream", "--store_dir", &store];
        let process = Process::start(LOAD_CORE, program, &arguments, &folder.path().join("log"), address)?;
        Ok(Self { name: "nats-server", process, address, _port: port, _folder: folder })
    }

    /// Starts a target.
    pub fn target(target: Target, programs: &Programs, upstream: SocketAddr, nats: SocketAddr) -> Result<Self, Error> {
        let (folder, (port, address)) = (folder()?, reserve_port()?);
        let (program, arguments) = match target {
            Target::BareRelay => {
                let own = ["bare-relay", "--listen"].map(str::to_owned);
                let rest = [address.to_string(), "--upstream".to_owned(), upstream.to_string()];
                (&programs.own, own.into_iter().chain(rest).collect::<Vec<_>>())
            }
            Target::Gateway | Target::GatewayWithNats => {
                let file = folder.path().join("weir.toml");
                let text = configuration(address, upstream, nats, &folder.path().join("ledger"));
                fs::write(&file, text).map_err(Error::io("writing the gateway's configuration"))?;
                (&programs.gateway, vec!["--config".to_owned(), file.display().to_string()])
            }
        };
        let process = Process::start(TARGET_CORE, program, &arguments, &folder.path().join("log"), address)?;
        Ok(Self { name: target.as_str(), process, address, _port: port, _folder: folder })
    }
}

fn folder() -> Result<TempDir, Error> {
    tempfile::tempdir().map_err(Error::io("a folder for a child"))
}

/// A free port that nobody else is given while the socket lives: it is bound but never listens, and a server that asks
/// for exactly this port, with `SO_REUSEADDR` like every server, gets it.
pub fn reserve_port() -> Result<(TcpSocket, SocketAddr), Error> {
    let bind = || {
        let socket = TcpSocket::new_v4()?;
        socket.set_reuseaddr(true)?;
        socket.bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
        let address = socket.local_addr()?;
        Ok((socket, address))
    };
    bind().map_err(Error::io("a free port"))
}

/// A configuration as an operator would write it: an endpoint and a model for each format, one client.
fn configuration(listen: SocketAddr, upstream: SocketAddr, nats: SocketAddr, ledger: &Path) -> String {
    let ledger = serde_json::Value::from(ledger.display().to_string());
    let mut text = format!(
        "[nats]\nurl = \"nats://{nats}\"\n\n[gateway]\nname = \"bench\"\nlisten = \"{listen}\"\n\
         ops_listen = \"127.0.0.1:0\"\nledger_dir = {ledger}\nledger_max_bytes = \"16GiB\"\n\n\
         [[clients]]\nname = \"bench\"\nkey = {{ plain = \"{CLIENT_KEY}\" }}\ntags = {{ project = \"bench\" }}\n"
    );
    for format in Format::ALL.iter().copied() {
        let (name, model) = (format.as_str(), answer::model(format));
        text += &format!(
            "\n[[providers]]\nname = \"{name}\"\n  [[providers.endpoints]]\n  name = \"{name}-api\"\n  \
             format = \"{name}\"\n  base_url = \"http://{upstream}\"\n    [[providers.endpoints.keys]]\n    \
             name = \"main\"\n    secret = {{ plain = \"bench-provider-key\" }}\n\n\
             [[models]]\nname = \"{model}\"\n  [[models.routes]]\n  endpoint = \"{name}-api\"\n"
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gateway_takes_the_configuration() {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 1));
        let text = configuration(address, address, address, Path::new("/tmp/a \"b\""));
        let config = schemas::config::Config::parse(&text, &std::collections::BTreeMap::new()).unwrap();
        assert_eq!((config.models.len(), config.providers.len()), (4, 4));
    }
}
