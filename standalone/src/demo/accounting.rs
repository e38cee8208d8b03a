//! Whether the books agree: what was sent, what the provider has served, what is in the rows, what analytics says.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use schemas::money::{Factor, Pico};
use schemas::outcome::{Format, Outcome, Verdict};
use schemas::price::Book;
use schemas::time::Timestamp;
use serde::Deserialize;
use uuid::Uuid;

use super::readback::{Cost, Used};
use super::script::DRILLS;
use crate::simulate::{Answer, Ending, Tally};

/// A request, as its client saw it.
#[derive(Clone, Debug)]
pub(crate) struct Sent {
    /// The `x-weir-request-id` of the response.
    pub(crate) request_id: Option<Uuid>,
    /// The response's status; `None` when there was none.
    pub(crate) status: Option<u16>,
    /// What has to become of it.
    pub(crate) expected: Outcome,
    /// The endpoints of its model: with two of them, the first fails and the second answers.
    pub(crate) routes: &'static [&'static str],
}

/// A row of `requests`.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Row {
    /// Our id of the request.
    pub(crate) request_id: Uuid,
    /// What became of it.
    pub(crate) outcome: Outcome,
    /// The provider's id of the answer.
    pub(crate) upstream_request_id: String,
    /// Where the counts come from.
    pub(crate) usage_source: String,
    /// All prompt tokens.
    pub(crate) input_tokens: Option<u64>,
    /// Of these, read from the cache.
    pub(crate) cache_read_tokens: Option<u64>,
    /// Of these, written to the cache for five minutes.
    pub(crate) cache_write_5m_tokens: Option<u64>,
    /// Of these, written to the cache for one hour.
    pub(crate) cache_write_1h_tokens: Option<u64>,
    /// All output tokens.
    pub(crate) output_tokens: Option<u64>,
    /// Of these, spent on reasoning.
    pub(crate) reasoning_tokens: Option<u64>,
    /// What it cost.
    pub(crate) cost_usd: Option<Pico>,
}

/// A row of `candidates`.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Try {
    /// Our id of the request.
    pub(crate) request_id: Uuid,
    /// Who was asked.
    pub(crate) endpoint: String,
    /// What came of it.
    pub(crate) verdict: Verdict,
    /// The status of the response, if there was one.
    pub(crate) status: Option<u16>,
    /// What it used.
    pub(crate) input_tokens: Option<u64>,
    /// What it made.
    pub(crate) output_tokens: Option<u64>,
}

/// Two figures that have to be equal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Check {
    /// Of what.
    pub(crate) what: &'static str,
    /// What it has to be.
    pub(crate) expected: String,
    /// What it is.
    pub(crate) found: String,
}

impl Check {
    pub(crate) fn new(what: &'static str, expected: impl ToString, found: impl ToString) -> Self {
        Self { what, expected: expected.to_string(), found: found.to_string() }
    }

    /// Whether they are.
    pub(crate) fn holds(&self) -> bool {
        self.expected == self.found
    }
}

/// Everything that was written down about the load.
#[derive(Debug)]
pub(crate) struct Books {
    pub(crate) sent: Vec<Sent>,
    pub(crate) tally: Tally,
    pub(crate) rows: Vec<Row>,
    pub(crate) tries: Vec<Try>,
    pub(crate) used: Vec<Used>,
    pub(crate) costs: Vec<Cost>,
    pub(crate) prices: Book,
}

impl Books {
    /// All comparisons.
    pub(crate) fn checks(&self) -> Vec<Check> {
        let mut checks = vec![Check::new("requests sent = rows in ClickHouse", self.sent.len(), self.rows.len())];
        checks.extend(self.of_requests());
        checks.extend(self.of_tries());
        checks.extend(self.of_answers());
        checks.extend(self.of_tokens());
        checks.extend(self.of_money());
        checks
    }

    /// Every request has one row of its own, which says what became of it.
    fn of_requests(&self) -> [Check; 2] {
        let asked: BTreeSet<Uuid> = self.sent.iter().filter_map(|sent| sent.request_id).collect();
        let recorded: BTreeSet<Uuid> = self.rows.iter().map(|row| row.request_id).collect();
        let outcomes: HashMap<Uuid, Outcome> = self.rows.iter().map(|row| (row.request_id, row.outcome)).collect();
        let right = |sent: &&Sent| sent.request_id.and_then(|id| outcomes.get(&id)) == Some(&sent.expected);
        [
            Check::new("request ids seen by clients = in rows", self.sent.len(), asked.intersection(&recorded).count()),
            Check::new("outcomes as they were provoked", self.sent.len(), self.sent.iter().filter(right).count()),
        ]
    }

    /// Where the first provider failed the second has answered, and tries in vain are told as such and cost nothing.
    fn of_tries(&self) -> [Check; 3] {
        let interrupted: BTreeSet<Uuid> =
            self.rows.iter().filter(|row| row.outcome == Outcome::Interrupted).map(|row| row.request_id).collect();
        // A try whose answer broke in the middle is billed, and is told as failed all the same.
        let in_vain = |tried: &&Try| tried.verdict == Verdict::Failed && !interrupted.contains(&tried.request_id);
        let found = |id: Uuid, endpoint: &str, verdicts: &[Verdict]| {
            let is_it = |tried: &Try| tried.endpoint == endpoint && verdicts.contains(&tried.verdict);
            self.tries.iter().any(|tried| tried.request_id == id && is_it(tried))
        };
        let failed_over = |sent: &&Sent| match (sent.request_id, sent.routes) {
            (Some(id), [first, second]) => {
                found(id, first, &[Verdict::Failed, Verdict::Skipped]) && found(id, second, &[Verdict::Succeeded])
            }
            _ => false,
        };
        let refused = self.tally.answers.iter().filter(|answer| answer.ending == Ending::Refused).count();
        let refusals = self.tries.iter().filter(in_vain).filter(|tried| tried.status.is_some()).count();
        let used = |tried: &Try| tried.input_tokens.unwrap_or(0) + tried.output_tokens.unwrap_or(0);
        [
            Check::new(
                "first provider failed = second one answered",
                self.sent.iter().filter(|sent| sent.routes.len() == 2).count(),
                self.sent.iter().filter(failed_over).count(),
            ),
            Check::new("refusals by the provider = failed tries", refused, refusals),
            Check::new("tokens of failed tries", 0, self.tries.iter().filter(in_vain).map(used).sum::<u64>()),
        ]
    }

    /// Requests whose row is missing or says something else, in words.
    pub(crate) fn differences(&self) -> Vec<String> {
        let outcomes: HashMap<Uuid, Outcome> = self.rows.iter().map(|row| (row.request_id, row.outcome)).collect();
        let different = |sent: &Sent| {
            let found = sent.request_id.and_then(|id| outcomes.get(&id));
            let id = sent.request_id.map_or("without an id".to_owned(), |id| id.to_string());
            let status = sent.status.map_or("no status".to_owned(), |status| format!("status {status}"));
            let recorded = found.map_or("has no row".to_owned(), |found| format!("is recorded as {found}"));
            (found != Some(&sent.expected))
                .then(|| format!("request {id} ({status}) {recorded}, not {}", sent.expected))
        };
        self.sent.iter().filter_map(different).collect()
    }

    /// Every answer that the provider has told the usage of, be it a broken one's, is in one row with just that usage.
    fn of_answers(&self) -> [Check; 2] {
        let mut rows: BTreeMap<&str, Vec<&Row>> = BTreeMap::new();
        for row in self.rows.iter().filter(|row| !row.upstream_request_id.is_empty()) {
            rows.entry(&row.upstream_request_id).or_default().push(row);
        }
        let equal = |answer: &&Answer| match rows.get(answer.request_id.as_str()).map(Vec::as_slice) {
            Some([row]) => counts_of(answer) == counts_in(row),
            _ => false,
        };
        let known =
            |row: &&&Row| row.usage_source == "provider" && row.input_tokens.is_some() && row.output_tokens.is_some();
        let untold: Vec<&Row> = self
            .tally
            .answers
            .iter()
            .filter(|answer| answer.usage.is_known() && !answer.usage_reported)
            .filter_map(|answer| rows.get(answer.request_id.as_str())?.first().copied())
            .collect();
        [
            Check::new(
                "answers billed by the provider = rows to the token",
                self.tally.answers.iter().filter(|answer| answer.usage_reported).count(),
                self.tally.answers.iter().filter(|answer| answer.usage_reported).filter(equal).count(),
            ),
            Check::new("answers without usage that a row calls known", 0, untold.iter().filter(known).count()),
        ]
    }

    /// The sums that analytics answers with are the provider's.
    fn of_tokens(&self) -> [Check; 5] {
        let names = [
            "input tokens, provider = analytics",
            "  of these read from the cache",
            "  of these written to the cache",
            "output tokens, provider = analytics",
            "  of these reasoning",
        ];
        let mut expected = [0; 5];
        for answer in told(&self.tally) {
            add(&mut expected, counts_of(answer));
        }
        let mut found = [0; 5];
        for used in self.used.iter().filter(|used| used.client.as_deref() != Some(DRILLS.name)) {
            add(&mut found, used.counts());
        }
        std::array::from_fn(|at| {
            let figure = |figures: &[u64]| figures.get(at).copied().unwrap_or(0);
            Check::new(names.get(at).copied().unwrap_or(""), figure(&expected), figure(&found))
        })
    }

    /// The bill is the sum of its rows, and what the provider's list prices make of what it has served.
    fn of_money(&self) -> [Check; 2] {
        let sum = |amounts: &mut dyn Iterator<Item = Pico>| amounts.fold(Pico(0), |sum, amount| Pico(sum.0 + amount.0));
        let rows = sum(&mut self.rows.iter().filter_map(|row| row.cost_usd));
        let bill = sum(&mut self.costs.iter().filter_map(|cost| cost.cost_usd));
        let listed = sum(&mut told(&self.tally).filter_map(|answer| list_price(&self.prices, answer)));
        let ordinary = self.costs.iter().filter(|cost| cost.client.as_deref() != Some(DRILLS.name));
        let charged = sum(&mut ordinary.filter_map(|cost| cost.cost_usd));
        [
            Check::new("US dollars, list prices of what was served = bill", listed, charged),
            Check::new("US dollars with the drills, sum of rows = bill", rows, bill),
        ]
    }
}

/// What an answer costs at list prices.
pub(crate) fn list_price(prices: &Book, answer: &Answer) -> Option<Pico> {
    let provider = match answer.format {
        Format::Anthropic => "anthropic",
        Format::OpenaiChat | Format::OpenaiResponses => "openai",
        Format::Gemini => "google",
    };
    let price = prices.find(provider, &[&answer.model], Timestamp::now())?;
    price.cost(&answer.usage, Factor::ONE)
}

/// What the provider has served to its end and told the usage of.
fn told(tally: &Tally) -> impl Iterator<Item = &Answer> {
    tally.answers.iter().filter(|answer| answer.ending == Ending::Completed && answer.usage_reported)
}

/// Input, cache read, cache written, output, reasoning.
pub(crate) type Counts = [u64; 5];

/// What an answer has used.
pub(crate) fn counts_of(answer: &Answer) -> Counts {
    let usage = &answer.usage;
    let written = usage.cache_write_5m.unwrap_or(0) + usage.cache_write_1h.unwrap_or(0);
    let known = [usage.input, usage.cache_read, Some(written), usage.output, usage.reasoning];
    known.map(|count| count.unwrap_or(0))
}

fn counts_in(row: &Row) -> Counts {
    let written = row.cache_write_5m_tokens.unwrap_or(0) + row.cache_write_1h_tokens.unwrap_or(0);
    let known = [row.input_tokens, row.cache_read_tokens, Some(written), row.output_tokens, row.reasoning_tokens];
    known.map(|count| count.unwrap_or(0))
}

impl Used {
    pub(crate) fn counts(&self) -> Counts {
        let written = self.cache_write_5m_tokens.unwrap_or(0) + self.cache_write_1h_tokens.unwrap_or(0);
        let known =
            [self.input_tokens, self.cache_read_tokens, Some(written), self.output_tokens, self.reasoning_tokens];
        known.map(|count| count.unwrap_or(0))
    }
}

fn add(sum: &mut Counts, counts: Counts) {
    for (sum, count) in sum.iter_mut().zip(counts) {
        *sum += count;
    }
}
