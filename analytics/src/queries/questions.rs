//! The statements of the aggregates: which columns of which rollups each of them adds up.

use schemas::rollups::Family;

use super::reach::{Rollups, pieces};
use super::source::{Needs, Nothing};
use super::statement::{Statement, one_more};
use crate::params::Aggregate;

const USAGE: Needs = Needs {
    family: Family::Usage,
    narrow: None,
    names: &["outcome"],
    sums: &[
        ("requests", Nothing::Never),
        ("upstream_attempts", Nothing::Never),
        ("input_tokens", Nothing::Never),
        ("fresh_input_tokens", Nothing::Never),
        ("cache_read_tokens", Nothing::Never),
        ("cache_write_5m_tokens", Nothing::Never),
        ("cache_write_1h_tokens", Nothing::Never),
        ("output_tokens", Nothing::Never),
        ("delivered_output_tokens", Nothing::Never),
        ("reasoning_tokens", Nothing::Never),
        ("estimated_usage_requests", Nothing::Never),
        ("unknown_usage_requests", Nothing::Never),
    ],
    except: None,
};

const COSTS: Needs = Needs {
    family: Family::Usage,
    narrow: None,
    names: &["outcome"],
    sums: &[
        ("requests", Nothing::Count),
        ("priced_requests", Nothing::Change),
        ("unpriced_requests", Nothing::Change),
        ("unknown_usage_requests", Nothing::Count),
        ("estimated_cost_requests", Nothing::Change),
        ("charged_requests", Nothing::Count),
        ("cost_usd", Nothing::Money),
        ("cache_saved_usd", Nothing::Money),
        ("cache_saved_requests", Nothing::Change),
    ],
    except: None,
};

const LATENCY: Needs = Needs {
    family: Family::Usage,
    narrow: Some(Family::Latency),
    names: &[],
    sums: &[
        ("sent_requests", Nothing::Never),
        ("ttft_requests", Nothing::Never),
        ("ttft_ms", Nothing::Never),
        ("ttft_ms_max", Nothing::Never),
        ("duration_ms", Nothing::Never),
        ("duration_ms_max", Nothing::Never),
        ("speed_requests", Nothing::Never),
        ("output_tokens_per_second", Nothing::Never),
    ],
    except: None,
};

const FAILURES: Needs = Needs {
    family: Family::Usage,
    narrow: None,
    names: &["outcome", "error_class", "upstream_status"],
    sums: &[
        ("requests", Nothing::Count),
        ("output_tokens", Nothing::Tokens),
        ("priced_requests", Nothing::Change),
        ("cost_usd", Nothing::Money),
        ("last_failure", Nothing::Failure),
    ],
    except: Some(("outcome", "completed")),
};

const ANSWERED: Needs = Needs {
    family: Family::Usage,
    narrow: None,
    names: &[],
    sums: &[
        ("sent_requests", Nothing::Count),
        ("input_tokens", Nothing::Tokens),
        ("output_tokens", Nothing::Tokens),
        ("priced_requests", Nothing::Change),
        ("cost_usd", Nothing::Money),
    ],
    except: None,
};

const TRIES: Needs = Needs {
    family: Family::Candidates,
    narrow: Some(Family::Health),
    names: &["verdict", "reason", "error_class"],
    sums: &[
        ("candidates", Nothing::Never),
        ("headers_candidates", Nothing::Never),
        ("headers_ms", Nothing::Never),
        ("first_content_candidates", Nothing::Never),
        ("first_content_ms", Nothing::Never),
        ("input_tokens", Nothing::Never),
        ("output_tokens", Nothing::Never),
    ],
    except: None,
};

/// The statement of `/v1/usage`.
pub fn usage(asked: &Aggregate, rollups: Rollups, max_rows: usize) -> Statement {
    statement(include_str!("usage.sql"), asked, &[("source", USAGE)], rollups, max_rows)
}

/// The statement of `/v1/costs`.
pub fn costs(asked: &Aggregate, rollups: Rollups, max_rows: usize) -> Statement {
    statement(include_str!("costs.sql"), asked, &[("source", COSTS)], rollups, max_rows)
}

/// The statement of `/v1/latency`.
pub fn latency(asked: &Aggregate, rollups: Rollups, max_rows: usize) -> Statement {
    statement(include_str!("latency.sql"), asked, &[("source", LATENCY)], rollups, max_rows)
}

/// The statement of `/v1/failures`.
pub fn failures(asked: &Aggregate, rollups: Rollups, max_rows: usize) -> Statement {
    statement(include_str!("failures.sql"), asked, &[("source", FAILURES)], rollups, max_rows)
}

/// The statement of `/v1/providers`.
pub fn providers(asked: &Aggregate, rollups: Rollups, max_rows: usize) -> Statement {
    let sources = [("source", ANSWERED), ("candidates", TRIES)];
    statement(include_str!("providers.sql"), asked, &sources, rollups, max_rows)
}

fn statement(
    template: &str,
    asked: &Aggregate,
    sources: &[(&str, Needs)],
    rollups: Rollups,
    max_rows: usize,
) -> Statement {
    let mut statement = Statement::new(template, one_more(max_rows)).groups(asked);
    for (placeholder, needs) in sources {
        let needs = needs.of(asked);
        statement = statement.source(placeholder, asked, needs, &pieces(asked, needs.family, rollups));
    }
    statement
}
