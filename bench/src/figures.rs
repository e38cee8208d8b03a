//! Samples to figures: medians, and ratios taken within a round.

use hdrhistogram::Histogram;
use serde::Serialize;

/// Points of a distribution of times, in microseconds.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Percentiles {
    /// How many times there are.
    pub count: u64,
    /// Half are shorter.
    pub p50: u64,
    /// 1 in 10 is longer.
    pub p90: u64,
    /// 1 in 100 is longer.
    pub p99: u64,
    /// The longest.
    pub max: u64,
}

impl Percentiles {
    /// Those of a histogram; `None` if it is empty.
    pub fn of(times: &Histogram<u64>) -> Option<Self> {
        let at = |quantile| times.value_at_quantile(quantile);
        let all = Self { count: times.len(), p50: at(0.5), p90: at(0.9), p99: at(0.99), max: times.max() };
        (!times.is_empty()).then_some(all)
    }
}

/// One cell of one round.
#[derive(Clone, Debug, Serialize)]
pub struct Sample {
    /// Round, from 1.
    pub round: usize,
    /// Who was measured; `direct` is the load against the upstream itself.
    pub target: &'static str,
    /// What was sent.
    pub profile: String,
    /// CPU of the target, in microseconds a request.
    pub cpu_us: Option<f64>,
    /// Context switches of the target's threads, a request.
    pub switches: Option<f64>,
    /// The most memory that the target had resident so far.
    pub peak_rss_bytes: Option<u64>,
    /// Answers a second, limited by the target's core or the load's, whichever is full.
    pub requests_per_second: f64,
    /// From a request to its answer's head.
    pub first_byte: Option<Percentiles>,
    /// From a request to the last byte.
    pub whole: Option<Percentiles>,
    /// From an event's sending to its arrival.
    pub lag: Option<Percentiles>,
}

/// Memory of one target.
#[derive(Clone, Debug, Serialize)]
pub struct MemorySample {
    /// Who was measured.
    pub target: &'static str,
    /// Streams that were open.
    pub streams: usize,
    /// Resident set after its start.
    pub idle_rss_bytes: u64,
    /// Resident set with the streams open.
    pub open_rss_bytes: u64,
    /// The most that was resident.
    pub peak_rss_bytes: u64,
    /// Anonymous memory (heap and stacks) that an open stream takes.
    pub stream_bytes: f64,
}

/// The middle value; of an even number, the mean of the two in the middle.
pub fn median(values: impl IntoIterator<Item = f64>) -> Option<f64> {
    let mut sorted: Vec<f64> = values.into_iter().collect();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match (sorted.len() % 2, sorted.get(middle), middle.checked_sub(1).and_then(|below| sorted.get(below))) {
        (1, Some(value), _) => Some(*value),
        (_, Some(above), Some(below)) => Some((above + below) / 2.0),
        _ => None,
    }
}

/// A figure of a sample.
pub type Figure = fn(&Sample) -> Option<f64>;

/// Median over the rounds of a target's figure under a profile.
pub fn figure(samples: &[Sample], target: &str, profile: &str, figure: Figure) -> Option<f64> {
    median(cells(samples, target, profile).filter_map(figure))
}

/// Median over the rounds of a target's figure as a multiple of another's in the same round: what slows the machine for
/// a while slows both.
pub fn ratio(samples: &[Sample], (target, floor): (&str, &str), profile: &str, figure: Figure) -> Option<f64> {
    let of_round = |sample: &Sample| {
        let floor = cells(samples, floor, profile).find(|other| other.round == sample.round).and_then(figure)?;
        Some(figure(sample)? / floor)
    };
    median(cells(samples, target, profile).filter_map(of_round))
}

/// Median over the rounds of what a target adds to another's figure in the same round.
pub fn added(samples: &[Sample], (target, floor): (&str, &str), profile: &str, figure: Figure) -> Option<f64> {
    let of_round = |sample: &Sample| {
        let floor = cells(samples, floor, profile).find(|other| other.round == sample.round).and_then(figure)?;
        Some(figure(sample)? - floor)
    };
    median(cells(samples, target, profile).filter_map(of_round))
}

fn cells<'a>(samples: &'a [Sample], target: &'a str, profile: &'a str) -> impl Iterator<Item = &'a Sample> {
    samples.iter().filter(move |sample| sample.target == target && sample.profile == profile)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(round: usize, target: &'static str, cpu_us: f64) -> Sample {
        Sample {
            round,
            target,
            profile: "p".to_owned(),
            cpu_us: Some(cpu_us),
            switches: None,
            peak_rss_bytes: None,
            requests_per_second: 1e6 / cpu_us,
            first_byte: None,
            whole: None,
            lag: None,
        }
    }

    #[test]
    fn medians_and_ratios() {
        assert_eq!(median([]), None);
        assert_eq!(median([3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median([4.0, 1.0, 2.0, 3.0]), Some(2.5));
        // The machine was twice as slow in round 2: the ratio does not see it.
        let samples = [
            sample(1, "a", 10.0),
            sample(1, "b", 15.0),
            sample(2, "a", 20.0),
            sample(2, "b", 30.0),
            sample(3, "b", 9.0),
        ];
        let cpu: Figure = |sample| sample.cpu_us;
        assert_eq!(ratio(&samples, ("b", "a"), "p", cpu), Some(1.5));
        assert_eq!(added(&samples, ("b", "a"), "p", cpu), Some(7.5));
        assert_eq!((figure(&samples, "b", "p", cpu), figure(&samples, "b", "q", cpu)), (Some(15.0), None));
    }
}
