//! The load: clients that ask as fast as they are answered, at a fixed rate, or that hold streams open.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::answer::Request;
use crate::client::{Asked, Client, Receiving, Times};
use crate::error::Error;
use crate::process::{Process, Used};

/// What the load saw.
#[derive(Clone, Debug)]
pub struct Observed {
    /// Requests that were answered in the window.
    pub requests: u64,
    /// Length of the window.
    pub window: Duration,
    /// What the target used in the window; `None` without a target.
    pub used: Option<Used>,
    /// Times of all requests, those of the warm-up among them.
    pub times: Times,
}

/// How the load runs.
#[derive(Clone, Copy, Debug)]
pub struct How {
    /// Clients at once.
    pub clients: usize,
    /// Requests a second; `None`: each client asks again as soon as it is answered.
    pub rate: Option<u32>,
    /// Before the window.
    pub warm_up: Duration,
    /// The window.
    pub window: Duration,
}

/// What all clients of a load share.
struct Shared {
    asked: Asked,
    request: Arc<Request>,
    answered: AtomicU64,
    ended: AtomicBool,
}

/// Asks, and watches what the target uses meanwhile.
pub async fn run(
    asked: &Asked,
    process: Option<&Process>,
    request: &Arc<Request>,
    how: How,
) -> Result<Observed, Error> {
    let (asked, request) = (asked.clone(), Arc::clone(request));
    let shared = Arc::new(Shared { asked, request, answered: AtomicU64::new(0), ended: AtomicBool::new(false) });
    let mut clients = JoinSet::new();
    match how.rate {
        None => (0..how.clients).for_each(|_| drop(clients.spawn(closed(Arc::clone(&shared))))),
        Some(rate) => drop(clients.spawn(open(Arc::clone(&shared), how.clients, rate))),
    }
    let used = || process.map(Process::used).transpose();
    tokio::time::sleep(how.warm_up).await;
    let (begun, before, used_before) = (Instant::now(), shared.answered.load(Ordering::Relaxed), used()?);
    tokio::time::sleep(how.window).await;
    let (window, after, used_after) = (begun.elapsed(), shared.answered.load(Ordering::Relaxed), used()?);
    shared.ended.store(true, Ordering::Relaxed);
    let used = used_after.zip(used_before).map(|(after, before)| Used {
        cpu_us: after.cpu_us - before.cpu_us,
        switches: after.switches.saturating_sub(before.switches),
    });
    let mut times = Times::new()?;
    while let Some(client) = clients.join_next().await {
        times.add(&client.map_err(|error| Error::Setup(format!("a client of the load: {error}")))??)?;
    }
    Ok(Observed { requests: after - before, window, used, times })
}

/// One client that asks again as soon as it is answered.
async fn closed(shared: Arc<Shared>) -> Result<Times, Error> {
    let (mut client, mut times) = (Client::connect(&shared.asked).await?, Times::new()?);
    while !shared.ended.load(Ordering::Relaxed) {
        client.send(&shared.request, &mut times).await?;
        shared.answered.fetch_add(1, Ordering::Relaxed);
    }
    Ok(times)
}

/// Asks at a fixed rate, however fast answers come, over connections that are kept.
async fn open(shared: Arc<Shared>, connections: usize, rate: u32) -> Result<Times, Error> {
    let (give_back, mut free) = mpsc::unbounded_channel();
    for _ in 0..connections {
        let idle = (Client::connect(&shared.asked).await?, Times::new()?);
        let _received = give_back.send(Ok(idle));
    }
    let mut ticks = tokio::time::interval(Duration::from_secs(1) / rate);
    while !shared.ended.load(Ordering::Relaxed) {
        ticks.tick().await;
        let Some(idle) = free.recv().await else { break };
        let (mut client, mut times): (Client, Times) = idle?;
        let (shared, give_back) = (Arc::clone(&shared), give_back.clone());
        tokio::spawn(async move {
            let sent = client.send(&shared.request, &mut times).await;
            shared.answered.fetch_add(1, Ordering::Relaxed);
            let _received = give_back.send(sent.map(|()| (client, times)));
        });
    }
    let mut all = Times::new()?;
    for _ in 0..connections {
        let Some(idle) = free.recv().await else { break };
        all.add(&idle?.1)?;
    }
    Ok(all)
}

/// Streams that have begun and stay open.
pub struct Held(
    #[expect(dead_code, reason = "the streams stay open for as long as this value lives")] Vec<(Client, Receiving)>,
);

/// Opens streams and reads what comes of each before it falls silent.
pub async fn hold(asked: &Asked, request: &Request, streams: usize) -> Result<Held, Error> {
    let mut held = Vec::with_capacity(streams);
    for _ in 0..streams {
        let mut client = Client::connect(asked).await?;
        let mut receiving = client.begin(request).await?;
        client.read_to_silence(&mut receiving, request).await?;
        held.push((client, receiving));
    }
    Ok(Held(held))
}
