//! ClickHouse: the server that is configured and answers, a `clickhouse` binary, or the engine as a library (chDB).

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use schemas::config::{ClickHouse, Secret};
use url::Url;

use super::child::create_folder;
use super::{Child, Error, Spec};
use crate::fetch;
use crate::terminal::Step;

const PROBE_TIMEOUT: Duration = Duration::from_secs(2);

/// A ClickHouse to use.
#[derive(Debug)]
pub struct Warehouse {
    child: Option<Child>,
}

impl Warehouse {
    /// Uses what answers at `[clickhouse] url`; where nothing does and the address is on this machine, starts one there.
    /// `remove` is a folder to remove when it has stopped.
    pub async fn find_or_start(config: &ClickHouse, data: &Path, remove: Option<PathBuf>) -> Result<Self, Error> {
        let client = reqwest::Client::builder().no_proxy().timeout(PROBE_TIMEOUT).build()?;
        let ping = format!("{}/ping", config.url.trim_end_matches('/'));
        let answers = async || client.get(&ping).send().await.is_ok_and(|response| response.status().is_success());
        if answers().await {
            tracing::info!(url = without_credentials(&config.url), "using the ClickHouse that answers there");
            return Ok(Self { child: None });
        }
        let Some(address) = local_address(&config.url) else {
            tracing::warn!(
                url = without_credentials(&config.url),
                "no ClickHouse answers there now; the services go on trying"
            );
            return Ok(Self { child: None });
        };
        let (kind, spec) = engine(config, address, data).await?;
        let step = Step::begin(format!("starting ClickHouse ({kind}) on {address}"));
        let mut child = Child::start(Spec { remove, ..spec })?;
        child.ready(answers).await?;
        step.done("ClickHouse is ready");
        Ok(Self { child: Some(child) })
    }

    /// Whether it runs for us alone and ends with us.
    pub fn is_ours(&self) -> bool {
        self.child.is_some()
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

/// An engine to start at an address, and what kind of one it is. Its data is in the folder `data`.
pub(crate) async fn engine(
    config: &ClickHouse,
    address: SocketAddr,
    data: &Path,
) -> Result<(&'static str, Spec), Error> {
    create_folder(data)?;
    let password = match &config.password {
        Some(secret) => secret.resolve().map_err(|reason| Error::Secret { key: "clickhouse.password", reason })?,
        None => Secret::default(),
    };
    let engine = Engine { address, data, user: &config.user, password };
    Ok(match fetch::clickhouse_binary() {
        Some(binary) => ("clickhouse server", engine.server(binary)?),
        None => ("chDB", engine.library(fetch::libchdb(&fetch::Progress::stderr()).await?)?),
    })
}

/// An engine to start.
struct Engine<'a> {
    address: SocketAddr,
    data: &'a Path,
    user: &'a str,
    password: Secret,
}

impl Engine<'_> {
    /// Ourselves, with the engine as a library.
    fn library(&self, library: PathBuf) -> Result<Spec, Error> {
        let name = "ClickHouse";
        let listen = self.address.to_string();
        let arguments: [OsString; 10] = [
            "clickhouse".into(),
            "--data".into(),
            self.data.join("data").into(),
            "--listen".into(),
            listen.into(),
            "--lib".into(),
            library.into(),
            "--user".into(),
            self.user.into(),
            "--exit-with-parent".into(),
        ];
        Ok(Spec {
            name,
            program: std::env::current_exe().map_err(|cause| Error::Spawn { name, cause })?,
            arguments: arguments.into(),
            // In the environment and not in the arguments, which everybody on the machine can read.
            secret: Some(("CLICKHOUSE_PASSWORD", self.password.clone())),
            log: self.data.join("clickhouse.log"),
            remove: None,
        })
    }

    /// The server proper, with all that it needs in one file. The password is read from the environment there too.
    fn server(&self, binary: PathBuf) -> Result<Spec, Error> {
        let file = self.data.join("config.xml");
        std::fs::write(&file, self.server_configuration(&file))
            .map_err(|cause| Error::Folder { path: file.clone(), cause })?;
        Ok(Spec {
            name: "ClickHouse",
            program: binary,
            arguments: vec!["server".into(), "--config-file".into(), file.into()],
            secret: Some(("CLICKHOUSE_PASSWORD", self.password.clone())),
            log: self.data.join("clickhouse.log"),
            remove: None,
        })
    }

    fn server_configuration(&self, file: &Path) -> String {
        let path = |name: &str| escaped(&self.data.join(name).display().to_string());
        format!(
            r#"<clickhouse>
  <logger><level>information</level><console>1</console></logger>
  <listen_host>{host}</listen_host>
  <http_port>{port}</http_port>
  <timezone>UTC</timezone>
  <path>{data}/</path>
  <tmp_path>{tmp}/</tmp_path>
  <user_files_path>{files}/</user_files_path>
  <format_schema_path>{schemas}/</format_schema_path>
  <user_directories><users_xml><path>{file}</path></users_xml></user_directories>
  <profiles><default/></profiles>
  <quotas><default/></quotas>
  <users>
    <{user}>
      <password from_env="CLICKHOUSE_PASSWORD"/>
      <networks><ip>127.0.0.1</ip><ip>::1</ip></networks>
      <profile>default</profile>
      <quota>default</quota>
    </{user}>
  </users>
</clickhouse>
"#,
            host = self.address.ip(),
            port = self.address.port(),
            data = path("data"),
            tmp = path("tmp"),
            files = path("user_files"),
            schemas = path("format_schemas"),
            file = escaped(&file.display().to_string()),
            user = self.user,
        )
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}

/// The address of a plain HTTP URL on this machine's loopback interface.
fn local_address(url: &str) -> Option<SocketAddr> {
    let url = Url::parse(url).ok().filter(|url| url.scheme() == "http")?;
    let address = url.socket_addrs(|| None).ok()?.into_iter().find(|address| address.ip().is_loopback())?;
    Some(address)
}

/// A URL without the credentials that it may hold.
pub fn without_credentials(url: &str) -> String {
    let Ok(mut url) = Url::parse(url) else { return String::new() };
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_http_on_loopback_is_started_here() {
        assert_eq!(local_address("http://127.0.0.1:8124/"), Some(SocketAddr::from(([127, 0, 0, 1], 8124))));
        assert_eq!(local_address("http://127.0.0.1"), Some(SocketAddr::from(([127, 0, 0, 1], 80))));
        assert_eq!(local_address("https://127.0.0.1:8443"), None);
        assert_eq!(local_address("http://192.0.2.1:8123"), None);
    }

    #[test]
    fn credentials_are_not_shown() {
        assert_eq!(without_credentials("http://u:hunter2@h:8123/"), "http://h:8123/");
    }
}
