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

/// The ports of a run, kept for it while its parts come and go.
#[derive(Debug)]
pub(super) struct Ports {
    _reserved: Vec<ReservedPort>,
}

/// Writes the file for a provider that listens there, and reads it as the services do.
pub(super) fn write(folder: &Path, provider: SocketAddr) -> Result<(Config, Ports), Error> {
    let reserved: Vec<ReservedPort> = (0..7).map(|_| ReservedPort::new()).collect::<Result<_, stack::Error>>()?;
    let text = text(folder, provider, &reserved);
    let path = folder.join(FILE);
    std::fs::write(&path, &text).map_err(|cause| stack::Error::Folder { path, cause })?;
    let config = Config::parse(&text, &BTreeMap::new())?;
    Ok((config, Ports { _reserved: reserved }))
}

fn text(folder: &Path, provider: SocketAddr, ports: &[ReservedPort]) -> String {
    let mut addresses = ports.iter().map(|port| port.address().to_string());
    let mut next = || addresses.next().unwrap_or_default();
    let ledger = Value::String(folder.join("ledger").display().to_string());
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
ledger_dir = {ledger}
ledger_max_bytes = "64MiB"
on_ledger_full = "refuse"

[recorder]
ops_listen = "{}"
max_range_age = "250ms"

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
