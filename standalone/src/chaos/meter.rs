//! What gateways and recorders count of themselves, kept over their deaths.
//!
//! A process that is killed takes its counts with it, so it is asked just before. What it counts between that and its end
//! is not seen: the sums are lower bounds, and nothing is judged by them.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::sync::Mutex;

use super::schedule::Part;

const TIMEOUT: Duration = Duration::from_millis(500);

/// A count that starts at 0 in every life of its process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Count {
    /// Events that arrived a second time and were dropped.
    Deduplicated,
    /// Events that NATS had lost and that were sent again.
    Resent,
    /// Events that could not become rows.
    DeadLettered,
    /// Events that a full ledger did not take.
    Lost,
    /// Parts of ClickHouse's that could not be read.
    Damaged,
}

impl Count {
    const ALL: [Self; 5] = [Self::Deduplicated, Self::Resent, Self::DeadLettered, Self::Lost, Self::Damaged];

    const fn name(self) -> &'static str {
        match self {
            Self::Deduplicated => "weir_events_deduplicated_total",
            Self::Resent => "weir_events_resent_total",
            Self::DeadLettered => "weir_events_dead_lettered_total",
            Self::Lost => "weir_events_lost_total",
            Self::Damaged => "weir_recorder_damaged_parts_total",
        }
    }

    const fn is_told_by(self, part: Part) -> bool {
        match self {
            Self::Deduplicated | Self::DeadLettered | Self::Damaged => {
                matches!(part, Part::Recorder | Part::SecondRecorder)
            }
            Self::Resent | Self::Lost => matches!(part, Part::Gateway | Part::SecondGateway),
        }
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct Lives {
    over: f64,
    present: f64,
}

/// The counts of a run.
#[derive(Debug)]
pub(super) struct Meter {
    client: reqwest::Client,
    tellers: BTreeMap<Part, SocketAddr>,
    counts: Mutex<BTreeMap<(Count, Part), Lives>>,
}

impl Meter {
    /// Asks at these ops listeners.
    pub(super) fn new(client: reqwest::Client, tellers: BTreeMap<Part, SocketAddr>) -> Self {
        Self { client, tellers, counts: Mutex::default() }
    }

    /// Asks everybody; whoever does not answer keeps what was heard last.
    pub(super) async fn look(&self) {
        let mut counts = self.counts.lock().await;
        for part in self.tellers.keys() {
            self.ask(*part, &mut counts).await;
        }
    }

    /// Asks a part for the last time and then ends it with `kill`.
    pub(super) async fn end_life(&self, part: Part, kill: impl FnOnce()) {
        let mut counts = self.counts.lock().await;
        self.ask(part, &mut counts).await;
        kill();
        for ((_, teller), lives) in counts.iter_mut() {
            if *teller == part {
                *lives = Lives { over: lives.over + lives.present, present: 0.0 };
            }
        }
    }

    async fn ask(&self, part: Part, counts: &mut BTreeMap<(Count, Part), Lives>) {
        let Some(text) = self.exposition(part).await else { return };
        for count in Count::ALL.into_iter().filter(|count| count.is_told_by(part)) {
            counts.entry((count, part)).or_default().present = sum(&text, count.name());
        }
    }

    async fn exposition(&self, part: Part) -> Option<String> {
        let address = self.tellers.get(&part)?;
        let request = self.client.get(format!("http://{address}/metrics")).timeout(TIMEOUT);
        request.send().await.ok()?.text().await.ok()
    }

    /// The sum over all lives.
    pub(super) async fn total(&self, count: Count) -> u64 {
        let counts = self.counts.lock().await;
        let lives = counts.iter().filter(|((told, _), _)| *told == count).map(|(_, lives)| lives);
        lives.map(|lives| (lives.over + lives.present) as u64).sum()
    }

    /// How old what waits to be recorded is, in seconds; none when no recorder says so.
    pub(super) async fn lag_seconds(&self) -> Option<f64> {
        let mut lag: Option<f64> = None;
        for part in [Part::Recorder, Part::SecondRecorder] {
            let Some(text) = self.exposition(part).await else { continue };
            lag = Some(values(&text, "weir_pipeline_lag_seconds").fold(lag.unwrap_or(0.0), f64::max));
        }
        lag
    }
}

fn sum(text: &str, name: &str) -> f64 {
    values(text, name).sum()
}

/// The values of a metric under all its labels.
fn values<'a>(text: &'a str, name: &'a str) -> impl Iterator<Item = f64> + 'a {
    text.lines().filter_map(move |line| {
        let rest = line.strip_prefix(name).filter(|rest| rest.starts_with(['{', ' ']))?;
        rest.rsplit_once(' ')?.1.parse().ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_summed_over_labels_and_names_are_whole() {
        let text = "# HELP a_total x\na_total{p=\"0\"} 3\na_total{p=\"1\"} 4\na_total_more 9\nb 2.5\n";
        assert_eq!((sum(text, "a_total"), sum(text, "b"), sum(text, "c")), (7.0, 2.5, 0.0));
    }
}
