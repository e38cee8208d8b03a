//! A whole deployment on one machine: engines as child processes, services as tasks of this one.

mod child;
mod ports;
pub(crate) mod nats;
pub(crate) mod warehouse;
mod engines;
mod services;

pub use self::child::{Child, Spec, tail};
pub use self::engines::Engines;
pub use self::nats::Nats;
pub use self::ports::{ReservedPort, bind, free_address};
pub use self::services::{Listeners, Services};
pub use self::warehouse::{Warehouse, without_credentials};

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::fetch::FetchError;

/// Why the stack does not stand.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An address is taken, or not ours.
    #[error("cannot listen on {address}: {cause}")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// What the system says.
        cause: std::io::Error,
    },
    /// A folder cannot be made.
    #[error("cannot create {}: {cause}", path.display())]
    Folder {
        /// The folder or file.
        path: PathBuf,
        /// What the system says.
        cause: std::io::Error,
    },
    /// A child process could not be started.
    #[error("cannot start {name}: {cause}")]
    Spawn {
        /// Which.
        name: &'static str,
        /// What the system says.
        cause: std::io::Error,
    },
    /// A child process ended, and starting it again does not help.
    #[error("{name} ended; the last lines of {}:\n{tail}", log.display())]
    Ended {
        /// Which.
        name: &'static str,
        /// Where it writes.
        log: PathBuf,
        /// What it wrote last.
        tail: String,
    },
    /// A child process runs and does not answer.
    #[error("{name} does not answer after {} s; see {}", waited.as_secs(), log.display())]
    Silent {
        /// Which.
        name: &'static str,
        /// How long it was waited for.
        waited: Duration,
        /// Where it writes.
        log: PathBuf,
    },
    /// An engine could not be had.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// The HTTP client could not be built.
    #[error("cannot build the HTTP client: {0}")]
    Client(#[from] reqwest::Error),
    /// A secret of the configuration.
    #[error("{key}: {reason}")]
    Secret {
        /// The configuration's key.
        key: &'static str,
        /// Which variable or file is missing.
        reason: String,
    },
    /// A service ended by itself.
    #[error("{name} stopped: {reason}")]
    Service {
        /// Which.
        name: &'static str,
        /// Its own words.
        reason: String,
    },
}
