//! Why a provider could not be asked, or why its answer broke off.

/// Why a provider could not be asked, or why its answer broke off. The text names the cause at the bottom of it, and
/// never the URL, which may hold credentials.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no connection: the name, the network, TLS or the time for it.
    #[error("cannot connect to the provider: {0}")]
    Connect(String),
    /// The connection broke, or what came over it is not HTTP.
    #[error("the connection to the provider broke: {0}")]
    Lost(String),
}

impl Error {
    pub(super) fn connect(error: &(dyn std::error::Error + 'static)) -> Self {
        Self::Connect(bottom(error))
    }

    pub(super) fn lost(error: &(dyn std::error::Error + 'static)) -> Self {
        Self::Lost(bottom(error))
    }
}

impl From<reqwest::Error> for Error {
    fn from(error: reqwest::Error) -> Self {
        if error.is_connect() { Self::connect(&error) } else { Self::lost(&error) }
    }
}

/// The innermost cause's own words.
fn bottom(error: &(dyn std::error::Error + 'static)) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}
