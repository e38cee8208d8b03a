//! Whether everything adds up: what clients saw, what the provider has served, what is in the rows. Pure.

use std::collections::{BTreeMap, BTreeSet};

use schemas::money::Pico;
use schemas::outcome::{ErrorClass, Format, Outcome};
use schemas::price::Book;
use serde::Deserialize;
use uuid::Uuid;

use super::load::Sent;
use super::totals::Pair;
use crate::demo::accounting::{Check, Counts, counts_of, list_price};
use crate::simulate::{Answer, Ending};

/// A row of `requests` as it lies in the table, without `FINAL`.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Row {
    pub(super) request_id: Uuid,
    pub(super) client_request_id: String,
    pub(super) outcome: Outcome,
    pub(super) error_class: String,
    pub(super) usage_source: String,
    pub(super) input_tokens: Option<u64>,
    pub(super) cache_read_tokens: Option<u64>,
    pub(super) cache_write_5m_tokens: Option<u64>,
    pub(super) cache_write_1h_tokens: Option<u64>,
    pub(super) output_tokens: Option<u64>,
    pub(super) reasoning_tokens: Option<u64>,
    pub(super) cost_usd: Option<Pico>,
}

/// The columns of a [`Row`].
pub(super) const COLUMNS: &str = "request_id, client_request_id, outcome, error_class, usage_source, input_tokens, \
     cache_read_tokens, cache_write_5m_tokens, cache_write_1h_tokens, output_tokens, reasoning_tokens, cost_usd";

impl Row {
    /// Its gateway died while it was running: it says what was seen of it, and that is not all.
    pub(super) fn is_orphan(&self) -> bool {
        self.error_class == ErrorClass::GatewayDied.as_str()
    }

    fn counts(&self) -> Counts {
        let written = self.cache_write_5m_tokens.unwrap_or(0) + self.cache_write_1h_tokens.unwrap_or(0);
        let known =
            [self.input_tokens, self.cache_read_tokens, Some(written), self.output_tokens, self.reasoning_tokens];
        known.map(|count| count.unwrap_or(0))
    }

    fn number(&self) -> Option<u64> {
        self.client_request_id.parse().ok()
    }
}

/// Rows of a table, and how many different events are among them.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
pub(super) struct Copies {
    pub(super) rows: u64,
    pub(super) events: u64,
}

/// Everything that was written down about the load.
#[derive(Debug)]
pub(super) struct Books {
    pub(super) sent: Vec<Sent>,
    pub(super) answers: Vec<Answer>,
    pub(super) rows: Vec<Row>,
    /// Ids of the requests that were let in, as they lie in `opened`.
    pub(super) opened: Vec<Uuid>,
    pub(super) candidates: Copies,
    /// Requests whose rows in `candidates` are not as many as their attempts.
    pub(super) uneven: u64,
    /// The same sums from rows, rollups and the API.
    pub(super) totals: Vec<Pair>,
    pub(super) prices: Book,
}

impl Books {
    /// All comparisons, and in words what is different.
    pub(super) fn compare(&self) -> (Vec<Check>, Vec<String>) {
        let index = Index::new(self);
        let mut differences = Vec::new();
        let mut checks = self.of_tables();
        checks.extend(index.of_clients(&mut differences));
        checks.extend(index.of_answers(&mut differences));
        checks.extend(index.of_orphans(&mut differences));
        checks.extend(index.of_sums());
        checks.extend(self.totals.iter().map(|pair| Check::new(pair.what, pair.rows, pair.found)));
        (checks, differences)
    }

    /// Plain `count()` has nothing twice, and whoever was let in has an end.
    fn of_tables(&self) -> Vec<Check> {
        let opened: BTreeSet<Uuid> = self.opened.iter().copied().collect();
        let ended: BTreeSet<Uuid> = self.rows.iter().map(|row| row.request_id).collect();
        // Turned away while its ledger had no room: not let in, but written down where there was some left.
        let rejected = self.rows.iter().filter(|row| row.outcome == Outcome::Rejected).count();
        vec![
            Check::new("requests let in = rows of requests, count()", opened.len(), self.rows.len() - rejected),
            Check::new("  that are the same requests", opened.len(), opened.intersection(&ended).count()),
            Check::new("rows of requests twice, count() - uniqExact()", 0, self.rows.len() - ended.len()),
            Check::new("rows of opened twice", 0, self.opened.len() - opened.len()),
            Check::new("rows of candidates twice", 0, self.candidates.rows - self.candidates.events),
            Check::new("requests with more or fewer of them than attempts", 0, self.uneven),
        ]
    }
}

/// Who belongs to whom, by the number of the request.
struct Index<'a> {
    books: &'a Books,
    rows: BTreeMap<u64, Vec<&'a Row>>,
    /// What the provider has billed, a refusal is not.
    billed: BTreeMap<u64, Vec<&'a Answer>>,
}

impl<'a> Index<'a> {
    fn new(books: &'a Books) -> Self {
        let (mut rows, mut billed) = (BTreeMap::<u64, Vec<&Row>>::new(), BTreeMap::<u64, Vec<&Answer>>::new());
        for row in &books.rows {
            rows.entry(row.number().unwrap_or(u64::MAX)).or_default().push(row);
        }
        for answer in books.answers.iter().filter(|answer| answer.usage.is_known()) {
            let number = answer.tag.as_ref().and_then(|tag| tag.parse().ok());
            billed.entry(number.unwrap_or(u64::MAX)).or_default().push(answer);
        }
        Self { books, rows, billed }
    }

    /// The one row of a request.
    fn row(&self, number: u64) -> Option<&'a Row> {
        match self.rows.get(&number).map(Vec::as_slice) {
            Some([row]) => Some(row),
            _ => None,
        }
    }

    /// What clients saw has become rows that say the same.
    fn of_clients(&self, differences: &mut Vec<String>) -> Vec<Check> {
        let seen: Vec<&Sent> = self.books.sent.iter().filter(|sent| is_let_in(sent)).collect();
        let (mut found, mut right) = (0, 0);
        for sent in &seen {
            let row = self.row(sent.number);
            let is_found = row.is_some_and(|row| sent.request_id == Some(row.request_id));
            let is_right = row.is_some_and(|row| fits(sent, row));
            found += usize::from(is_found);
            right += usize::from(is_right);
            if !(is_found && is_right) {
                let rows = self.rows.get(&sent.number).map(Vec::as_slice).unwrap_or_default();
                differences.push(format!("a client saw {sent:?}, recorded is {rows:?}"));
            }
        }
        let numbers: BTreeSet<u64> = self.books.sent.iter().map(|sent| sent.number).collect();
        let strangers: Vec<&u64> = self.rows.keys().filter(|number| !numbers.contains(number)).collect();
        vec![
            Check::new("request ids that clients saw = in rows", seen.len(), found),
            Check::new("  with an outcome that fits what they saw", seen.len(), right),
            Check::new("rows of requests that nobody sent", 0, strangers.len()),
        ]
    }

    /// Whatever reached the provider has its row, and what the provider has billed is in it to the token.
    fn of_answers(&self, differences: &mut Vec<String>) -> Vec<Check> {
        let tags: BTreeSet<u64> =
            self.books.answers.iter().filter_map(|answer| answer.tag.as_ref()?.parse().ok()).collect();
        let rowless: Vec<&u64> = tags.iter().filter(|number| self.row(**number).is_none()).collect();
        differences
            .extend(rowless.iter().map(|number| format!("request {number} reached the provider, has no one row")));
        let (mut told, mut equal, mut guessed) = (0, 0, 0);
        for (number, answers) in &self.billed {
            let (Some(row), [answer]) = (self.row(*number), answers.as_slice()) else { continue };
            if row.is_orphan() {
                continue;
            }
            if !answer.usage_reported {
                guessed += usize::from(row.usage_source == "provider" && answer.ending == Ending::Completed);
                continue;
            }
            told += 1;
            let same_money = row.cost_usd == list_price(&self.books.prices, answer);
            if row.counts() == counts_of(answer) && same_money {
                equal += 1;
            } else {
                differences.push(format!("the provider billed {answer:?}, recorded is {row:?}"));
            }
        }
        let twice = self.billed.values().filter(|answers| answers.len() > 1).count();
        vec![
            Check::new("requests that reached the provider = with one row", tags.len(), tags.len() - rowless.len()),
            Check::new("requests billed more than once", 0, twice),
            Check::new("answers billed = rows, to the token and the last digit", told, equal),
            Check::new("answers without usage that a row calls known", 0, guessed),
        ]
    }

    /// Requests whose gateway died say what it had seen of them, and nothing else.
    fn of_orphans(&self, differences: &mut Vec<String>) -> [Check; 1] {
        let sent: BTreeMap<u64, &Sent> = self.books.sent.iter().map(|sent| (sent.number, sent)).collect();
        let orphans = self.books.rows.iter().filter(|row| row.is_orphan());
        let (mut all, mut right) = (0, 0);
        for row in orphans {
            all += 1;
            let number = row.number().unwrap_or(u64::MAX);
            let answer = self.billed.get(&number).and_then(|answers| answers.first());
            if row.outcome == Outcome::Interrupted && saw_as_much(row, sent.get(&number).copied(), answer.copied()) {
                right += 1;
            } else {
                differences.push(format!("a gateway died over {row:?}, the provider had {answer:?}"));
            }
        }
        [Check::new("rows of dead gateways = with what those had seen", all, right)]
    }

    /// The sums of what was billed and told are the sums of its rows.
    fn of_sums(&self) -> Vec<Check> {
        let names = [
            "input tokens, provider = rows",
            "  of these read from the cache",
            "  of these written to the cache",
            "output tokens, provider = rows",
            "  of these reasoning",
        ];
        let (mut expected, mut found) = (Counts::default(), Counts::default());
        let (mut listed, mut charged) = (Pico(0), Pico(0));
        for (number, answers) in &self.billed {
            // A request of which the provider has not told everything, or that lost its gateway, is compared by itself.
            let Some(row) = self.row(*number).filter(|row| !row.is_orphan()) else { continue };
            for answer in answers.iter().filter(|answer| answer.usage_reported) {
                add(&mut expected, counts_of(answer));
                add(&mut found, row.counts());
                listed.0 += list_price(&self.books.prices, answer).unwrap_or(Pico(0)).0;
                charged.0 += row.cost_usd.unwrap_or(Pico(0)).0;
            }
        }
        let sums = names.into_iter().zip(expected.into_iter().zip(found));
        let mut checks: Vec<Check> = sums.map(|(name, (expected, found))| Check::new(name, expected, found)).collect();
        checks.push(Check::new("US dollars, list prices of what was served = rows", listed, charged));
        checks
    }
}

/// Whether the gateway said that it took the request on. A 503 says that it did not, or that it could not go on.
fn is_let_in(sent: &Sent) -> bool {
    sent.request_id.is_some() && sent.status != Some(503)
}

/// Whether a row tells what the client saw.
fn fits(sent: &Sent, row: &Row) -> bool {
    match row.outcome {
        // Who has a whole answer in hand has been told its end, and that was written down before.
        _ if row.is_orphan() => !sent.is_whole || sent.leaves,
        Outcome::Cancelled => sent.leaves,
        // A client that leaves may have been a moment too late.
        Outcome::Completed => sent.expected == Outcome::Completed || sent.leaves,
        outcome => outcome == sent.expected,
    }
}

/// Whether a dead gateway's row has the usage that the gateway must have seen, and none that it cannot have seen.
fn saw_as_much(row: &Row, sent: Option<&Sent>, answer: Option<&Answer>) -> bool {
    let Some(answer) = answer else { return row.input_tokens.is_none() && row.output_tokens.is_none() };
    // Its head goes out with the first content, which comes after the event that tells the prompt's size.
    let saw_prompt = |sent: &Sent| sent.format == Format::Anthropic && sent.is_stream && sent.request_id.is_some();
    let told = answer.fault.is_none();
    match row.input_tokens {
        None => !(told && sent.is_some_and(saw_prompt)),
        Some(input) => {
            // The first figure of output is the provider's opening bid (W3), at most three tokens here.
            let output = answer.usage.output.unwrap_or(0).max(3);
            Some(input) == answer.usage.input && row.output_tokens.is_none_or(|seen| seen <= output)
        }
    }
}

fn add(sum: &mut Counts, counts: Counts) {
    for (sum, count) in sum.iter_mut().zip(counts) {
        *sum += count;
    }
}

#[cfg(test)]
mod tests;
