//! The configuration of a run: a file as an operator would write it, with this run's addresses.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;

use schemas::config::Config;
use toml::Value;

use super::Error;
use crate::demo;
use crate::stack::{self, ReservedPort};

/// Its name in the run's folder.
pub(super) const FILE: &str = "weir.toml";
/// The second recorder's, which differs in where its metrics are.
pub(super) const SECOND_RECORDER: &str = "second-recorder.toml";
/// The second gateway's, which has a name, a ledger and ports of its own.
pub(super) const SECOND_GATEWAY: &str = "second-gateway.toml";
/// The second gateway's ledger in the run's folder.
pub(super) const SECOND_LEDGER: &str = "second-ledger";

/// The ports of a run, kept for it while its parts come and go.
#[derive(Debug)]
pub(super) struct Ports {
    /// The ops listener of the second recorder.
    pub(super) second_recorder: SocketAddr,
    /// Where the second gateway listens for clients.
    pub(super) second_gateway: SocketAddr,
    /// Its ops listener.
    pub(super) second_gateway_ops: SocketAddr,
    _reserved: Vec<ReservedPort>,
}

/// Writes the file for a provider that listens there, and reads it as the services do.
pub(super) fn write(folder: &Path, provider: SocketAddr) -> Result<(Config, Ports), Error> {
    let reserved: Vec<ReservedPort> = (0..10).map(|_| ReservedPort::new()).collect::<Result<_, stack::Error>>()?;
    let text = text(folder, provider, &reserved);
    let config = Config::parse(&text, &BTreeMap::new())?;
    let address = |at: usize| reserved.get(at).map_or(config.recorder.ops_listen, ReservedPort::address);
    let (second_recorder, second_gateway, second_gateway_ops) = (address(6), address(7), address(8));
    let recorder = text.replace(&config.recorder.ops_listen.to_string(), &second_recorder.to_string());
    let gateway = text
        .replace(&config.gateway.listen.to_string(), &second_gateway.to_string())
        .replace(&config.gateway.ops_listen.to_string(), &second_gateway_ops.to_string())
        .replace(&ledger(folder, "ledger"), &ledger(folder, SECOND_LEDGER))
        .replace("name = \"chaos\"", "name = \"chaos-2\"");
    for (name, text) in [(FILE, &text), (SECOND_RECORDER, &recorder), (SECOND_GATEWAY, &gateway)] {
        let path = folder.join(name);
        std::fs::write(&path, text).map_err(|cause| stack::Error::Folder { path, cause })?;
    }
    Ok((config, Ports { second_recorder, second_gateway, second_gateway_ops, _reserved: reserved }))
}

fn ledger(folder: &Path, name: &str) -> String {
    format!("ledger_dir = {}", Value::String(folder.join(name).display().to_string()))
}

fn text(folder: &Path, provider: SocketAddr, ports: &[ReservedPort]) -> String {
    let mut addresses = ports.iter().map(|port| port.address().to_string());
    let mut next = || addresses.next().unwrap_or_default();
    let ledger = ledger(folder, "ledger");
    let services = format!(
        r#"
[nats]
url = "nats://{}"
partitions = 2
max_bytes = "128MiB"

[clickhouse]
url = "http://{}"
timeout = "5s"

[gateway]
name = "chaos"
listen = "{}"
ops_listen = "{}"
{ledger}
ledger_max_bytes = "64MiB"
on_ledger_full = "refuse"

[recorder]
ops_listen = "{}"
max_range_age = "250ms"
lease = "2s"

[analytics]
listen = "{}"
"#,
        next(),
        next(),
        next(),
        next(),
        next(),
        next()
    );
    // Where nobody listens: reserved as well, so that nobody begins to.
    let nowhere = ports.last().map_or(provider, ReservedPort::address);
    services + &demo::configuration::catalogue(provider, nowhere)
}
