//! ClickHouse's engine in this process: started once on a folder, then any number of connections.

mod library;
mod connection;

use std::collections::{HashMap, HashSet};
use std::ffi::CString;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use self::library::Functions;
use super::exception::Exception;

pub(super) use self::connection::{Connection, Counts, Statement};

/// Why the engine could not be started.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The library is missing, damaged, or of another version.
    #[error(
        "cannot use {path} as ClickHouse's engine: {source}; delete it to have it fetched again, or name another one with CHDB_LIB"
    )]
    Library {
        /// The file that was tried.
        path: PathBuf,
        /// What the loader says.
        source: libloading::Error,
    },
    /// The folder cannot be used.
    #[error("cannot use {path} for ClickHouse's data: {source}")]
    Folder {
        /// The folder that was tried.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// The engine did not start; it has written the reason to standard error.
    #[error(
        "ClickHouse's engine did not start on {0}; its reason stands above (a second one on the same folder is refused)"
    )]
    Start(PathBuf),
    /// The engine started and cannot answer simple questions.
    #[error("ClickHouse's engine does not answer: {0}")]
    Unusable(String),
}

/// The running engine.
pub(super) struct Engine {
    functions: &'static Functions,
    path: CString,
    /// Keeps the engine up while no request has a connection.
    boot: Mutex<Option<Connection>>,
    pub(super) facts: Arc<Facts>,
}

/// What a server says about itself, and what it accepts.
#[derive(Debug, Default)]
pub(super) struct Facts {
    /// `version()`.
    pub(super) version: String,
    /// `timezone()`.
    pub(super) timezone: String,
    /// `displayName()`.
    pub(super) display_name: String,
    /// Every setting's name. The engine ignores names that it does not know, a server does not.
    pub(super) settings: HashSet<String>,
    /// Output formats by lower-case name: the true name and its content type.
    pub(super) formats: HashMap<String, (String, String)>,
}

impl Engine {
    /// Loads the library and starts the engine on `data_dir` with the options of `config`.
    pub(super) fn start(library: &Path, data_dir: &Path, config: &str) -> Result<Self, Error> {
        let folder = |source| Error::Folder { path: data_dir.to_owned(), source };
        std::fs::create_dir_all(data_dir).map_err(folder)?;
        let data_dir = data_dir.canonicalize().map_err(folder)?;
        let config_path = data_dir.join("weir-engine.xml");
        std::fs::write(&config_path, config).map_err(folder)?;
        let functions: &'static Functions = Box::leak(Box::new(Functions::load(library)?));
        functions.leave_signals_alone();

        let not_utf8 = || folder(std::io::Error::other("the path is not valid UTF-8"));
        let path =
            data_dir.to_str().and_then(|path| CString::new(format!("--path={path}")).ok()).ok_or_else(not_utf8)?;
        let config = config_path.to_str().and_then(|path| CString::new(format!("--config-file={path}")).ok());
        let arguments = [c"clickhouse".to_owned(), path.clone(), config.ok_or_else(not_utf8)?];
        let mut boot = Connection::open(functions, &arguments).ok_or(Error::Start(data_dir))?;
        let facts = Facts::read(&mut boot).map_err(|exception| Error::Unusable(exception.text("unknown")))?;
        Ok(Self { functions, path, boot: Mutex::new(Some(boot)), facts: Arc::new(facts) })
    }

    /// Opens a connection with these settings. `None`: one of the values is bad, and the engine does not say which.
    pub(super) fn connect(&self, settings: &[(String, String)]) -> Option<Connection> {
        let mut arguments = vec![c"clickhouse".to_owned(), self.path.clone()];
        for (name, value) in settings {
            arguments.push(CString::new(format!("--{name}={value}")).ok()?);
        }
        Connection::open(self.functions, &arguments)
    }

    /// Stops the engine once the last connection is closed.
    pub(super) fn stop(&self) {
        if let Ok(mut boot) = self.boot.lock() {
            drop(boot.take());
        }
        if !self.functions.stop() {
            // Seen with nothing lost: some thread of the engine is still running, and the process ends it.
            tracing::debug!("the engine was still busy when it was told to stop");
        }
    }
}

impl Facts {
    fn read(connection: &mut Connection) -> Result<Self, Exception> {
        let mut ask = |sql: &str| -> Result<Vec<Vec<String>>, Exception> {
            let answer = connection.query(Statement { sql: sql.as_bytes(), format: "TSV", params: &[] })?;
            let text = String::from_utf8_lossy(answer.bytes()).into_owned();
            Ok(text.lines().map(|line| line.split('\t').map(str::to_owned).collect()).collect())
        };
        let mut facts = Self::default();
        for row in ask("SELECT version(), timezone(), displayName()")? {
            if let [version, timezone, display_name] = row.as_slice() {
                facts.version.clone_from(version);
                facts.timezone.clone_from(timezone);
                facts.display_name.clone_from(display_name);
            }
        }
        for row in ask("SELECT name FROM system.settings")? {
            facts.settings.extend(row);
        }
        for row in ask("SELECT name, content_type FROM system.formats WHERE is_output OR is_input")? {
            if let [name, content_type] = row.as_slice() {
                facts.formats.insert(name.to_lowercase(), (name.clone(), content_type.clone()));
            }
        }
        Ok(facts)
    }
}
