//! `weir simulate-history`: a believable past, to look at dashboards and to measure queries.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::Args;
use schemas::config::Config;
use schemas::time::Timestamp;

use super::{Failure, logging};
use crate::history::{self, Options};
use crate::stack::Warehouse;
use crate::terminal::{self, Step};

/// Fills an empty database with made-up requests of the last days, through the same tables and views as recorded ones.
///
/// Twelve clients use nine models of four providers through the hours of a day and the days of a week, with failovers,
/// failures, caches and one provider's bad hour a day; costs are those of the price book. What let requests in (the table
/// `opened`) and bodies are not made up. Where nothing answers at the URL and it is on this machine, ClickHouse's engine
/// is started for it, with its data where `weir up` looks for them.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// How many requests.
    #[arg(long)]
    rows: u64,
    /// Over how many days before today.
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=1000))]
    days: u32,
    /// ClickHouse's HTTP interface. User and password are those of WEIR_CLICKHOUSE__USER and WEIR_CLICKHOUSE__PASSWORD__ENV.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8123")]
    clickhouse: String,
    /// The database; it is made if it is not there.
    #[arg(long, default_value = "weir")]
    database: String,
    /// Where an engine that is started here keeps its data.
    #[arg(long, default_value = "data")]
    data: PathBuf,
    /// Changes every request.
    #[arg(long, default_value_t = 0)]
    seed: u64,
}

pub(super) async fn run(arguments: Arguments) -> Result<(), Failure> {
    let failed = |error: &dyn std::fmt::Display| Failure::Failed(error.to_string());
    let Arguments { rows, days, clickhouse, database, data, seed } = arguments;
    let quoted = |value: String| toml::Value::String(value);
    let text = format!("[clickhouse]\nurl = {}\ndatabase = {}\n", quoted(clickhouse), quoted(database));
    let environment: BTreeMap<String, String> =
        std::env::vars().filter(|(name, _)| name.starts_with("WEIR_CLICKHOUSE__")).collect();
    let config = Config::parse(&text, &environment)?;
    let book = config.prices.book().map_err(|error| failed(&error))?;
    logging::install_tls()?;
    let data = std::path::absolute(&data).map_err(|error| failed(&error))?.join("clickhouse");
    let warehouse = Warehouse::find_or_start(&config.clickhouse, &data, None).await.map_err(|error| failed(&error))?;
    let mut step = Step::begin(format!("making up {rows} requests of {days} days"));
    let options = Options { rows, days, until: Timestamp::now(), seed };
    let filled = history::fill(&config.clickhouse, &book, options, |stored| {
        step.progress(format_args!("{stored} of {rows}"));
    })
    .await;
    warehouse.stop().await;
    filled.map_err(|error| failed(&error))?;
    step.done(format_args!("{rows} requests are in {}", config.clickhouse.database));
    terminal::out(format_args!("{rows} requests over {days} days are in the database {}", config.clickhouse.database));
    Ok(())
}
