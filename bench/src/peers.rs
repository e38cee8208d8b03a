//! Gateways of others, as the registries have them. Their logging is off.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::answer;
use crate::error::Error;
use crate::programs::{Programs, on_path};
use schemas::outcome::Format;

const LITELLM: &str = "litellm[proxy]";
const PORTKEY: &str = "@portkey-ai/gateway";

/// LiteLLM's proxy with one worker.
pub fn litellm(programs: &Programs, folder: &Path, listen: SocketAddr, upstream: SocketAddr) -> Result<Command, Error> {
    let venv = installed_litellm(programs)?;
    let model = answer::model(Format::OpenaiChat);
    let text = format!(
        "model_list:\n  - model_name: {model}\n    litellm_params:\n      model: openai/{model}\n      \
         api_base: http://{upstream}/v1\n      api_key: bench-provider-key\n\
         litellm_settings:\n  turn_off_message_logging: true\n  telemetry: false\n"
    );
    let file = folder.join("litellm.yaml");
    fs::write(&file, text).map_err(Error::io("writing LiteLLM's configuration"))?;
    let mut command = Command::new(venv.join("bin/litellm"));
    command.arg("--config").arg(file).args(["--host", "127.0.0.1", "--num_workers", "1", "--telemetry", "False"]);
    command.args(["--port", &listen.port().to_string()]);
    command.env("LITELLM_LOG", "ERROR").env("LITELLM_LOCAL_MODEL_COST_MAP", "True");
    // Without keys of its own: looking them up is not what is compared. Newer versions start so only when told to.
    command.env("LITELLM_DANGEROUSLY_PERMIT_WEAK_OR_UNSET_MASTER_KEY", "true");
    Ok(command)
}

/// Portkey's gateway; the load names the provider in each request.
pub fn portkey(programs: &Programs, listen: SocketAddr) -> Result<Command, Error> {
    let server = installed_portkey(programs)?;
    let mut command = Command::new(on_path("node").ok_or_else(|| Error::Setup("there is no node".to_owned()))?);
    command.arg(server).arg("--headless").arg(format!("--port={}", listen.port()));
    Ok(command)
}

/// The headers that make Portkey ask the upstream.
pub fn portkey_headers(upstream: SocketAddr) -> [(&'static str, String); 2] {
    [("x-portkey-provider", "openai".to_owned()), ("x-portkey-custom-host", format!("http://{upstream}/v1"))]
}

fn installed_litellm(programs: &Programs) -> Result<PathBuf, Error> {
    let venv = folder(programs)?.join("litellm");
    if !venv.join("bin/litellm").is_file() {
        run(Command::new("python3").args(["-m", "venv"]).arg(&venv))?;
        run(Command::new(venv.join("bin/pip")).args(["install", "--quiet", LITELLM]))?;
    }
    Ok(venv)
}

fn installed_portkey(programs: &Programs) -> Result<PathBuf, Error> {
    let prefix = folder(programs)?.join("portkey");
    let server = prefix.join("node_modules").join(PORTKEY).join("build/start-server.js");
    if !server.is_file() {
        fs::create_dir_all(&prefix).map_err(Error::io("a folder for Portkey"))?;
        run(Command::new("npm").arg("--prefix").arg(&prefix).args(["install", "--silent", "--no-audit", PORTKEY]))?;
    }
    Ok(server)
}

/// What is installed there, for the report.
pub fn versions(folder: &Path) -> String {
    let ask = |program: PathBuf, arguments: &[&str]| {
        let output = Command::new(program).args(arguments).output().ok()?;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        said.lines().find_map(|line| line.strip_prefix("Version: ")).map(str::to_owned)
    };
    let litellm = ask(folder.join("litellm/bin/pip"), &["show", "litellm"]);
    let package = folder.join("portkey/node_modules").join(PORTKEY).join("package.json");
    let portkey = fs::read(package).ok().and_then(|text| serde_json::from_slice::<serde_json::Value>(&text).ok());
    let portkey = portkey.and_then(|package| package["version"].as_str().map(str::to_owned));
    let or_none = |version: Option<String>| version.unwrap_or_else(|| "not there".to_owned());
    format!("LiteLLM {}, Portkey gateway {}", or_none(litellm), or_none(portkey))
}

fn folder(programs: &Programs) -> Result<&Path, Error> {
    let wanted = "gateways of others need --peers FOLDER, where they are installed";
    programs.peers.as_deref().ok_or_else(|| Error::Setup(wanted.to_owned()))
}

fn run(command: &mut Command) -> Result<(), Error> {
    let status = command.status().map_err(Error::io("installing another gateway"))?;
    if status.success() { Ok(()) } else { Err(Error::Setup(format!("{command:?} has failed"))) }
}
