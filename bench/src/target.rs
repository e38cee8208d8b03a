//! What is measured: a process between the load and the upstream.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::Command;

use clap::ValueEnum;
use tempfile::TempDir;
use tokio::net::TcpSocket;

use crate::error::Error;
use crate::peers;
use crate::process::{LOAD_CORE, Process, TARGET_CORE};
use crate::programs::Programs;
use crate::settings;

/// Who is between the load and the upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Target {
    /// nginx with buffering off.
    Nginx,
    /// haproxy.
    Haproxy,
    /// hyper's server and hyper-util's pooled client, with what is ready joined.
    Hyper,
    /// axum and reqwest, frame by frame: the usual way.
    Axum,
    /// The gateway with its ledger, NATS away.
    Ledger,
    /// The gateway with its ledger, shipping to NATS.
    Nats,
    /// The gateway with all that stands behind it: NATS, recorder and ClickHouse.
    Full,
    /// LiteLLM's proxy, one worker, logging off.
    Litellm,
    /// Portkey's gateway, logging off.
    Portkey,
}

impl Target {
    /// Its name in reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Nginx => "nginx",
            Self::Haproxy => "haproxy",
            Self::Hyper => "bare hyper relay",
            Self::Axum => "bare axum + reqwest relay",
            Self::Ledger => "gateway, ledger only",
            Self::Nats => "gateway, into NATS",
            Self::Full => "gateway, into NATS and ClickHouse",
            Self::Litellm => "LiteLLM proxy",
            Self::Portkey => "Portkey gateway",
        }
    }

    /// Whether it is ours.
    pub fn is_gateway(self) -> bool {
        matches!(self, Self::Ledger | Self::Nats | Self::Full)
    }

    /// Whether it is a gateway of others, which makes answers of its own from what it gets.
    pub fn is_peer(self) -> bool {
        matches!(self, Self::Litellm | Self::Portkey)
    }
}

/// A process with a folder and a port of its own, and what it needs beside it.
#[derive(Debug)]
pub struct Running {
    /// Who it is.
    pub name: &'static str,
    /// The process.
    pub process: Process,
    /// Where it listens.
    pub address: SocketAddr,
    // These go after the process.
    _behind: Option<Box<Running>>,
    _port: TcpSocket,
    _folder: TempDir,
}

/// A folder and a port for a process that is about to start.
struct Place {
    folder: TempDir,
    port: TcpSocket,
    address: SocketAddr,
}

impl Running {
    /// Starts the server that answers.
    pub fn upstream(programs: &Programs) -> Result<Self, Error> {
        let place = Place::new()?;
        let mut command = Command::new(&programs.own);
        command.args(["upstream", "--listen"]).arg(place.address.to_string());
        place.start("upstream", LOAD_CORE, &command, None)
    }

    /// Starts a target.
    pub fn target(target: Target, programs: &Programs, upstream: SocketAddr) -> Result<Self, Error> {
        let place = Place::new()?;
        let (folder, address) = (place.folder.path(), place.address);
        let own = |name: &str| {
            let mut command = Command::new(&programs.own);
            command.args([name, "--listen", &address.to_string(), "--upstream", &upstream.to_string()]);
            command
        };
        let mut behind = None;
        let command = match target {
            Target::Nginx => settings::nginx(folder, address, upstream)?,
            Target::Haproxy => settings::haproxy(folder, address, upstream)?,
            Target::Hyper => own("hyper-relay"),
            Target::Axum => own("axum-relay"),
            Target::Ledger | Target::Nats | Target::Full => {
                behind = Self::behind(target, programs, upstream)?.map(Box::new);
                // A port where nothing listens: NATS is away.
                let away = reserve_port()?;
                let nats = behind.as_ref().map_or(away.1, |behind| behind.address);
                settings::gateway(programs, folder, address, (upstream, nats))?
            }
            Target::Litellm => peers::litellm(programs, folder, address, upstream)?,
            Target::Portkey => peers::portkey(programs, address)?,
        };
        place.start(target.as_str(), TARGET_CORE, &command, behind)
    }

    /// Starts a NATS server with an empty store.
    pub fn nats(nats_server: &Path, core: &str) -> Result<Self, Error> {
        let place = Place::new()?;
        let mut command = Command::new(nats_server);
        command.args(["--addr", "127.0.0.1", "--port", &place.address.port().to_string(), "--jetstream"]);
        command.arg("--store_dir").arg(place.folder.path());
        place.start("nats-server", core, &command, None)
    }

    /// What a gateway ships its events to, on the core of the load. Its address is that of NATS.
    fn behind(target: Target, programs: &Programs, upstream: SocketAddr) -> Result<Option<Self>, Error> {
        let place = Place::new()?;
        let (folder, address) = (place.folder.path(), place.address);
        match (target, &programs.nats_server, &programs.weir) {
            (Target::Nats, Some(nats_server), _) => Self::nats(nats_server, LOAD_CORE).map(Some),
            (Target::Full, _, Some(weir)) => {
                let command = settings::stack(weir, folder, address, upstream)?;
                place.start("NATS, recorder and ClickHouse", LOAD_CORE, &command, None).map(Some)
            }
            (Target::Nats | Target::Full, ..) => Err(Error::Setup("there is no nats-server, or no weir".to_owned())),
            _ => Ok(None),
        }
    }
}

impl Place {
    fn new() -> Result<Self, Error> {
        let folder = tempfile::tempdir().map_err(Error::io("a folder for a child"))?;
        let (port, address) = reserve_port()?;
        Ok(Self { folder, port, address })
    }

    fn start(
        self,
        name: &'static str,
        core: &str,
        command: &Command,
        behind: Option<Box<Running>>,
    ) -> Result<Running, Error> {
        let log = self.folder.path().join("log");
        let process = Process::start(core, command, &log, self.address)?;
        let Self { folder, port, address } = self;
        Ok(Running { name, process, address, _behind: behind, _port: port, _folder: folder })
    }
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
