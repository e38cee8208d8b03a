//! How the servers of a run are set up.

use std::fmt::Write as _;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use schemas::outcome::Format;

use crate::answer;
use crate::error::Error;
use crate::programs::{Programs, on_path};
use crate::target::reserve_port;
use crate::upstream::FLAKY;

/// The key that the gateway knows the load by.
pub const CLIENT_KEY: &str = "bench-client-key";
/// A model whose first provider refuses every second request.
pub const FAILOVER_MODEL: &str = "bench-failover";
/// haproxy takes two files for each and does not start where it may not have them; 20,000 is a common limit.
const HAPROXY_CONNECTIONS: u32 = 9_900;

fn found(name: &str, package: &str) -> Result<Command, Error> {
    let path = on_path(name).ok_or_else(|| Error::Setup(format!("there is no {name} (Debian: {package})")))?;
    Ok(Command::new(path))
}

fn written(folder: &Path, name: &str, text: &str) -> Result<std::path::PathBuf, Error> {
    let file = folder.join(name);
    fs::write(&file, text).map_err(Error::io(format!("writing {name}")))?;
    Ok(file)
}

/// nginx as one process: buffering off, connections kept, nothing logged, prompts held in memory.
pub fn nginx(folder: &Path, listen: SocketAddr, upstream: SocketAddr) -> Result<Command, Error> {
    let paths: String =
        ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].iter().fold(String::new(), |mut text, kind| {
            let _infallible = writeln!(text, "  {kind}_temp_path {}/{kind};", folder.display());
            text
        });
    let text = format!(
        "daemon off; master_process off; worker_processes 1; worker_rlimit_nofile 100000;\n\
         pid {}/pid; error_log stderr error;\n\
         events {{ worker_connections 50000; }}\n\
         http {{\n  access_log off;\n{paths}  client_body_buffer_size 1m; client_max_body_size 32m;\n  \
         keepalive_requests 100000000; keepalive_timeout 600s;\n  \
         upstream up {{ server {upstream}; keepalive 512; keepalive_requests 100000000; }}\n  \
         server {{ listen {listen} backlog=4096;\n    \
         location / {{ proxy_pass http://up; proxy_http_version 1.1; proxy_set_header Connection \"\";\n      \
         proxy_buffering off; proxy_read_timeout 600s; }} }} }}\n",
        folder.display()
    );
    let mut command = found("nginx", "nginx-light")?;
    command.arg("-e").arg("stderr").arg("-p").arg(folder).arg("-c").arg(written(folder, "nginx.conf", &text)?);
    Ok(command)
}

/// haproxy with one thread, connections kept, nothing logged.
pub fn haproxy(folder: &Path, listen: SocketAddr, upstream: SocketAddr) -> Result<Command, Error> {
    let text = format!(
        "global\n  maxconn {HAPROXY_CONNECTIONS}\n  nbthread 1\ndefaults\n  mode http\n  timeout connect 10s\n  timeout client 600s\n  \
         timeout server 600s\n  option http-keep-alive\n  http-reuse always\nfrontend f\n  bind {listen}\n  \
         default_backend b\nbackend b\n  server s {upstream} maxconn {HAPROXY_CONNECTIONS}\n"
    );
    let mut command = found("haproxy", "haproxy")?;
    command.arg("-db").arg("-f").arg(written(folder, "haproxy.cfg", &text)?);
    Ok(command)
}

/// The gateway.
pub fn gateway(
    programs: &Programs,
    folder: &Path,
    listen: SocketAddr,
    (upstream, nats): (SocketAddr, SocketAddr),
) -> Result<Command, Error> {
    let text = configuration(listen, upstream, nats, &folder.join("ledger"));
    let mut command = Command::new(&programs.gateway);
    command.arg("--config").arg(written(folder, "weir.toml", &text)?);
    Ok(command)
}

/// NATS, recorder, ClickHouse's engine and analytics, with a gateway that nobody asks anything.
pub fn stack(weir: &Path, folder: &Path, nats: SocketAddr, upstream: SocketAddr) -> Result<Command, Error> {
    let ports = [reserve_port()?, reserve_port()?, reserve_port()?, reserve_port()?];
    let [listen, clickhouse, recorder, analytics] = ports.each_ref().map(|(_, address)| *address);
    let mut text = configuration(listen, upstream, nats, &folder.join("ledger"));
    let _infallible = write!(
        text,
        "\n[clickhouse]\nurl = \"http://{clickhouse}\"\n[recorder]\nops_listen = \"{recorder}\"\n\
         [analytics]\nlisten = \"{analytics}\"\n"
    );
    let mut command = Command::new(weir);
    command.arg("up").arg("--config").arg(written(folder, "weir.toml", &text)?);
    command.arg("--data").arg(folder.join("data"));
    Ok(command)
}

/// A configuration as an operator would write it: an endpoint and a model for each format, one client.
fn configuration(listen: SocketAddr, upstream: SocketAddr, nats: SocketAddr, ledger: &Path) -> String {
    let ledger = serde_json::Value::from(ledger.display().to_string());
    let mut text = format!(
        "[nats]\nurl = \"nats://{nats}\"\n\n[gateway]\nname = \"bench\"\nlisten = \"{listen}\"\n\
         ops_listen = \"127.0.0.1:0\"\nledger_dir = {ledger}\nledger_max_bytes = \"16GiB\"\n\n\
         [[clients]]\nname = \"bench\"\nkey = {{ plain = \"{CLIENT_KEY}\" }}\ntags = {{ project = \"bench\" }}\n"
    );
    let endpoints = Format::ALL.iter().map(|format| (format.as_str().to_owned(), *format, ""));
    for (name, format, path) in endpoints.chain([("flaky".to_owned(), Format::OpenaiChat, FLAKY)]) {
        text += &format!(
            "\n[[providers]]\nname = \"{name}\"\n  [[providers.endpoints]]\n  name = \"{name}-api\"\n  \
             format = \"{format}\"\n  base_url = \"http://{upstream}{path}\"\n    [[providers.endpoints.keys]]\n    \
             name = \"main\"\n    secret = {{ plain = \"bench-provider-key\" }}\n"
        );
    }
    for format in Format::ALL.iter().copied() {
        let model = answer::model(format);
        text += &format!("\n[[models]]\nname = \"{model}\"\n  [[models.routes]]\n  endpoint = \"{format}-api\"\n");
    }
    text += &format!(
        "\n[[models]]\nname = \"{FAILOVER_MODEL}\"\n  [[models.routes]]\n  endpoint = \"flaky-api\"\n  priority = 1\n  \
         [[models.routes]]\n  endpoint = \"openai_chat-api\"\n  priority = 2\n"
    );
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gateway_takes_the_configuration() {
        let address = SocketAddr::from(([127, 0, 0, 1], 1));
        let text = configuration(address, address, address, Path::new("/tmp/a \"b\""));
        let config = schemas::config::Config::parse(&text, &std::collections::BTreeMap::new()).unwrap();
        assert_eq!((config.models.len(), config.providers.len()), (5, 5));
    }
}
