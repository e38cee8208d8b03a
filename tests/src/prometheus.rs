//! A real Prometheus, as Debian packages it: `prometheus` and `promtool` on PATH.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use crate::ports::ReservedPort;
use crate::process::Process;
use crate::{caller, eventually};

/// Set where Prometheus was installed: its tests then fail without it rather than being skipped.
const REQUIRED: &str = "WEIR_TEST_PROMETHEUS";

/// Where the two programs are; `None`, with a word about it, where they are not.
pub fn installed() -> Option<Tools> {
    let found = |name: &str| {
        let path = std::env::var_os("PATH")?;
        std::env::split_paths(&path).map(|folder| folder.join(name)).find(|file| file.is_file())
    };
    if let (Some(prometheus), Some(promtool)) = (found("prometheus"), found("promtool")) {
        return Some(Tools { prometheus, promtool });
    }
    assert!(std::env::var_os(REQUIRED).is_none(), "{REQUIRED} is set, and there is no prometheus or promtool on PATH");
    crate::skipped("prometheus and promtool are not on PATH (Debian's package prometheus has both)");
    None
}

/// The programs.
#[derive(Clone, Debug)]
pub struct Tools {
    prometheus: PathBuf,
    promtool: PathBuf,
}

impl Tools {
    /// Runs promtool in a folder, with `input`. Returns what it said, and whether it was content.
    pub fn promtool(&self, folder: &Path, arguments: &[&str], input: &str) -> (bool, String) {
        let mut command = Command::new(&self.promtool);
        command.args(arguments).current_dir(folder).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("promtool");
        let mut pipe = child.stdin.take().expect("its input");
        let input = input.to_owned();
        let writer = std::thread::spawn(move || std::io::Write::write_all(&mut pipe, input.as_bytes()));
        let output = child.wait_with_output().expect("promtool's end");
        // A promtool that reads nothing has closed its input: what it says is the result.
        let _ = writer.join();
        let said = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8_lossy(&said).into_owned())
    }
}

/// A running Prometheus.
pub struct Prometheus {
    url: String,
    http: reqwest::Client,
    process: Process,
    _port: ReservedPort,
}

impl Prometheus {
    /// Starts it with a configuration, in the folder where that lies.
    pub async fn start(tools: &Tools, folder: &TempDir, config: &Path) -> Self {
        caller::install_tls();
        let port = ReservedPort::new();
        let mut command = Command::new(&tools.prometheus);
        command.arg(format!("--config.file={}", config.display()));
        command.arg(format!("--storage.tsdb.path={}", folder.path().join("tsdb").display()));
        command.arg(format!("--web.listen-address={}", port.address()));
        let process = Process::spawn(&mut command, folder.path(), folder.path().join("prometheus.log"));
        let http = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(20)).build();
        let url = format!("http://{}", port.address());
        let running = Self { url, http: http.expect("an HTTP client"), process, _port: port };
        eventually("Prometheus is ready", Duration::from_secs(60), || async {
            let answer = running.http.get(format!("{}/-/ready", running.url)).send().await;
            let status = answer.map_err(|error| format!("{error:?}: {}", running.process.output()))?.status();
            if status.is_success() { Ok(()) } else { Err(status.to_string()) }
        })
        .await;
        running
    }

    /// The values of the series that an instant query yields.
    pub async fn query(&self, query: &str) -> Result<Vec<f64>, String> {
        let data = self.get("query", &[("query", query)]).await?;
        let value = |series: &Value| series["value"][1].as_str()?.parse::<f64>().ok();
        Ok(data["result"].as_array().into_iter().flatten().filter_map(value).collect())
    }

    /// The data of an answer of its API.
    pub async fn get(&self, endpoint: &str, parameters: &[(&str, &str)]) -> Result<Value, String> {
        let mut url = url::Url::parse(&format!("{}/api/v1/{endpoint}", self.url)).expect("an URL");
        url.query_pairs_mut().extend_pairs(parameters);
        let answer = self.http.get(url).send().await.map_err(|error| format!("{error:?}"))?;
        let answer: Value = answer.json().await.map_err(|error| format!("{error:?}"))?;
        if answer["status"] == "success" { Ok(answer["data"].clone()) } else { Err(answer.to_string()) }
    }
}
