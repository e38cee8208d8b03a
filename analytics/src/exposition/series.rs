//! The totals as series: which metric, which labels, which part of it.

use crate::queries::{CandidateTotals, RequestTotals, TokenTotals};

/// Upper bounds of the token histogram's buckets, those of OpenTelemetry's GenAI conventions.
pub(super) const TOKEN_BOUNDS: [u64; 14] =
    [1, 4, 16, 64, 256, 1024, 4096, 16_384, 65_536, 262_144, 1_048_576, 4_194_304, 16_777_216, 67_108_864];

/// The metrics that are totals.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Metric {
    Requests,
    Candidates,
    Tokens,
    ReasoningTokens,
    Cost,
    UnpricedRequests,
    UnknownUsageRequests,
    TokenUsage,
}

/// Which number of a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Part {
    /// A counter's only one; for [`Metric::Cost`] in pico-dollars.
    Value,
    /// A histogram's cumulative count up to the bound of that index.
    Bucket(usize),
    /// A histogram's number of observations.
    Count,
    /// The sum of a histogram's observations.
    Sum,
}

/// Name and value.
pub(super) type Label = (&'static str, String);

/// One number over time.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Series {
    pub metric: Metric,
    pub labels: Vec<Label>,
    pub part: Part,
}

/// What a row adds to which series.
pub(super) trait Adds {
    fn adds(&self) -> Vec<(Series, i128)>;
}

fn counter(metric: Metric, labels: Vec<Label>, value: impl Into<i128>) -> (Series, i128) {
    (Series { metric, labels, part: Part::Value }, value.into())
}

impl Adds for RequestTotals {
    fn adds(&self) -> Vec<(Series, i128)> {
        let names = || {
            vec![
                ("client", self.client_label.clone()),
                ("model", self.model_label.clone()),
                ("provider", self.provider_label.clone()),
            ]
        };
        let mut adds = vec![
            counter(Metric::Requests, vec![("outcome", self.outcome.clone())], self.requests),
            counter(Metric::UnpricedRequests, Vec::new(), self.unpriced_requests),
            counter(Metric::UnknownUsageRequests, Vec::new(), self.unknown_usage_requests),
        ];
        if self.priced_requests > 0 {
            adds.push(counter(Metric::Cost, names(), self.cost_usd));
        }
        if self.reasoning_tokens > 0 {
            adds.push(counter(Metric::ReasoningTokens, names(), self.reasoning_tokens));
        }
        let kinds = [
            ("fresh_input", self.fresh_input_tokens),
            ("cache_read", self.cache_read_tokens),
            ("cache_write_5m", self.cache_write_5m_tokens),
            ("cache_write_1h", self.cache_write_1h_tokens),
            ("output", self.output_tokens),
        ];
        for (kind, tokens) in kinds.into_iter().filter(|(_, tokens)| *tokens > 0) {
            let mut labels = names();
            labels.push(("type", kind.to_owned()));
            adds.push(counter(Metric::Tokens, labels, tokens));
        }
        adds
    }
}

impl Adds for CandidateTotals {
    fn adds(&self) -> Vec<(Series, i128)> {
        let labels = vec![("reason", self.reason_label.clone()), ("verdict", self.verdict_label.clone())];
        vec![counter(Metric::Candidates, labels, self.candidates)]
    }
}

impl Adds for TokenTotals {
    fn adds(&self) -> Vec<(Series, i128)> {
        let kinds = [
            ("input", self.input_requests, self.input_tokens, &self.input_buckets),
            ("output", self.output_requests, self.output_tokens, &self.output_buckets),
        ];
        let mut adds = Vec::new();
        for (kind, requests, tokens, buckets) in kinds.into_iter().filter(|(_, requests, ..)| *requests > 0) {
            let series = |part| Series {
                metric: Metric::TokenUsage,
                labels: vec![
                    ("gen_ai_provider_name", self.provider_label.clone()),
                    ("gen_ai_request_model", self.model_label.clone()),
                    ("gen_ai_token_type", kind.to_owned()),
                ],
                part,
            };
            for (index, count) in buckets.iter().enumerate().take(TOKEN_BOUNDS.len()) {
                adds.push((series(Part::Bucket(index)), i128::from(*count)));
            }
            adds.push((series(Part::Count), i128::from(requests)));
            adds.push((series(Part::Sum), i128::from(tokens)));
        }
        adds
    }
}
