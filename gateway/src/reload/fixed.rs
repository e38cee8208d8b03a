//! What a running gateway cannot change: it takes effect at the next start.

use schemas::config::Config;

/// The keys that differ from those that the gateway was started with. Those of other services are none of its business.
pub(super) fn waiting(started: &Config, wanted: &Config) -> Vec<&'static str> {
    let (gateway, nats) = (&started.gateway, &started.nats);
    let (new_gateway, new_nats) = (&wanted.gateway, &wanted.nats);
    let all = [
        ("nats.url", nats.url == new_nats.url),
        ("nats.partitions", nats.partitions == new_nats.partitions),
        ("nats.replicas", nats.replicas == new_nats.replicas),
        ("nats.max_bytes", nats.max_bytes == new_nats.max_bytes),
        ("nats.max_age", nats.max_age == new_nats.max_age),
        ("gateway.name", gateway.name == new_gateway.name),
        ("gateway.listen", gateway.listen == new_gateway.listen),
        ("gateway.ops_listen", gateway.ops_listen == new_gateway.ops_listen),
        ("gateway.ledger_dir", gateway.ledger_dir == new_gateway.ledger_dir),
        ("gateway.ledger_max_bytes", gateway.ledger_max_bytes == new_gateway.ledger_max_bytes),
        ("gateway.on_ledger_full", gateway.on_ledger_full == new_gateway.on_ledger_full),
        ("gateway.ledger_fsync", gateway.ledger_fsync == new_gateway.ledger_fsync),
        ("gateway.shutdown_timeout", gateway.shutdown_timeout == new_gateway.shutdown_timeout),
    ];
    all.into_iter().filter_map(|(key, is_same)| (!is_same).then_some(key)).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn names_what_waits_for_a_restart_and_nothing_else() {
        let parse = |text: &str| Config::parse(text, &BTreeMap::new()).unwrap();
        let started = parse("[nats]\npartitions = 2\n[gateway]\nlisten = \"127.0.0.1:1\"");
        assert!(waiting(&started, &started).is_empty());
        let wanted = parse(
            "[nats]\npartitions = 3\n[gateway]\nlisten = \"127.0.0.1:1\"\nledger_fsync = \"always\"\ncapture = \"all\"\n\
             [recorder]\nmax_range_events = 1\n[gateway.timeouts]\nidle = \"1s\"",
        );
        assert_eq!(waiting(&started, &wanted), ["nats.partitions", "gateway.ledger_fsync"]);
    }
}
