//! NATS and ClickHouse together, in one folder.

use std::future::pending;
use std::path::PathBuf;

use schemas::config::Config;

use super::{Error, Nats, Warehouse};

/// The engines that the services need.
#[derive(Debug)]
pub struct Engines {
    data: PathBuf,
    passes: bool,
    nats: Option<Nats>,
    warehouse: Option<Warehouse>,
}

impl Engines {
    /// Engines that keep their data.
    pub fn new(data: PathBuf) -> Self {
        Self { data, passes: false, nats: None, warehouse: None }
    }

    /// Engines whose data is removed when they have stopped, also when this process has been killed.
    pub fn passing(data: PathBuf) -> Self {
        Self { passes: true, ..Self::new(data) }
    }

    /// Uses what the configuration names and answers, and starts what does not. What has been started when this fails or is
    /// dropped is stopped by [`Engines::stop`].
    pub async fn start(&mut self, config: &Config) -> Result<(), Error> {
        let remove = self.passes.then(|| self.data.clone());
        let nats = Nats::find_or_start(&config.nats, &self.data.join("nats"), remove.clone()).await?;
        self.nats = Some(nats);
        let warehouse = Warehouse::find_or_start(&config.clickhouse, &self.data.join("clickhouse"), remove).await?;
        self.warehouse = Some(warehouse);
        Ok(())
    }

    /// Whether ClickHouse runs for us alone.
    pub fn warehouse_is_ours(&self) -> bool {
        self.warehouse.as_ref().is_some_and(Warehouse::is_ours)
    }

    /// Waits until one of ours has ended for good, which none should.
    pub async fn failed(&mut self) -> Error {
        let (Some(nats), Some(warehouse)) = (&mut self.nats, &mut self.warehouse) else { return pending().await };
        tokio::select! {
            error = nats.failed() => error,
            error = warehouse.failed() => error,
        }
    }

    /// Stops what is ours.
    pub async fn stop(self) {
        let nats = async {
            if let Some(nats) = self.nats {
                nats.stop().await;
            }
        };
        let warehouse = async {
            if let Some(warehouse) = self.warehouse {
                warehouse.stop().await;
            }
        };
        tokio::join!(nats, warehouse);
    }
}
