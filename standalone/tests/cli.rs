//! The `weir` binary from outside: exit codes, messages, and what it serves.
#![expect(clippy::unwrap_used, reason = "a test reports by failing")]

mod running;

use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use sha2::{Digest, Sha256};
use tempfile::TempDir;

use self::running::{Running, eventually, request, simulator, terminate, weir};

fn run(arguments: &[&str]) -> Output {
    weir(arguments).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn file(folder: &TempDir, content: &str) -> PathBuf {
    let path = folder.path().join("weir.toml");
    std::fs::write(&path, content).unwrap();
    path
}

#[test]
fn help_is_an_answer_and_nonsense_a_mistake() {
    let help = run(&["--help"]);
    assert_eq!(help.status.code(), Some(0));
    for command in ["demo", "up", "check", "simulate"] {
        assert!(text(&help.stdout).contains(command), "{command}");
    }
    assert!(!text(&help.stdout).contains("supervise"));
    let nonsense = run(&["dance"]);
    assert_eq!(nonsense.status.code(), Some(64));
    assert!(text(&nonsense.stderr).contains("dance"));
}

#[test]
fn a_good_configuration_is_ok() {
    let folder = TempDir::new().unwrap();
    let path = file(&folder, "[[clients]]\nname = \"a\"\nkey = { plain = \"k\" }\n");
    let checked = run(&["check", path.to_str().unwrap()]);
    assert_eq!(checked.status.code(), Some(0));
    assert_eq!(
        text(&checked.stdout).trim(),
        format!("{} is ok: 0 providers, 0 endpoints, 0 models, 1 client", path.display())
    );
}

#[test]
fn a_new_key_is_let_in_by_the_line_that_comes_with_it() {
    let made = [run(&["keys", "new"]), run(&["keys", "new"])].map(|made| text(&made.stdout));
    let key = |made: &str| made.lines().find_map(|line| line.trim().strip_prefix("weir-")).unwrap().to_owned();
    assert!(key(&made[0]) != key(&made[1]) && key(&made[0]).len() == 43, "{made:?}");
    let line = made[0].lines().map(str::trim).find(|line| line.starts_with("key = { sha256")).unwrap();
    let digest: String = Sha256::digest(format!("weir-{}", key(&made[0]))).iter().map(|b| format!("{b:02x}")).collect();
    assert_eq!(line, format!("key = {{ sha256 = \"{digest}\" }}"));
    let folder = TempDir::new().unwrap();
    let path = file(&folder, &format!("[[clients]]\nname = \"a\"\n{line}\n"));
    assert_eq!(run(&["check", path.to_str().unwrap()]).status.code(), Some(0));
}

#[test]
fn every_mistake_is_told_with_its_path_and_the_exit_code_is_64() {
    let folder = TempDir::new().unwrap();
    let wrong = "colour = 1\n[nats]\npartitions = 0\n[[clients]]\nname = \"a\"\nkey = \"literal\"\n";
    let path = file(&folder, wrong);
    for arguments in [vec!["check", path.to_str().unwrap()], vec!["up", "--config", path.to_str().unwrap()]] {
        let told = run(&arguments);
        assert_eq!(told.status.code(), Some(64), "{arguments:?}");
        let told = text(&told.stderr);
        for key in ["colour: ", "nats.partitions: ", "clients[0].key: "] {
            assert!(told.lines().any(|line| line.starts_with(key)), "{arguments:?}: no line for {key} in\n{told}");
        }
    }
    let missing = run(&["check", "/nowhere/weir.toml"]);
    assert_eq!(missing.status.code(), Some(64));
    assert!(text(&missing.stderr).contains("/nowhere/weir.toml"));
}

#[test]
fn a_secret_that_cannot_be_had_is_a_mistake() {
    let folder = TempDir::new().unwrap();
    let path = file(&folder, "[[clients]]\nname = \"a\"\nkey = { env = \"WEIR_TEST_NO_SUCH_VARIABLE\" }\n");
    let checked = run(&["check", path.to_str().unwrap()]);
    assert_eq!(checked.status.code(), Some(64));
    assert_eq!(
        text(&checked.stderr).trim(),
        "clients[0].key: the environment variable WEIR_TEST_NO_SUCH_VARIABLE is not set"
    );
}

#[test]
fn a_taken_port_is_told_before_anything_is_started() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let folder = TempDir::new().unwrap();
    let path = file(&folder, &format!("[gateway]\nlisten = \"{}\"\n", taken.local_addr().unwrap()));
    let data = folder.path().join("data");
    let up = run(&["up", "--config", path.to_str().unwrap(), "--data", data.to_str().unwrap()]);
    assert_eq!(up.status.code(), Some(1));
    assert!(text(&up.stderr).starts_with("cannot listen on 127.0.0.1:"), "{}", text(&up.stderr));
    assert!(!data.exists());
}

#[test]
fn the_simulated_provider_serves_and_ends_when_told() {
    let (mut running, address) = simulator("0ms");
    let body =
        r#"{"model":"claude-sonnet-4-5","max_tokens":50,"stream":true,"messages":[{"role":"user","content":"Hi"}]}"#;
    let stream = request(&address, "POST /v1/messages", body);
    assert!(stream.starts_with("HTTP/1.1 200") && stream.contains("event: message_stop"), "{stream}");
    let tally = request(&address, "GET /tally", "");
    assert!(tally.contains(r#""requests":1"#) && tally.contains(r#""completed":1"#), "{tally}");
    terminate(running.0.id());
    eventually("the simulated provider ends", || running.0.try_wait().unwrap().is_some());
    assert_eq!(running.0.wait().unwrap().code(), Some(0));
}

#[test]
fn a_supervised_program_ends_with_whoever_started_it_and_leaves_nothing() {
    let folder = TempDir::new().unwrap();
    let (data, log) = (folder.path().join("data"), folder.path().join("log"));
    std::fs::create_dir(&data).unwrap();
    let mut command = weir(&["supervise", "--log", log.to_str().unwrap(), "--remove", data.to_str().unwrap(), "--"]);
    command.args(["sh", "-c", "echo $$; exec sleep 600"]).stdin(Stdio::piped());
    let mut running = Running(command.spawn().unwrap());
    let id = || std::fs::read_to_string(&log).ok().and_then(|log| log.trim().parse::<u32>().ok());
    eventually("the program has started", || id().is_some());
    let id = id().unwrap();
    assert!(is_alive(id));
    drop(running.0.stdin.take());
    eventually("the supervisor ends", || running.0.try_wait().unwrap().is_some());
    assert_eq!(running.0.wait().unwrap().code(), Some(0));
    assert!(!is_alive(id) && !data.exists());
}

#[test]
fn a_program_that_cannot_start_is_told_and_not_tried_for_ever() {
    let folder = TempDir::new().unwrap();
    let log = folder.path().join("log");
    let mut command =
        weir(&["supervise", "--log", log.to_str().unwrap(), "--", "sh", "-c", "echo because >&2; exit 3"]);
    // Our end of the pipe stays open until the supervisor has ended by itself.
    let mut running = Running(command.stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap());
    let _input = running.0.stdin.take();
    eventually("the supervisor ends", || running.0.try_wait().unwrap().is_some());
    assert_eq!(running.0.wait().unwrap().code(), Some(1));
    let mut told = String::new();
    running.0.stderr.take().unwrap().read_to_string(&mut told).unwrap();
    assert!(told.contains("sh ended before it was ready (exit status: 3)"), "{told}");
    assert_eq!(std::fs::read_to_string(&log).unwrap(), "because\n");
}

#[test]
fn a_program_that_was_ready_and_dies_is_started_again() {
    let folder = TempDir::new().unwrap();
    let log = folder.path().join("log");
    let mut command = weir(&["supervise", "--log", log.to_str().unwrap(), "--", "sh", "-c", "echo $$; exec sleep 600"]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut running = Running(command.spawn().unwrap());
    let ids = || -> Vec<u32> {
        let log = std::fs::read_to_string(&log).unwrap_or_default();
        log.lines().filter_map(|line| line.parse().ok()).collect()
    };
    eventually("the program has started", || ids().len() == 1);
    running.0.stdin.as_mut().unwrap().write_all(b"ready\n").unwrap();
    // The word and the death go different ways; the word has to be there first.
    let mut heard = String::new();
    BufReader::new(running.0.stdout.take().unwrap()).read_line(&mut heard).unwrap();
    assert_eq!(heard, "heard\n");
    assert!(Command::new("kill").args(["-9", &ids()[0].to_string()]).status().unwrap().success());
    eventually("it has been started again", || ids().len() == 2);
    drop(running.0.stdin.take());
    eventually("the supervisor ends", || running.0.try_wait().unwrap().is_some());
    assert!(ids().into_iter().all(|id| !is_alive(id)));
}

/// Whether a process runs; one that has ended and was not waited for does not.
fn is_alive(id: u32) -> bool {
    let stat = std::fs::read_to_string(Path::new("/proc").join(id.to_string()).join("stat")).unwrap_or_default();
    stat.rsplit(')').next().is_some_and(|rest| !rest.trim().is_empty() && !rest.trim().starts_with('Z'))
}

#[test]
fn prices_are_shown_and_another_list_is_taken_over_only_when_asked() {
    let shown = run(&["prices", "show", "claude-opus-4-5", "--at", "2026-01-01"]);
    assert_eq!(shown.status.code(), Some(0));
    assert!(text(&shown.stdout).contains("input $5, output $25, cache read $0.5"), "{}", text(&shown.stdout));
    assert_eq!(run(&["prices", "show", "claude-opus-4-5", "--at", "2020-01-01"]).status.code(), Some(1));
    let peak = run(&["prices", "show", "deepseek-flash", "--at", "2026-11-27T02:00:00Z"]);
    let told = text(&peak.stdout);
    assert!(
        told.contains("input $0.3, output $1.2") && told.contains("at 01:00-04:00, 06:00-10:00 UTC on mon"),
        "{told}"
    );
    assert!(told.contains("and at other hours:") && told.contains("input $0.15, output $0.6"), "{told}");
    assert_eq!(run(&["prices", "show", "of-nobody"]).status.code(), Some(1));
    let any = run(&["prices", "show", "of/anybody", "--provider", "openrouter"]);
    assert!(text(&any.stdout).contains("what the provider reports"), "{}", text(&any.stdout));

    let folder = TempDir::new().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let list = r#"{"groq/new-x": {"litellm_provider": "groq", "input_cost_per_token": 1e-06, "output_cost_per_token": 2e-06}}"#;
    std::fs::write(path("list.json"), list).unwrap();
    let import = ["prices", "import", &path("list.json"), "--from", "2026-11-01"];
    let halved = run(&import);
    assert_eq!(halved.status.code(), Some(1), "the book knows other models at groq, and the list does not");
    assert!(text(&halved.stderr).contains("--allow-shrink"), "{}", text(&halved.stderr));
    let looked = run(&[&import[..], &["--allow-shrink"]].concat());
    assert_eq!(looked.status.code(), Some(0));
    assert!(text(&looked.stdout).contains("groq/new-x@2026-11-01"), "{}", text(&looked.stdout));
    assert!(!Path::new(&path("prices.toml")).exists());

    let applied = run(&[&import[..], &["--allow-shrink", "--apply", &path("prices.toml")]].concat());
    assert_eq!(applied.status.code(), Some(0), "{}", text(&applied.stderr));
    let config = file(&folder, &format!("[prices]\nfile = \"{}\"\n", path("prices.toml")));
    let config = config.to_str().unwrap();
    assert_eq!(run(&["prices", "show", "new-x", "--config", config]).status.code(), Some(0));
    assert_eq!(run(&["check", config]).status.code(), Some(0));
    let again = run(&[&import[..], &["--allow-shrink", "--config", config]].concat());
    assert!(text(&again.stdout).contains("0 new, 0 changed, 1 as before"), "{}", text(&again.stdout));

    std::fs::write(path("prices.toml"), "[[prices]]\nid = \"x\"\n").unwrap();
    let wrong = run(&["check", config]);
    assert_eq!(wrong.status.code(), Some(64));
    assert!(text(&wrong.stderr).contains("prices.file"), "{}", text(&wrong.stderr));
}
