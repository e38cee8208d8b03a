//! A wrong configuration is told whole before anything starts.

use std::process::{Command, Output};
use std::time::Duration;

use tests::binaries;
use tests::configuration::{Settings, catalogue};
use tests::ports::ReservedPort;
use tests::process::Process;

/// A mistake of every kind, in every part of the file.
const WRONG: &str = r#"
colour = "red"
[nats]
partitions = 65
[clickhouse]
database = "default"
[gateway]
listen = "nowhere"
[gateway.timeouts]
idle = "0s"
[[providers]]
name = "a"
  [[providers.endpoints]]
  name = "e"
  format = "antropic"
  base_url = "api.example.com"
    [[providers.endpoints.keys]]
    name = "k"
    secret = "sk-literal-secret"
[[models]]
name = "m"
  [[models.routes]]
  endpoint = "elsewhere"
[[clients]]
name = "c"
key = { sha256 = "abc" }
[recorder]
max_range_events = 0
[analytics]
listen = "0.0.0.0:80"
"#;

const PATHS: &[&str] = &[
    "colour",
    "nats.partitions",
    "clickhouse.database",
    "gateway.listen",
    "gateway.timeouts.idle",
    "providers[0].endpoints[0].format",
    "providers[0].endpoints[0].base_url",
    "providers[0].endpoints[0].keys[0].secret",
    "models[0].routes[0].endpoint",
    "clients[0].key",
    "recorder.max_range_events",
    "analytics.token",
];

/// What each binary is given: the file as an option, but for `weir check`, whose subject it is.
const COMMANDS: &[(&str, &[&str])] = &[
    ("weir-gateway", &["--config"]),
    ("weir-recorder", &["--config"]),
    ("weir-analytics", &["--config"]),
    ("weir", &["up", "--config"]),
    ("weir", &["check"]),
];

fn run(binary: &str, arguments: &[&str], file: &std::path::Path) -> Output {
    Command::new(binaries::path(binary)).args(arguments).arg(file).output().expect(binary)
}

#[test]
fn every_mistake_is_told_at_once_with_its_path() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("weir.toml");
    std::fs::write(&file, WRONG).unwrap();
    for (binary, arguments) in COMMANDS {
        let output = run(binary, arguments, &file);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(64), "{binary} {arguments:?}: {errors}");
        for path in PATHS {
            let told = errors.lines().any(|line| line.contains(&format!("{path}:")));
            assert!(told, "{binary} {arguments:?} does not tell {path}:\n{errors}");
        }
        assert!(!errors.contains("sk-literal-secret"), "{binary} shows a secret");
        assert!(!errors.contains("panicked"), "{binary}: {errors}");
    }
}

#[test]
fn a_file_that_is_missing_or_no_toml_is_a_wrong_configuration() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("missing.toml");
    let broken = folder.path().join("broken.toml");
    std::fs::write(&broken, "[nats\nurl = ").unwrap();
    for (binary, arguments) in COMMANDS {
        for (file, told) in [(&missing, "missing.toml"), (&broken, "TOML")] {
            let output = run(binary, arguments, file);
            let errors = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), Some(64), "{binary} {arguments:?}: {errors}");
            assert!(errors.contains(told), "{binary} {arguments:?}: {errors}");
        }
    }
}

#[tokio::test]
async fn a_service_that_cannot_start_says_so_in_one_line_and_exits_1() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let nobody = ReservedPort::new();
    let folder = tempfile::tempdir().unwrap();
    let settings = Settings {
        nats_url: format!("nats://{}", nobody.address()),
        clickhouse_url: format!("http://{}", nobody.address()),
        database: "weir".to_owned(),
        ledger_dir: folder.path().join("ledger"),
        listen: address,
        ops_listen: address,
        recorder_ops_listen: address,
        nats: String::new(),
        gateway: String::new(),
        recorder: String::new(),
        analytics: String::new(),
        catalogue: catalogue("http://127.0.0.1:9"),
    };
    let text = settings.text().replace("\"127.0.0.1:0\"", &format!("\"{address}\""));
    let file = folder.path().join("weir.toml");
    std::fs::write(&file, text).unwrap();
    for binary in ["weir-gateway", "weir-recorder", "weir-analytics"] {
        let mut command = Command::new(binaries::path(binary));
        command.arg("--config").arg(&file).env("RUST_LOG", "off");
        let mut process = Process::spawn(&mut command, folder.path(), folder.path().join(format!("{binary}.log")));
        let status = process.wait(Duration::from_secs(20)).await;
        let output = process.output();
        assert_eq!(status.code(), Some(1), "{binary}: {output}");
        assert_eq!(output.lines().count(), 1, "{binary}: {output}");
        assert!(output.contains(&address.to_string()), "{binary} does not tell which address is taken: {output}");
    }
}
