//! `weir measure`: how fast answers are, and how fresh.

use clap::{Args, Subcommand};

use super::{Failure, logging, stop};
use crate::measure::{freshness, queries};
use crate::terminal;

/// Measures what is there, and prints a table.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// The dashboard's questions, asked of the rollups and of the rows: both must give the same answers.
    Queries(Queries),
    /// How long after its last byte a request is in /v1/usage, through a whole pipeline that is started for it.
    Freshness(Freshness),
}

#[derive(Debug, Args)]
struct Queries {
    /// ClickHouse's HTTP interface.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8123")]
    clickhouse: String,
    /// The database.
    #[arg(long, default_value = "weir")]
    database: String,
    /// How often the rollups are asked each question.
    #[arg(long, default_value_t = 20)]
    repeats: usize,
    /// How often the rows are asked each question.
    #[arg(long, default_value_t = 1)]
    repeats_of_rows: usize,
}

#[derive(Debug, Args)]
struct Freshness {
    /// Requests per second.
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    rate: u32,
    /// For how many seconds.
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=3600))]
    seconds: u32,
}

pub(super) async fn run(arguments: Arguments) -> Result<(), Failure> {
    logging::start("warn,async_nats=error");
    logging::install_tls()?;
    let failed = |error: &dyn std::fmt::Display| Failure::Failed(error.to_string());
    let report = match arguments.what {
        What::Queries(Queries { clickhouse, database, repeats, repeats_of_rows }) => {
            let options = queries::Options { clickhouse, database, repeats, repeats_of_rows };
            queries::run(&options).await.map_err(|error| failed(&error))?
        }
        What::Freshness(Freshness { rate, seconds }) => {
            let options = freshness::Options { rate, seconds };
            freshness::run(options, &stop::token()?).await.map_err(|error| failed(&error))?
        }
    };
    terminal::out(report);
    Ok(())
}
