//! Samples to figures: medians, and ratios taken within a round.

use serde::Serialize;

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
    /// Answers a second, limited by the target's core or the load's, whichever is full.
    pub requests_per_second: f64,
    /// Median from request to last byte, in microseconds.
    pub median_us: u64,
}

/// Memory of one target in one round.
#[derive(Clone, Debug, Serialize)]
pub struct MemorySample {
    /// Round, from 1.
    pub round: usize,
    /// Who was measured.
    pub target: &'static str,
    /// Resident set after its start.
    pub idle_rss_bytes: u64,
    /// Resident set with the streams open.
    pub open_rss_bytes: u64,
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

/// Median CPU of a target for a profile, in microseconds a request.
pub fn cpu_us(samples: &[Sample], target: &str, profile: &str) -> Option<f64> {
    median(cells(samples, target, profile).filter_map(|sample| sample.cpu_us))
}

/// Median rate of a target for a profile, a second.
pub fn rate(samples: &[Sample], target: &str, profile: &str) -> Option<f64> {
    median(cells(samples, target, profile).map(|sample| sample.requests_per_second))
}

/// Median over the rounds of a target's CPU as a multiple of the floor's in the same round: what slows the machine for
/// a while slows both.
pub fn ratio(samples: &[Sample], target: &str, floor: &str, profile: &str) -> Option<f64> {
    let of_round = |sample: &Sample| {
        let floor = cells(samples, floor, profile).find(|other| other.round == sample.round)?.cpu_us?;
        Some(sample.cpu_us? / floor)
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
        let (profile, requests_per_second) = ("p".to_owned(), 1e6 / cpu_us);
        Sample { round, target, profile, cpu_us: Some(cpu_us), requests_per_second, median_us: 1 }
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
        assert_eq!(ratio(&samples, "b", "a", "p"), Some(1.5));
        assert_eq!((cpu_us(&samples, "b", "p"), cpu_us(&samples, "b", "q")), (Some(15.0), None));
    }
}
