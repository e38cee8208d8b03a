//! Asks analytics for its audit and lays it out for people.

use std::net::SocketAddr;
use std::time::Duration;

use schemas::config::Secret;
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

    /// The audit of a range; see `/v1/audit` for what can stand in it.
    pub async fn ask(&self, from: Option<&str>, to: Option<&str>) -> Result<Report, Error> {
        let mut query = form_urlencoded::Serializer::new(String::new());
        for (name, value) in [("from", from), ("to", to)] {
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

/// The report as a table, with its reasons.
pub fn printed(report: &Report) -> String {
    use Align::{Left, Right};
    let columns = [
        ("gateway", Left),
        ("ledger", Left),
        ("partition", Right),
        ("emitted", Right),
        ("stored", Right),
        ("pending", Right),
        ("missing", Right),
        ("duplicate", Right),
        ("state", Left),
    ];
    let known = |count: Option<u64>| count.map_or("?".to_owned(), |count| count.to_string());
    let rows: Vec<Vec<String>> = report
        .ledgers
        .iter()
        .map(|ledger| {
            vec![
                ledger.gateway.clone(),
                ledger.epoch.to_string(),
                ledger.partition.to_string(),
                known(ledger.emitted),
                ledger.stored.to_string(),
                known(ledger.pending),
                known(ledger.missing),
                ledger.duplicate.to_string(),
                ledger.state.clone(),
            ]
        })
        .collect();
    let mut text = terminal::table(&columns, &rows);
    for reason in &report.reasons {
        text += &format!("\n- {reason}");
    }
    let state = match report.state {
        State::Clean => "clean: everything emitted is stored, once",
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
            "ledgers":[{"gateway":"g","epoch":"00000000-0000-0000-0000-000000000007","partition":1,"emitted":null,
            "stored":9,"pending":null,"missing":null,"duplicate":0,"dead_letters":0,"state":"unknown","reason":""}]}"#;
        let shown = printed(&serde_json::from_str(text).unwrap());
        let row = shown.lines().nth(1).unwrap().split_whitespace().skip(2).collect::<Vec<_>>();
        assert_eq!(row, ["1", "?", "9", "?", "?", "0", "unknown"]);
        assert!(shown.ends_with("- NATS cannot be asked\nunknown"), "{shown}");
    }
}
