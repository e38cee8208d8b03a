//! The programs of a run: ours, brought up to date by cargo, and others', found on PATH.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::error::Error;

/// The programs of a run.
#[derive(Debug)]
pub struct Programs {
    /// This one.
    pub own: PathBuf,
    /// `weir-gateway`
    pub gateway: PathBuf,
    /// `weir`, where all that is behind the gateway is wanted.
    pub weir: Option<PathBuf>,
    /// `nats-server`, if there is one.
    pub nats_server: Option<PathBuf>,
    /// Where gateways of others are installed.
    pub peers: Option<PathBuf>,
}

/// Which programs to use.
#[derive(clap::Args, Clone, Debug, Default)]
pub struct Named {
    /// A gateway binary; cargo builds the workspace's unless one is named.
    #[arg(long)]
    pub gateway: Option<PathBuf>,
    /// A `weir` binary; cargo builds the workspace's unless one is named.
    #[arg(long)]
    pub weir: Option<PathBuf>,
    /// A nats-server binary; the one on PATH unless one is named, and none if there is none.
    #[arg(long)]
    pub nats_server: Option<PathBuf>,
    /// A folder for gateways of others; what is missing in it is installed by pip and npm.
    #[arg(long)]
    pub peers: Option<PathBuf>,
}

impl Programs {
    /// Finds them. `wants_weir`: the whole stack is among the targets.
    pub fn find(named: &Named, wants_weir: bool) -> Result<Self, Error> {
        let own = own()?;
        let build = |named: &Option<PathBuf>, package, binary| match named {
            Some(path) => Ok(path.clone()),
            None => build(&own, package, binary),
        };
        let gateway = build(&named.gateway, "gateway", "weir-gateway")?;
        let weir = if wants_weir { Some(build(&named.weir, "weir", "weir")?) } else { None };
        let nats_server = named.nats_server.clone().or_else(|| on_path("nats-server"));
        Ok(Self { own, gateway, weir, nats_server, peers: named.peers.clone() })
    }
}

/// A program on PATH.
pub fn on_path(name: &str) -> Option<PathBuf> {
    // Debian has some servers where only root's PATH looks.
    let folders = std::env::split_paths(&std::env::var_os("PATH")?).chain(["/usr/sbin".into()]).collect::<Vec<_>>();
    folders.into_iter().map(|folder| folder.join(name)).find(|path| path.is_file())
}

/// A binary of the workspace, brought up to date.
pub fn built(package: &str, binary: &str) -> Result<PathBuf, Error> {
    build(&own()?, package, binary)
}

fn own() -> Result<PathBuf, Error> {
    std::env::current_exe().map_err(Error::io("the path of this program"))
}

/// Cargo knows whether the binary beside this one is stale.
fn build(own: &Path, package: &str, binary: &str) -> Result<PathBuf, Error> {
    let folder = own.parent().unwrap_or(Path::new("."));
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(["build", "--quiet", "-p", package, "--bins", "--manifest-path"]);
    cargo.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml"));
    if folder.ends_with("release") {
        cargo.arg("--release");
    }
    let status = cargo.status().map_err(Error::io("starting cargo"))?;
    if !status.success() {
        return Err(Error::Setup(format!("cargo could not build {binary}")));
    }
    Ok(folder.join(binary))
}
