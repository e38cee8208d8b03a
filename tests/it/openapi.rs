//! The API's document is valid, and nothing that is sent to the API contradicts it.

use std::process::{Command, Output};

use tests::caller::{self, Caller};
use tests::stack::{Plan, Stack};
use tests::{load, python};

const TOKEN: &str = "read-only";
/// An answer without an end.
const LIVE: &str = "/v1/live";

async fn run(mut command: Command) -> Output {
    tokio::task::spawn_blocking(move || command.output().expect("python")).await.unwrap()
}

/// All checks of schemathesis run, and one more of ours. What they allow beyond their defaults, and why, is in
/// `schemathesis.toml`.
#[tokio::test(flavor = "multi_thread")]
async fn a_validator_accepts_it_and_schemathesis_finds_nothing() {
    let plan = Plan { analytics: format!("token = {{ plain = \"{TOKEN}\" }}"), ..Plan::default() };
    let stack = Stack::planned(plan, load::answer).await;
    for number in 0..4 {
        load::send_one(&stack.caller(), number).await;
    }
    stack.all_rows(4).await;
    let url = format!("{}/openapi.json", stack.analytics.url);
    let document =
        caller::read(Caller::new(&stack.analytics.url, TOKEN).request(http::Method::GET, "/openapi.json")).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("openapi.json");
    std::fs::write(&file, document.text()).unwrap();
    let python = python::environment("openapi-requirements.txt").await;

    let mut validator = Command::new(&python);
    validator.args(["-m", "openapi_spec_validator"]).arg(&file);
    let output = run(validator).await;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));

    // A few seconds, with the same questions at each run; the whole of it takes minutes.
    let (examples, phases) =
        if crate::full_sizes() { ("60", "examples,coverage,fuzzing") } else { ("6", "examples,fuzzing") };
    let mut schemathesis = Command::new(python.with_file_name("schemathesis"));
    schemathesis.current_dir(folder.path()).arg("--config-file");
    schemathesis.env("SCHEMATHESIS_HOOKS", python::folder().join("openapi_checks.py"));
    schemathesis.arg(python::folder().join("schemathesis.toml")).args(["run", &url, "--checks", "all"]);
    schemathesis.args(["--phases", phases, "--max-examples", examples, "--seed", "20261127", "--no-color"]);
    schemathesis
        .args(["--exclude-path", LIVE, "--continue-on-failure", "--header"])
        .arg(format!("Authorization: Bearer {TOKEN}"));
    let output = run(schemathesis).await;
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{told}\n{}", String::from_utf8_lossy(&output.stderr));
    let document = document.json();
    // The document's own path is read and not tested.
    let paths =
        document["paths"].as_object().unwrap().keys().filter(|path| ![LIVE, "/openapi.json"].contains(&path.as_str()));
    let paths = paths.count();
    assert!(told.contains(&format!("Tested: {paths}")), "{paths} paths are to be tested: {told}");
}
