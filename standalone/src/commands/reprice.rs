//! `weir reprice`: what a period costs by the present price book.

use std::fmt::Write;
use std::path::PathBuf;

use clap::Args;
use recorder::reprice::{Line, Period, Run, Summary};
use schemas::config::Config;

use super::Failure;
use crate::prices::day_or_time;
use crate::terminal;

/// Prices a period again, shows the difference per model, and writes it as adjustments if asked to.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The configuration, whose ClickHouse and [prices] are used.
    #[arg(long, default_value = "weir.toml")]
    config: PathBuf,
    /// First day or moment (RFC 3339) of the period.
    #[arg(long, value_name = "DATE")]
    from: String,
    /// First day or moment after the period.
    #[arg(long, value_name = "DATE")]
    to: String,
    /// Write the adjustments. Without it nothing is written.
    #[arg(long)]
    apply: bool,
}

pub(super) async fn run(arguments: Arguments) -> Result<(), Failure> {
    let failed = |error: &dyn std::fmt::Display| Failure::Failed(error.to_string());
    let config = Config::load(&arguments.config)?;
    let book = config.prices.book().map_err(|error| failed(&error))?;
    let time = |text: &str| day_or_time(text).map_err(|error| failed(&error));
    let period = Period { from: time(&arguments.from)?, to: time(&arguments.to)? };
    if period.from >= period.to {
        return Err(Failure::Failed("--from must be before --to".to_owned()));
    }
    // Fails only when a provider is installed already, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let run = Run::new(&config, book).map_err(|error| failed(&error))?;
    let summary = run.look(period).await.map_err(|error| failed(&error))?;
    terminal::out(table(&summary));
    if summary.total().changed == 0 {
        return Ok(());
    }
    if !arguments.apply {
        terminal::out("nothing was written; --apply writes the differences as adjustments");
        return Ok(());
    }
    let written = run.apply(period).await.map_err(|error| failed(&error))?.total();
    terminal::out(format_args!(
        "wrote {} adjustments: {} US dollars became {}",
        written.changed, written.before, written.after
    ));
    Ok(())
}

fn table(summary: &Summary) -> String {
    let mut text = format!(
        "{:<40} {:>10} {:>10} {:>8} {:>8} {:>22} {:>22}\n",
        "provider/model", "requests", "changed", "+priced", "-priced", "cost now, USD", "by the book, USD"
    );
    for ((provider, model), line) in &summary.lines {
        row(&mut text, &format!("{provider}/{model}"), line);
    }
    row(&mut text, "all", &summary.total());
    text.truncate(text.trim_end().len());
    text
}

fn row(text: &mut String, name: &str, line: &Line) {
    let Line { requests, changed, newly_priced, no_longer_priced, before, after } = line;
    // Writing to a string cannot fail.
    let _infallible = writeln!(
        text,
        "{name:<40} {requests:>10} {changed:>10} {newly_priced:>8} {no_longer_priced:>8} {:>22} {:>22}",
        before.to_string(),
        after.to_string()
    );
}
