//! The README's first command, as a newcomer runs it: the whole pipeline, and books that agree.

use std::process::Command;

#[test]
fn every_request_of_the_demo_is_accounted_for_to_the_token() {
    // Everything that the demo makes lies in here, and has to be gone in the end.
    let temporary = tempfile::tempdir().unwrap();
    let demo = Command::new(env!("CARGO_BIN_EXE_weir"))
        .args(["demo", "--exit"])
        .env("TMPDIR", temporary.path())
        .env_remove("WEIR_CLICKHOUSE__URL")
        .output()
        .unwrap();
    let (told, progress) = (String::from_utf8(demo.stdout).unwrap(), String::from_utf8(demo.stderr).unwrap());
    assert_eq!(demo.status.code(), Some(0), "{told}\n{progress}");
    for line in [
        "The bill (http://",
        "What became of the requests (http://",
        "Who was asked (http://",
        "Every request is accounted for, to the token.",
    ] {
        assert!(told.contains(line), "no {line:?} in\n{told}");
    }
    for outcome in ["completed", "rejected", "failed", "interrupted", "cancelled"] {
        let line = told.lines().find(|line| line.trim_start().starts_with(outcome)).unwrap_or_default();
        let requests = line.split_whitespace().nth(1).and_then(|count| count.parse::<u64>().ok());
        assert!(requests > Some(0), "no {outcome} requests in\n{told}");
    }
    let providers = told.split("Who was asked").nth(1).unwrap();
    for (endpoint, answers) in [
        ("anthropic-api", true),
        ("openai-chat", true),
        ("openai-responses", true),
        ("google-api", true),
        ("relay-anthropic", false),
        ("relay-chat", false),
        ("relay-responses", false),
        ("relay-gemini", false),
    ] {
        let line = providers.lines().find(|line| line.split_whitespace().nth(1) == Some(endpoint)).unwrap_or_default();
        let counts: Vec<u64> = line.split_whitespace().skip(2).filter_map(|count| count.parse().ok()).collect();
        let [tries, answered, ..] = counts[..] else { panic!("no tries at {endpoint} in\n{told}") };
        assert!(tries > 0 && (answered > 0) == answers, "{line}");
    }
    assert!(!told.contains("DIFFERENT"), "{told}");
    assert_eq!(std::fs::read_dir(temporary.path()).unwrap().count(), 0, "the demo left something behind");
}
