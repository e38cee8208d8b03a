//! Does what the schedule says, and counts it.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::time::{Instant, sleep, sleep_until};

use super::Error;
use super::deployment::Deployment;
use super::meter::Meter;
use super::process::Process;
use super::schedule::{Act, Deed, Part};
use crate::terminal;

const LOOK_EVERY: Duration = Duration::from_millis(300);

/// What was done in a run.
#[derive(Clone, Debug, Default)]
pub(super) struct Deeds {
    pub(super) kills: BTreeMap<Part, u64>,
    pub(super) freezes: BTreeMap<Part, u64>,
    pub(super) wipes: u64,
    /// Whose disk was full, and how often.
    pub(super) fills: BTreeMap<Part, u64>,
    /// Why a disk was not filled.
    pub(super) unfilled: Option<String>,
    /// How often a part ended by itself though it had room to work.
    pub(super) ended: BTreeMap<Part, u64>,
}

/// Does one run's acts.
pub(super) struct Torturer<'a> {
    pub(super) deployment: &'a Deployment,
    pub(super) meter: &'a Meter,
    pub(super) deeds: RefCell<Deeds>,
}

impl Torturer<'_> {
    /// Does every act at its time. Parts that end by themselves are started again, as anybody's supervisor would.
    pub(super) async fn run(&self, acts: &[Act], length: Duration) -> Result<(), Error> {
        let began = Instant::now();
        let mut under_way: FuturesUnordered<_> = acts
            .iter()
            .map(|act| async move {
                sleep_until(began + act.at).await;
                terminal::err(act);
                self.perform(act).await
            })
            .collect();
        let watch = async {
            loop {
                self.meter.look().await;
                for (part, how) in self.deployment.revive().await? {
                    terminal::err(format_args!("         {part} ended by itself ({how}) and was started again"));
                    *self.deeds.borrow_mut().ended.entry(part).or_default() += 1;
                }
                sleep(LOOK_EVERY).await;
            }
        };
        let all = async {
            while let Some(done) = under_way.next().await {
                done?;
            }
            sleep_until(began + length).await;
            Ok(())
        };
        tokio::select! {
            ended = all => ended,
            failed = watch => failed,
        }
    }

    async fn perform(&self, act: &Act) -> Result<(), Error> {
        let part = act.part;
        let Some(member) = self.deployment.member(part) else { return Ok(()) };
        match act.deed {
            Deed::Kill(down) => {
                let mut process = member.process.lock().await;
                self.meter.end_life(part, || process.kill()).await;
                *self.deeds.borrow_mut().kills.entry(part).or_default() += 1;
                sleep(down).await;
                drop(process);
                self.deployment.start_part(part).await?;
            }
            Deed::Freeze(time) => {
                let process = member.process.lock().await;
                process.freeze();
                *self.deeds.borrow_mut().freezes.entry(part).or_default() += 1;
                sleep(time).await;
                process.thaw();
            }
            Deed::Wipe(down) => {
                let mut process = member.process.lock().await;
                process.kill();
                member.wipe().map_err(|cause| Error::Disk { what: "wipe", part: part.name(), cause })?;
                self.deeds.borrow_mut().wipes += 1;
                sleep(down).await;
                drop(process);
                self.deployment.start_part(part).await?;
            }
            Deed::Fill(time) => self.fill(part, time).await?,
        }
        Ok(())
    }

    async fn fill(&self, part: Part, time: Duration) -> Result<(), Error> {
        let Some(member) = self.deployment.member(part) else { return Ok(()) };
        // Held, so that one that ends of it is started again only when there is room.
        let mut process = member.process.lock().await;
        match &member.disk {
            Err(reason) => {
                self.deeds.borrow_mut().unfilled = Some(reason.clone());
                return Ok(());
            }
            Ok(disk) => {
                let (filled, killed) = tokio::join!(disk.fill(time), self.kill_on_full_disk(part, &mut process, time));
                filled.map_err(|cause| Error::Disk { what: "fill", part: part.name(), cause })?;
                killed?;
            }
        }
        *self.deeds.borrow_mut().fills.entry(part).or_default() += 1;
        if part == Part::Nats {
            // It switches JetStream off when its disk is full, until it is started again.
            process.kill();
            drop(process);
            self.deployment.start_part(part).await?;
        } else if part == Part::Gateway {
            // One that has given up is not about to do so any more.
            sleep(LOOK_EVERY).await;
            if !process.is_running() {
                drop(process);
                self.deployment.start_part(part).await?;
            }
        }
        Ok(())
    }

    /// A gateway is killed while its ledger's disk is full, and started again at once: it has to settle what was open from
    /// a ledger to which nothing can be added.
    async fn kill_on_full_disk(&self, part: Part, process: &mut Process, time: Duration) -> Result<(), Error> {
        if part != Part::Gateway {
            return Ok(());
        }
        sleep(time / 3).await;
        self.meter.end_life(part, || process.kill()).await;
        *self.deeds.borrow_mut().kills.entry(part).or_default() += 1;
        process.start()?;
        Ok(())
    }
}
