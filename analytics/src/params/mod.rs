//! Query text -> closed types: time range, grouping, filters, output. No strings that reach SQL.

mod arguments;
mod audit;
mod cursor;
mod dimension;
mod range;

pub use audit::Audit;
pub use cursor::Cursor;
pub use dimension::{Dimension, Filter};
pub use range::{Interval, LATEST_SECONDS, Range};

use schemas::outcome::Format;
use schemas::time::Timestamp;
use uuid::Uuid;

use self::arguments::Arguments;

/// Most dimensions in `group_by`.
const DIMENSIONS_MAX: usize = 6;
/// Most values of one filter.
const VALUES_MAX: usize = 100;
/// Longest value of a filter, in bytes.
const VALUE_BYTES_MAX: usize = 512;
/// Most buckets that `interval` may cut a range into.
const BUCKETS_MAX: i64 = 10_000;
/// Requests on a page when `limit` does not say.
const PAGE_DEFAULT: usize = 100;
/// Most requests on a page.
const PAGE_MAX: usize = 1000;

/// A parameter is unknown or has a value that it cannot have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{parameter}: {message}")]
pub struct Error {
    /// Its name, as the caller wrote it.
    pub parameter: String,
    /// What is wrong and what to write instead.
    pub message: String,
}

impl Error {
    fn new(parameter: impl Into<String>, message: impl Into<String>) -> Self {
        Self { parameter: parameter.into(), message: message.into() }
    }
}

/// How the answer is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Output {
    /// The envelope described in the API's document.
    #[default]
    Json,
    /// Comma-separated values with a line of names.
    Csv,
    /// Apache Parquet.
    Parquet,
}

/// What `/v1/usage`, `/v1/costs` and the other aggregates ask for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Aggregate {
    /// From when until when.
    pub range: Range,
    /// The length of a bucket; `None` sums the whole range.
    pub interval: Option<Interval>,
    /// What to group by, in the order asked for.
    pub group_by: Vec<Dimension>,
    /// Which rows count.
    pub filters: Vec<Filter>,
    /// At which time it was known; `None`: as it is known now. Costs alone have such a history.
    pub as_of: Option<Timestamp>,
    /// How to write it.
    pub output: Output,
    /// When it was asked.
    pub asked_at: Timestamp,
}

/// What `/v1/requests` asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Search {
    /// From when until when; with a cursor, that of the first page.
    pub range: Range,
    /// Which rows match.
    pub filters: Vec<Filter>,
    /// Rows on a page.
    pub limit: usize,
    /// Where the page before ended.
    pub cursor: Option<Cursor>,
    /// How to write it.
    pub output: Output,
}

/// What `/v1/live` asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Live {
    /// Which events are told.
    pub filters: Vec<Filter>,
}

impl Live {
    /// Reads a URL's query.
    pub fn parse(query: &str) -> Result<Self, Error> {
        let mut arguments = Arguments::new(query);
        let (output, filters) = output_and_filters(&mut arguments)?;
        arguments.finish()?;
        match output {
            Output::Json => Ok(Self { filters }),
            Output::Csv | Output::Parquet => Err(Error::new("format", "what happens now is no file: leave it out")),
        }
    }
}

impl Aggregate {
    /// Reads a URL's query.
    pub fn parse(query: &str, now: Timestamp) -> Result<Self, Error> {
        Self::read(Arguments::new(query), None, now)
    }

    /// The same for a question that can be answered as it was known at a time.
    pub fn parse_with_history(query: &str, now: Timestamp) -> Result<Self, Error> {
        let mut arguments = Arguments::new(query);
        let as_of = arguments.one("as_of")?.map(|text| range::instant("as_of", &text, now)).transpose()?;
        Self::read(arguments, as_of, now)
    }

    fn read(mut arguments: Arguments, as_of: Option<Timestamp>, now: Timestamp) -> Result<Self, Error> {
        let range = Range::parse(arguments.one("from")?, arguments.one("to")?, now)?;
        let interval = arguments.one("interval")?.map(|text| Interval::parse(&text)).transpose()?;
        let group_by = group_by(arguments.all("group_by"))?;
        let (output, filters) = output_and_filters(&mut arguments)?;
        arguments.finish()?;
        if let Some(interval) = interval {
            check_buckets(range, interval)?;
        }
        Ok(Self { range, interval, group_by, filters, as_of, output, asked_at: now })
    }
}

impl Aggregate {
    /// Refuses what a question cannot be grouped or filtered by.
    pub fn only(&self, dimensions: &[Dimension]) -> Result<(), Error> {
        let names: Vec<String> = dimensions.iter().map(Dimension::to_string).collect();
        let refuse = |parameter: &str, dimension: &Dimension| {
            Error::new(parameter, format!("{dimension} is not known to this question: write {}", names.join(", ")))
        };
        if let Some(dimension) = self.group_by.iter().find(|dimension| !dimensions.contains(dimension)) {
            return Err(refuse("group_by", dimension));
        }
        match self.filters.iter().map(|filter| &filter.dimension).find(|dimension| !dimensions.contains(dimension)) {
            Some(dimension) => Err(refuse(&dimension.to_string(), dimension)),
            None => Ok(()),
        }
    }
}

impl Search {
    /// Reads a URL's query.
    pub fn parse(query: &str, now: Timestamp) -> Result<Self, Error> {
        let mut arguments = Arguments::new(query);
        let mut range = Range::parse(arguments.one("from")?, arguments.one("to")?, now)?;
        let limit = arguments.one("limit")?.map_or(Ok(PAGE_DEFAULT), |text| limit(&text))?;
        let cursor = arguments.one("cursor")?.map(|text| Cursor::parse(&text)).transpose()?;
        let (output, filters) = output_and_filters(&mut arguments)?;
        arguments.finish()?;
        if let Some(cursor) = &cursor {
            // A relative range moves between two pages; the cursor keeps the one that the first page had.
            range = cursor.range;
        }
        Ok(Self { range, filters, limit, cursor, output })
    }
}

/// Refuses every parameter, for what takes none.
pub fn none(query: &str) -> Result<(), Error> {
    Arguments::new(query).finish()
}

/// Reads the id in a path.
pub fn request_id(text: &str) -> Result<Uuid, Error> {
    let wrong = || Error::new("id", "is not a request id: take the x-weir-request-id header of a response, as it is");
    Uuid::try_parse(text).map_err(|_| wrong())
}

fn limit(text: &str) -> Result<usize, Error> {
    let fits = text.parse().ok().filter(|limit| (1..=PAGE_MAX).contains(limit));
    fits.ok_or_else(|| Error::new("limit", format!("{text:?} is not a page size: write a number from 1 to {PAGE_MAX}")))
}

fn group_by(lists: Vec<String>) -> Result<Vec<Dimension>, Error> {
    let mut dimensions = Vec::new();
    for name in lists.iter().flat_map(|list| list.split(',')).filter(|name| !name.is_empty()) {
        let dimension = Dimension::parse(name).ok_or_else(|| {
            Error::new("group_by", format!("{name:?} is not something to group by: write {}", Dimension::LIST))
        })?;
        if dimensions.contains(&dimension) {
            return Err(Error::new("group_by", format!("{name:?} is named twice: name it once")));
        }
        dimensions.push(dimension);
    }
    if dimensions.len() > DIMENSIONS_MAX {
        return Err(Error::new("group_by", format!("at most {DIMENSIONS_MAX} dimensions can be combined")));
    }
    Ok(dimensions)
}

/// `format` is two parameters in one word: `json`, `csv` and `parquet` choose the output, the names of API dialects
/// filter. No value means both.
fn output_and_filters(arguments: &mut Arguments) -> Result<(Output, Vec<Filter>), Error> {
    let (mut output, mut filters) = (None, Vec::new());
    for (name, values) in arguments.rest() {
        let Some(dimension) = Dimension::parse(&name) else { continue };
        arguments.take(&name);
        let mut wanted = Vec::new();
        for value in values {
            let chosen = if dimension == Dimension::Format { Output::named(&value) } else { None };
            match chosen {
                Some(_) if output.is_some() => return Err(Error::new(name, "only one output can be chosen")),
                Some(choice) => output = Some(choice),
                None => wanted.push(check_value(&name, &dimension, value)?),
            }
        }
        if wanted.len() > VALUES_MAX {
            return Err(Error::new(name, format!("at most {VALUES_MAX} values can be given")));
        }
        if !wanted.is_empty() {
            filters.push(Filter { dimension, values: wanted });
        }
    }
    Ok((output.unwrap_or_default(), filters))
}

fn check_value(name: &str, dimension: &Dimension, value: String) -> Result<String, Error> {
    let closed = match dimension {
        Dimension::Format => value
            .parse::<Format>()
            .map(drop)
            .map_err(|message| format!("{message} (to filter), nor json, csv, parquet (to choose the output)")),
        Dimension::Operation => value.parse::<schemas::outcome::Operation>().map(drop),
        Dimension::Outcome => value.parse::<schemas::outcome::Outcome>().map(drop),
        _ if value.len() > VALUE_BYTES_MAX => Err(format!("a value can have at most {VALUE_BYTES_MAX} bytes")),
        _ => Ok(()),
    };
    closed.map(|()| value).map_err(|message| Error::new(name, message))
}

fn check_buckets(range: Range, interval: Interval) -> Result<(), Error> {
    let buckets = range.length_micros() / interval.shortest_micros();
    if buckets <= BUCKETS_MAX {
        return Ok(());
    }
    let message = format!(
        "cuts this range into {buckets} buckets, at most {BUCKETS_MAX} are possible: choose a longer interval or a shorter range"
    );
    Err(Error::new("interval", message))
}

impl Output {
    fn named(text: &str) -> Option<Self> {
        match text {
            "json" => Some(Self::Json),
            "csv" => Some(Self::Csv),
            "parquet" => Some(Self::Parquet),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests;
