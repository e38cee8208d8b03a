use std::collections::BTreeMap;
use std::time::Duration;

use super::*;

fn parse(text: &str) -> Result<Config, Mistakes> {
    Config::parse(text, &BTreeMap::new())
}

fn paths(text: &str) -> Vec<String> {
    parse(text).unwrap_err().0.into_iter().map(|mistake| mistake.path).collect()
}

#[test]
fn an_empty_file_is_all_defaults() {
    let config = parse("").unwrap();
    assert_eq!(config.nats.partitions, 1);
    assert_eq!(config.gateway.listen.port(), 8080);
    assert_eq!(config.gateway.timeouts.first_byte.0, Duration::from_secs(30));
    assert_eq!(config.gateway.timeouts.plain_first_byte.0, Duration::from_secs(300), "half of the whole");
    assert_eq!(config.recorder.max_range_events, 200_000);
}

#[test]
fn every_mistake_is_told_at_once_with_its_path() {
    let text = r#"
        colour = "red"
        [nats]
        partitions = 65
        urls = "x"
        [gateway]
        listen = "nowhere"
        drain = { time = "1 minute" }
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
            secret = "sk-literal"
        [[models]]
        name = "m"
          [[models.routes]]
          endpoint = "elsewhere"
        [[clients]]
        name = "c"
        key = { sha256 = "abc" }
        [analytics]
        listen = "0.0.0.0:80"
    "#;
    let mut expected = [
        "colour",
        "nats.partitions",
        "nats.urls",
        "gateway.listen",
        "gateway.drain",
        "gateway.timeouts.idle",
        "providers[0].endpoints[0].format",
        "providers[0].endpoints[0].base_url",
        "providers[0].endpoints[0].keys[0].secret",
        "models[0].routes[0].endpoint",
        "clients[0].key",
        "analytics.token",
    ]
    .map(str::to_owned);
    expected.sort();
    let mut found = paths(text);
    found.sort();
    assert_eq!(found, expected);
}

#[test]
fn names_must_be_unique() {
    let text = r#"
        [[clients]]
        name = "c"
        key = { plain = "1" }
        [[clients]]
        name = "c"
        key = [{ plain = "2" }, { plain = "3" }]
    "#;
    assert_eq!(paths(text), ["clients[1].name"]);
}

#[test]
fn the_environment_overrides_any_key() {
    let environment = BTreeMap::from(
        [
            ("WEIR_NATS__URL", "nats://other:4222"),
            ("WEIR_NATS__PARTITIONS", "4"),
            ("WEIR_CLIENTS__0__KEY", "{ env = \"K\" }"),
            ("WEIR_ANALYTICS_TOKEN", "not an override"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned())),
    );
    let text = "[[clients]]\nname = \"c\"\nkey = { plain = \"1\" }";
    let config = Config::parse(text, &environment).unwrap();
    assert_eq!((config.nats.url.as_str(), config.nats.partitions), ("nats://other:4222", 4));
    assert_eq!(config.clients[0].keys, [ClientKey::Secret(SecretRef::Env("K".into()))]);

    let wrong = BTreeMap::from([("WEIR_CLIENTS__7__NAME".to_owned(), "x".to_owned())]);
    assert_eq!(Config::parse(text, &wrong).unwrap_err().0[0].path, "WEIR_CLIENTS__7__NAME");
}

#[test]
fn secrets_are_not_shown() {
    let text =
        "[[clients]]\nname = \"c\"\nkey = { plain = \"hunter2\" }\n[clickhouse]\npassword = { plain = \"hunter2\" }";
    let config = parse(text).unwrap();
    assert!(!format!("{config:?}").contains("hunter2"));
    let broken = format!("{text}\nuser = 1");
    assert!(!parse(&broken).unwrap_err().to_string().contains("hunter2"));
    let literal =
        "[clickhouse]\npassword = \"hunter2\"\n[analytics]\ntoken = { plain = \"hunter2\", env = \"hunter2\" }";
    let told = parse(literal).unwrap_err().to_string();
    assert!(told.contains("clickhouse.password: must be { env") && !told.contains("hunter2"), "{told}");
}
