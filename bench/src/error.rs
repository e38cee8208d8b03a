//! Why a run ended without figures.

/// Why a run ended without figures.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file, a socket, a child process.
    #[error("{what}: {cause}")]
    Io {
        /// What was tried.
        what: String,
        /// Why it failed.
        cause: std::io::Error,
    },
    /// The client of the bare relay.
    #[error("the HTTP client cannot be built: {0}")]
    Client(#[from] reqwest::Error),
    /// A connection of the load.
    #[error("a connection of the load: {0}")]
    Load(#[from] hyper::Error),
    /// A request of the load.
    #[error("a request of the load: {0}")]
    Request(#[from] http::Error),
    /// An answer that is not the one that the upstream gave: figures of a wrong relay are worth nothing.
    #[error("{target} answered {status} with other bytes than the upstream's, the first at {at}: {seen:?}")]
    WrongBytes {
        /// Who relayed it.
        target: String,
        /// Its status.
        status: u16,
        /// Place of the first byte that differs.
        at: usize,
        /// What stood there.
        seen: String,
    },
    /// Something else that is missing on this machine.
    #[error("{0}")]
    Setup(String),
}

impl Error {
    /// An I/O error with what was tried.
    pub fn io(what: impl Into<String>) -> impl FnOnce(std::io::Error) -> Self {
        let what = what.into();
        move |cause| Self::Io { what, cause }
    }
}
