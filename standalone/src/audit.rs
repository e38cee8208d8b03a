//! Asks analytics for its audit and lays it out for people.

use std::net::SocketAddr;
use std::time::Duration;

use schemas::config::Secret;
use schemas::time::Timestamp;
use serde::Deserialize;
use uuid::Uuid;

use crate::terminal::{self, Align};

/// An audit reads much; longer than analytics itself waits for ClickHouse.
const TIMEOUT: Duration = Duration::from_secs(120);

/// The audit cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No HTTP client.
    #[error("cannot build the HTTP client: {0}")]
    Client(reqwest::Error),
    /// Analytics does not answer.
    #[error("analytics does not answer at {0}: {1}")]
    Unreachable(SocketAddr, reqwest::Error),
    /// Analytics answers with something else.
    #[error("analytics answers {0}: {1}")]
    Refused(u16, String),
    /// What analytics answers is no audit.
    #[error("analytics' answer is no audit: {0}")]
    Unreadable(#[from] serde_json::Error),
}

/// What can be said of a part of the books, in analytics' words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Everything adds up.
    Clean,
    /// Something is on its way.
    Pending,
    /// Not everything could be asked.
    Unknown,
    /// Something does not add up.
    Unclean,
}

/// What is read of the reply of `/v1/audit`.
#[derive(Clone, Debug, Deserialize)]
pub struct Report {
    /// The judgement.
    pub state: State,
    /// What does not add up, or is not known.
    pub reasons: Vec<String>,
    /// Ledger by ledger.
    pub ledgers: Vec<Ledger>,
    /// Minute by minute: those that do not add up, or all.
    pub minutes: Vec<Minute>,
    /// The reply as it came.
    #[serde(skip)]
    pub text: String,
}

/// One ledger's events in one partition; counts that nobody knows are none.
#[derive(Clone, Debug, Deserialize)]
pub struct Ledger {
    gateway: String,
    epoch: Uuid,
    partition: u16,
    emitted: Option<u64>,
    stored: u64,
    pending: Option<u64>,
    missing: Option<u64>,
    duplicate: u64,
    state: String,
}

/// One ledger's part of one minute; counts that nobody knows are none.
#[derive(Clone, Debug, Deserialize)]
pub struct Minute {
    minute: Timestamp,
    until: Timestamp,
    #[serde(flatten)]
    ledger: Ledger,
}

/// What is asked; see `/v1/audit` for what can stand in it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Question<'a> {
    /// From when.
    pub from: Option<&'a str>,
    /// Until when.
    pub to: Option<&'a str>,
    /// Whether every minute is told.
    pub minutes: bool,
}

/// Asks one analytics service.
#[derive(Debug)]
pub struct Auditor {
    client: reqwest::Client,
    address: SocketAddr,
    token: Option<Secret>,
}

impl Auditor {
    /// Of the analytics at an address, with its token where it asks for one.
    pub fn new(address: SocketAddr, token: Option<Secret>) -> Result<Self, Error> {
        let client = reqwest::Client::builder().no_proxy().timeout(TIMEOUT).build().map_err(Error::Client)?;
        Ok(Self { client, address, token })
    }

    /// The audit of a range.
    pub async fn ask(&self, question: Question<'_>) -> Result<Report, Error> {
        let Question { from, to, minutes } = question;
        let mut query = form_urlencoded::Serializer::new(String::new());
        for (name, value) in [("from", from), ("to", to), ("interval", minutes.then_some("minute"))] {
            query.extend_pairs(value.map(|value| (name, value)));
        }
        let mut request = self.client.get(format!("http://{}/v1/audit?{}", self.address, query.finish()));
        if let Some(token) = &self.token {
            request = request.bearer_auth(token.expose());
        }
        let unreachable = |error: reqwest::Error| Error::Unreachable(self.address, error.without_url());
        let response = request.send().await.map_err(unreachable)?;
        let status = response.status();
        let text = response.text().await.map_err(unreachable)?;
        if !status.is_success() {
            return Err(Error::Refused(status.as_u16(), text));
        }
        Ok(Report { text: text.clone(), ..serde_json::from_str(&text)? })
    }
}

const COUNTS: [(&str, Align); 9] = [
    ("gateway", Align::Left),
    ("ledger", Align::Left),
    ("partition", Align::Right),
    ("emitted", Align::Right),
    ("stored", Align::Right),
    ("pending", Align::Right),
    ("missing", Align::Right),
    ("duplicate", Align::Right),
    ("state", Align::Left),
];

impl Ledger {
    /// Its cells in the order of [`COUNTS`].
    fn cells(&self) -> Vec<String> {
        let known = |count: Option<u64>| count.map_or("?".to_owned(), |count| count.to_string());
        vec![
            self.gateway.clone(),
            self.epoch.to_string(),
            self.partition.to_string(),
            known(self.emitted),
            self.stored.to_string(),
            known(self.pending),
            known(self.missing),
            self.duplicate.to_string(),
            self.state.clone(),
        ]
    }
}

impl Minute {
    /// The minute, and where that is not certain the last that it can be.
    fn name(&self) -> String {
        let short = |time: Timestamp| time.to_string().chars().take("2026-11-27T23:05".len()).collect::<String>();
        match self.until == self.minute {
            true => format!("{}Z", short(self.minute)),
            false => format!("{}Z to {}Z", short(self.minute), short(self.until)),
        }
    }
}

/// The report as tables, with its reasons.
pub fn printed(report: &Report) -> String {
    let rows: Vec<Vec<String>> = report.ledgers.iter().map(Ledger::cells).collect();
    let mut text = terminal::table(&COUNTS, &rows);
    if !report.minutes.is_empty() {
        let columns: Vec<(&str, Align)> = std::iter::once(("minute", Align::Left)).chain(COUNTS).collect();
        let cells = |minute: &Minute| std::iter::once(minute.name()).chain(minute.ledger.cells()).collect();
        let rows: Vec<Vec<String>> = report.minutes.iter().map(cells).collect();
        text += &format!("\n{}", terminal::table(&columns, &rows));
    }
    for reason in &report.reasons {
        text += &format!("\n- {reason}");
    }
    let state = match report.state {
        State::Clean => "clean: everything emitted is stored, once, and sums agree",
        State::Pending => "pending",
        State::Unknown => "unknown",
        State::Unclean => "unclean",
    };
    text + "\n" + state
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_knows_is_not_shown_as_a_number() {
        let text = r#"{"from":"x","to":"y","state":"unknown","reasons":["NATS cannot be asked"],"sums":[],"checks":{},
            "rollups":[],"minutes":[],"ledgers":[{"gateway":"g","epoch":"00000000-0000-0000-0000-000000000007","partition":1,"emitted":null,
            "stored":9,"pending":null,"missing":null,"duplicate":0,"dead_letters":0,"state":"unknown","reason":""}]}"#;
        let shown = printed(&serde_json::from_str(text).unwrap());
        let row = shown.lines().nth(1).unwrap().split_whitespace().skip(2).collect::<Vec<_>>();
        assert_eq!(row, ["1", "?", "9", "?", "?", "0", "unknown"]);
        assert!(shown.ends_with("- NATS cannot be asked\nunknown"), "{shown}");
    }

    #[test]
    fn minutes_are_named_and_where_they_are_not_certain_so_is_the_last_possible_one() {
        let text = r#"{"state":"unclean","reasons":[],"ledgers":[],"minutes":[{"minute":"2026-11-27T22:05:00.000000Z",
            "until":"2026-11-27T22:07:00.000000Z","gateway":"g","epoch":"00000000-0000-0000-0000-000000000007",
            "partition":1,"emitted":3,"stored":2,"pending":0,"missing":1,"duplicate":0,"dead_letters":0,
            "state":"unclean"}]}"#;
        let shown = printed(&serde_json::from_str(text).unwrap());
        let row = "2026-11-27T22:05Z to 2026-11-27T22:07Z  g  ";
        assert!(shown.lines().any(|line| line.trim_start().starts_with(row)), "{shown}");
    }
}
