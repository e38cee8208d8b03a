//! What is shipped to be copied works: the example configuration, and the files that compose mounts.

use std::collections::BTreeMap;

use schemas::config::Config;

use crate::finding::{Finding, assert_none};
use crate::source::{files_ending, paths, read, root};

const EXAMPLE: &str = "weir.toml";

/// Sections that hold nothing but keys with defaults.
const DEFAULTED: &[&str] =
    &["nats", "clickhouse", "gateway", "gateway.timeouts", "gateway.smoothing", "recorder", "analytics"];

/// Sections that are lists, with what a list item needs to be read at all.
const LISTED: &[&str] =
    &["providers", "providers.endpoints", "providers.endpoints.keys", "models", "models.routes", "clients"];

fn parse(text: &str) -> Config {
    Config::parse(text, &BTreeMap::new()).unwrap_or_else(|mistakes| panic!("{EXAMPLE}:\n{mistakes}"))
}

#[test]
fn the_example_configuration_loads() {
    let config = Config::load(&root().join(EXAMPLE)).unwrap_or_else(|mistakes| panic!("{EXAMPLE}:\n{mistakes}"));
    assert!(!config.providers.is_empty() && !config.models.is_empty() && !config.clients.is_empty());
}

#[test]
fn the_example_shows_the_defaults() {
    let (example, default) = (parse(&read(EXAMPLE).text), parse(""));
    let shown = |config: &Config| {
        [
            format!("{:#?}", config.nats),
            format!("{:#?}", config.clickhouse),
            format!("{:#?}", config.gateway),
            format!("{:#?}", config.recorder),
            format!("{:#?}", config.analytics),
        ]
    };
    for (example, default) in shown(&example).iter().zip(shown(&default)) {
        assert_eq!(*example, default, "{EXAMPLE} must show the defaults: correct it where it differs");
    }
}

#[test]
fn the_example_shows_every_key() {
    let example = read(EXAMPLE).text;
    let mut findings = Vec::new();
    for section in DEFAULTED.iter().chain(LISTED) {
        let known = known_keys(section);
        assert!(!known.is_empty(), "no keys are known in [{section}]");
        for key in known {
            if !shows(&example, section, &key) {
                findings.push(Finding::new(EXAMPLE, 0, format!("does not show {key} in [{section}]")));
            }
        }
    }
    assert_none("the example shows every key there is", "add the key, with one line of meaning", &findings);
}

/// The keys of a section, from what the reader says about a key that it does not know.
fn known_keys(section: &str) -> Vec<String> {
    let opened: String = if LISTED.contains(&section) {
        let parts: Vec<&str> = section.split('.').collect();
        (1..=parts.len()).map(|depth| format!("[[{}]]\n", parts[..depth].join("."))).collect()
    } else {
        format!("[{section}]\n")
    };
    let mistakes =
        Config::parse(&format!("{opened}unheard-of = 1\n"), &BTreeMap::new()).expect_err("the key is unknown");
    let mistake = mistakes.0.iter().find(|mistake| mistake.path.ends_with("unheard-of")).expect("it is told");
    let list = mistake.message.split_once("(known: ").expect("the known keys are told").1;
    list.trim_end_matches(')').split(", ").map(str::to_owned).collect()
}

/// Whether a key stands in a section of the example, set, or as a comment where it has no default; or opens a section.
fn shows(example: &str, section: &str, key: &str) -> bool {
    let mut within = "";
    example.lines().any(|line| {
        let line = line.trim();
        let header = line.strip_prefix('[').map(|rest| rest.trim_start_matches('['));
        if let Some(name) = header.and_then(|rest| rest.split(']').next()) {
            within = name;
            return name == format!("{section}.{key}");
        }
        let set = line.trim_start_matches(['#', ' ']);
        within == section && set.strip_prefix(key).is_some_and(|rest| rest.trim_start().starts_with('='))
    })
}

#[test]
fn a_missing_key_is_noticed() {
    let text = "[a]\nb = 1\n# c = 2\n[a.d]\ne = 1\n[[f]]\nc = 1\n";
    for (section, key, shown) in
        [("a", "b", true), ("a", "c", true), ("a", "d", true), ("a", "e", false), ("f", "c", true), ("f", "b", false)]
    {
        assert_eq!(shows(text, section, key), shown, "{section}.{key}");
    }
}

/// `WEIR_...: value` in compose.yaml, without quotes.
fn overrides(compose: &str) -> BTreeMap<String, String> {
    let pairs = compose.lines().filter_map(|line| line.trim().split_once(": "));
    pairs
        .filter(|(name, _)| name.starts_with("WEIR_"))
        .map(|(name, value)| (name.to_owned(), value.trim_matches(['\'', '"']).to_owned()))
        .collect()
}

#[test]
fn the_overrides_in_compose_lead_to_keys() {
    let environment = overrides(&read("compose.yaml").text);
    assert!(environment.contains_key("WEIR_NATS__URL"), "compose.yaml overrides the address of NATS");
    let config = Config::parse(&read(EXAMPLE).text, &environment)
        .unwrap_or_else(|mistakes| panic!("compose.yaml overrides {EXAMPLE} into this:\n{mistakes}"));
    for (address, what) in [(config.nats.url, "NATS"), (config.clickhouse.url, "ClickHouse")] {
        assert!(!address.contains("127.0.0.1"), "in a container {what} is not at {address}");
    }
    for address in [config.gateway.ops_listen, config.recorder.ops_listen, config.analytics.listen] {
        assert!(address.ip().is_unspecified(), "no other container reaches {address}");
    }
}

#[test]
fn compose_mounts_what_exists() {
    let compose = read("compose.yaml").text;
    let mounted: Vec<&str> = compose
        .lines()
        .filter_map(|line| line.trim().strip_prefix("- ./"))
        .filter_map(|mount| mount.split(':').next())
        .collect();
    assert!(mounted.contains(&EXAMPLE), "compose.yaml mounts {EXAMPLE}");
    let all = paths();
    for path in mounted {
        let there = all.iter().any(|file| file == path || file.starts_with(&format!("{path}/")));
        assert!(there, "compose.yaml mounts {path}, which does not exist");
    }
}

#[test]
fn the_image_is_built_with_the_pinned_compiler() {
    let toolchain: toml::Table = read("rust-toolchain.toml").text.parse().expect("rust-toolchain.toml is TOML");
    let channel = toolchain["toolchain"]["channel"].as_str().expect("a channel is pinned");
    let dockerfiles = files_ending("Dockerfile");
    assert!(!dockerfiles.is_empty(), "there is a Dockerfile");
    for file in dockerfiles {
        assert!(file.text.contains(&format!("RUST_VERSION={channel}")), "{} must build with {channel}", file.path);
    }
}

/// The paths of this repository that a text names in backticks or links to.
fn named_paths(text: &str) -> Vec<&str> {
    let quoted = text.split('`').skip(1).step_by(2);
    let linked = text.match_indices("](").filter_map(|(at, opening)| text[at + opening.len()..].split(')').next());
    let ours = |path: &&str| {
        let folder = path.split('/').next().unwrap_or_default();
        let known = ["schemas", "gateway", "recorder", "analytics", "standalone", "tests", "deploy", "bench", ".ci"];
        path.contains('/') && known.contains(&folder)
    };
    quoted.filter(ours).chain(linked.filter(|target| !target.contains("://") && !target.starts_with('#'))).collect()
}

#[test]
fn the_readme_names_what_exists() {
    let text = read("README.md").text;
    let findings: Vec<Finding> = named_paths(&text)
        .into_iter()
        .filter(|path| !root().join(path).exists())
        .map(|path| Finding::new("README.md", 0, format!("names {path}, which does not exist")))
        .collect();
    assert_none("what the README names exists", "correct the README", &findings);
    for command in ["cargo run --release -- demo", "cargo test --workspace"] {
        assert!(text.contains(command), "the README tells the command `{command}`");
    }
}

#[test]
fn named_paths_are_found() {
    let text =
        "`gateway/src/a.rs`, `a/b`, `cargo test` and [x](weir.toml) but not [y](https://example.com/z) or `tests`";
    assert_eq!(named_paths(text), ["gateway/src/a.rs", "weir.toml"]);
}
