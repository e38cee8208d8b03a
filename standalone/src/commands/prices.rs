//! `weir prices`: what the book says, and what another list says differently.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use schemas::config::{Config, Prices};
use schemas::price::Book;
use schemas::time::Timestamp;

use super::Failure;
use crate::prices::{self, Change, Difference, List};
use crate::terminal;

/// Shows the price book, and takes over prices from other lists.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Show(Show),
    Import(Import),
}

/// Prints what a model costs, at each provider that the book knows.
#[derive(Debug, Args)]
struct Show {
    /// The model, as the provider is asked for it.
    model: String,
    /// Only at this provider; one that the book does not know is priced by the maker's list.
    #[arg(long)]
    provider: Option<String>,
    /// A day or a time (RFC 3339); now unless it is given.
    #[arg(long, value_name = "DATE")]
    at: Option<String>,
    /// A configuration whose [prices] file is added to the built-in book.
    #[arg(long)]
    config: Option<PathBuf>,
}

/// Reads LiteLLM's model_prices_and_context_window.json or genai-prices' data.json, and shows what differs from the book.
#[derive(Debug, Args)]
struct Import {
    /// The list, a local file.
    list: PathBuf,
    /// Only these providers, by the book's names; all unless it is given.
    #[arg(long = "provider", value_name = "NAME")]
    providers: Vec<String>,
    /// The day from which what differs holds; today unless it is given.
    #[arg(long, value_name = "DATE")]
    from: Option<String>,
    /// A configuration whose [prices] file is added to the built-in book.
    #[arg(long)]
    config: Option<PathBuf>,
    /// Append what differs to this file, which [prices] file names. Without it nothing is written.
    #[arg(long, value_name = "FILE")]
    apply: Option<PathBuf>,
    /// Go on though the list names fewer than half of the models that the book prices.
    #[arg(long)]
    allow_shrink: bool,
}

pub(super) fn run(arguments: Arguments) -> Result<(), Failure> {
    match arguments.command {
        Command::Show(show) => self::show(&show),
        Command::Import(import) => self::import(&import),
    }
}

fn failed(error: impl ToString) -> Failure {
    Failure::Failed(error.to_string())
}

fn book(config: Option<&Path>) -> Result<Book, Failure> {
    let prices = match config {
        Some(path) => Config::load(path)?.prices,
        None => Prices::default(),
    };
    prices.book().map_err(failed)
}

fn time(text: Option<&str>, default: Timestamp) -> Result<Timestamp, Failure> {
    text.map_or(Ok(default), |text| prices::day_or_time(text).map_err(failed))
}

fn show(show: &Show) -> Result<(), Failure> {
    let book = book(show.config.as_deref())?;
    let at = time(show.at.as_deref(), Timestamp::now())?;
    let mut providers: Vec<&str> = match &show.provider {
        Some(provider) => vec![provider],
        None => book.entries().iter().map(|price| price.provider.as_str()).collect(),
    };
    providers.sort_unstable();
    providers.dedup();
    let mut found: Vec<_> =
        providers.iter().filter_map(|provider| book.explain(provider, &[&show.model], at)).collect();
    // An entry for whatever a provider may have says nothing of a model, unless that provider is asked for.
    found.retain(|(price, _)| show.provider.is_some() || !price.tiers.is_empty());
    if found.is_empty() {
        let message =
            format!("{} has no price at {at}: its requests cost NULL, and are counted as unpriced", show.model);
        return Err(Failure::Failed(message));
    }
    for (price, fit) in found {
        terminal::out(format_args!("{} at {} on {at}, found {fit}:", show.model, price.provider));
        terminal::out(prices::entry(price).trim_end());
        for other in book.standing(&price.provider, &[&show.model], at).into_iter().filter(|other| other.id != price.id)
        {
            terminal::out(format_args!("and at other hours:\n{}", prices::entry(other).trim_end()));
        }
    }
    Ok(())
}

fn import(import: &Import) -> Result<(), Failure> {
    let present = book(import.config.as_deref())?;
    let today = prices::day_or_time(&Timestamp::now().to_string()[.."2026-01-01".len()]).map_err(failed)?;
    let from = time(import.from.as_deref(), today)?;
    let mut list = read(&import.list, from)?;
    list.models.retain(|model| import.providers.is_empty() || import.providers.contains(&model.provider));
    if list.models.is_empty() {
        return Err(failed(format!("{} names no model of these providers", import.list.display())));
    }
    let difference = Difference::between(&present, &list, from, &cited(&import.list));
    tell(&difference, &list);
    if !import.allow_shrink {
        difference.check_size().map_err(failed)?;
    }
    match &import.apply {
        Some(path) => append(path, &difference),
        None => {
            terminal::out("nothing was written; --apply FILE appends the new entries to a file for [prices] file");
            Ok(())
        }
    }
}

fn read(path: &Path, at: Timestamp) -> Result<List, Failure> {
    let named = |error: &dyn std::fmt::Display| failed(format!("{}: {error}", path.display()));
    let text = std::fs::read_to_string(path).map_err(|error| named(&error))?;
    List::read(&text, at).map_err(|error| named(&error))
}

/// What an entry cites whose list names no page of its own.
fn cited(path: &Path) -> String {
    let file = path.file_name().unwrap_or_default().to_string_lossy();
    format!("imported from {file}")
}

fn tell(difference: &Difference, list: &List) {
    for change in &difference.changes {
        match change {
            Change::New(price) => terminal::out(format_args!("new:\n{}", prices::entry(price).trim_end())),
            Change::Changed { before, after } => terminal::out(format_args!(
                "changed:\n{}\n  becomes\n{}",
                prices::entry(before).trim_end(),
                prices::entry(after).trim_end()
            )),
        }
    }
    for skipped in &list.skipped {
        terminal::out(format_args!("left out: {}: {}", skipped.name, skipped.reason));
    }
    for contradiction in &difference.contradictions {
        terminal::out(format_args!("left out: {contradiction}"));
    }
    if !difference.unlisted.is_empty() {
        terminal::out(format_args!("not in the list, and kept as they are: {}", difference.unlisted.join(", ")));
    }
    let changed = difference.changes.iter().filter(|change| matches!(change, Change::Changed { .. })).count();
    terminal::out(format_args!(
        "{} new, {changed} changed, {} as before; of {} models that the book prices, {} are not in the list",
        difference.changes.len() - changed,
        difference.same,
        difference.priced,
        difference.unlisted.len(),
    ));
}

/// Adds the entries behind what the file holds, so that notes in it stay; the whole is checked before it replaces it.
fn append(path: &Path, difference: &Difference) -> Result<(), Failure> {
    let mut text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(failed(format!("{}: {error}", path.display()))),
    };
    for change in &difference.changes {
        if !text.is_empty() {
            text.push('\n');
        }
        text.push_str(&change.entry().to_toml());
    }
    let whole = Book::parse(&text).and_then(|book| Book::builtin()?.overlaid(book));
    whole.map_err(|error| failed(format!("{} is left as it is: {error}", path.display())))?;
    let fresh = path.with_extension("toml.new");
    let written = std::fs::write(&fresh, &text).and_then(|()| std::fs::rename(&fresh, path));
    written.map_err(|error| failed(format!("{}: {error}", path.display())))?;
    terminal::out(format_args!("{} holds {} entries more", path.display(), difference.changes.len()));
    Ok(())
}
