//! Everything that a run consists of as processes of its own, in a folder of its own, on ports of its own.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use schemas::config::Config;
use tokio::sync::Mutex;
use tokio::time::sleep;

use super::disk::Disk;
use super::process::Process;
use super::schedule::Part;
use super::{Error, configuration};
use crate::stack::{self, Spec, nats, warehouse};

/// How long a part may take until it answers. A gateway on a full disk does not start before there is room again.
const READY_TIMEOUT: Duration = Duration::from_secs(60);
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// Between the end of a process that has ended by itself and its next start.
const PAUSE: Duration = Duration::from_millis(250);
const PROBE_TIMEOUT: Duration = Duration::from_secs(2);

/// By what a part is seen to answer.
#[derive(Debug)]
enum Probe {
    Http(String),
    Greeting(SocketAddr, String),
}

/// A part with what belongs to it.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) process: Mutex<Process>,
    probe: Probe,
    /// Where its data is.
    store: PathBuf,
    /// The small disk under it; the reason why there is none.
    pub(super) disk: Result<Disk, String>,
}

/// The ops listeners of the parts of which there are two.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Seconds {
    pub(super) recorder: Option<SocketAddr>,
    pub(super) gateway: Option<SocketAddr>,
}

/// All parts.
#[derive(Debug)]
pub(super) struct Deployment {
    members: BTreeMap<Part, Member>,
    analytics: Member,
    client: reqwest::Client,
}

impl Deployment {
    /// Prepares everything in a folder; `full` is whose disk is going to be full.
    pub(super) async fn prepare(
        folder: &Path,
        config: &Config,
        full: Option<Part>,
        seconds: Seconds,
    ) -> Result<Self, Error> {
        let client =
            reqwest::Client::builder().no_proxy().timeout(PROBE_TIMEOUT).build().map_err(stack::Error::Client)?;
        let nats_address = address_of(&config.nats.url)?;
        let (nats, name) = nats::server(nats_address, &folder.join("nats"), config.nats.max_bytes).await?;
        let clickhouse_address = address_of(&config.clickhouse.url)?;
        let (_, clickhouse) =
            warehouse::engine(&config.clickhouse, clickhouse_address, &folder.join("clickhouse")).await?;
        let ops = |address: SocketAddr| Probe::Http(format!("http://{address}/healthz"));
        let ping = Probe::Http(format!("{}/ping", config.clickhouse.url));
        let mut members = BTreeMap::new();
        let mut add = |part, spec, probe, store: PathBuf| {
            std::fs::create_dir_all(&store).map_err(|cause| stack::Error::Folder { path: store.clone(), cause })?;
            let disk = if full == Some(part) {
                Disk::mount(&store, disk_mebibytes(part))
            } else {
                Err("not asked for".to_owned())
            };
            members.insert(part, Member { process: Mutex::new(Process::new(spec)), probe, store, disk });
            Ok::<(), Error>(())
        };
        add(Part::Nats, nats, Probe::Greeting(nats_address, name), folder.join("nats/jetstream"))?;
        add(Part::ClickHouse, clickhouse, ping, folder.join("clickhouse/data"))?;
        add(
            Part::Recorder,
            service("recorder", "recorder", folder)?,
            ops(config.recorder.ops_listen),
            folder.join("recorder"),
        )?;
        if let Some(address) = seconds.recorder {
            let spec = service("recorder", "second recorder", folder)?;
            add(Part::SecondRecorder, spec, ops(address), folder.join("second-recorder"))?;
        }
        if let Some(address) = seconds.gateway {
            let spec = service("gateway", "second gateway", folder)?;
            add(Part::SecondGateway, spec, ops(address), folder.join(configuration::SECOND_LEDGER))?;
        }
        let gateway = service("gateway", "gateway", folder)?;
        add(Part::Gateway, gateway, ops(config.gateway.ops_listen), config.gateway.ledger_dir.clone())?;
        let analytics = Member {
            process: Mutex::new(Process::new(service("analytics", "analytics", folder)?)),
            probe: ops(config.analytics.listen),
            store: PathBuf::new(),
            disk: Err(String::new()),
        };
        Ok(Self { members, analytics, client })
    }

    /// Starts everything, one after the other.
    pub(super) async fn start(&self) -> Result<(), Error> {
        let services = [Part::Recorder, Part::SecondRecorder, Part::Gateway, Part::SecondGateway];
        for part in [Part::Nats, Part::ClickHouse].into_iter().chain(services) {
            self.start_part(part).await?;
        }
        self.run(&self.analytics).await.map(drop)
    }

    /// A part.
    pub(super) fn member(&self, part: Part) -> Option<&Member> {
        self.members.get(&part)
    }

    /// Starts a part and waits until it answers. Returns how often it ended by itself until then.
    pub(super) async fn start_part(&self, part: Part) -> Result<u64, Error> {
        match self.members.get(&part) {
            Some(member) => self.run(member).await,
            None => Ok(0),
        }
    }

    async fn run(&self, member: &Member) -> Result<u64, Error> {
        let mut process = member.process.lock().await;
        process.start()?;
        let (began, mut ends) = (Instant::now(), 0);
        while !self.answers(&member.probe).await {
            if process.ended().is_some() {
                ends += 1;
                sleep(PAUSE).await;
                process.start()?;
            }
            if began.elapsed() > READY_TIMEOUT {
                return Err(Error::Silent { name: process.name(), ends, last_words: process.last_words() });
            }
            sleep(LOOK_EVERY).await;
        }
        Ok(ends)
    }

    async fn answers(&self, probe: &Probe) -> bool {
        match probe {
            Probe::Http(url) => self.client.get(url).send().await.is_ok_and(|response| response.status().is_success()),
            Probe::Greeting(address, name) => {
                nats::introduction(*address).await.is_some_and(|greeting| greeting.contains(name))
            }
        }
    }

    /// The parts that run and should, but have ended by themselves since the last look, with how. They are started again.
    pub(super) async fn revive(&self) -> Result<Vec<(Part, String)>, Error> {
        let mut ended = Vec::new();
        for (part, member) in &self.members {
            // Whoever is being dealt with is looked after by whoever deals with it.
            let how = member.process.try_lock().ok().and_then(|mut process| process.ended());
            if let Some(how) = how {
                self.run(member).await?;
                ended.push((*part, how));
            }
        }
        Ok(ended)
    }

    /// Ends everything at once.
    pub(super) async fn end(&self) {
        for member in self.members.values().chain([&self.analytics]) {
            member.process.lock().await.kill();
        }
    }
}

impl Member {
    /// Removes everything that it has stored.
    pub(super) fn wipe(&self) -> std::io::Result<()> {
        for entry in std::fs::read_dir(&self.store)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                std::fs::remove_dir_all(entry.path())?;
            } else {
                std::fs::remove_file(entry.path())?;
            }
        }
        Ok(())
    }
}

/// Room for what a run stores, and not much more.
const fn disk_mebibytes(part: Part) -> u32 {
    match part {
        Part::ClickHouse => 1024,
        Part::Nats => 256,
        Part::Gateway | Part::SecondGateway | Part::Recorder | Part::SecondRecorder => 96,
    }
}

fn address_of(url: &str) -> Result<SocketAddr, Error> {
    let (_, address) = url.split_once("://").unwrap_or(("", url));
    address.parse().map_err(|_| Error::Address(url.to_owned()))
}

/// One of our services, by ourselves, under a name of its own.
fn service(service: &str, name: &'static str, folder: &Path) -> Result<Spec, Error> {
    let file = folder.join(match name {
        "second recorder" => configuration::SECOND_RECORDER,
        "second gateway" => configuration::SECOND_GATEWAY,
        _ => configuration::FILE,
    });
    Ok(Spec {
        name,
        program: std::env::current_exe().map_err(|cause| stack::Error::Spawn { name, cause })?,
        arguments: vec!["service".into(), service.into(), "--config".into(), file.into()],
        secret: None,
        log: folder.join(format!("{}.log", name.replace(' ', "-"))),
        remove: None,
    })
}
