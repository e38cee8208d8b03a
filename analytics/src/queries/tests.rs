//! How statements are put together, and that callers' words stay out of them.

use schemas::time::Timestamp;
use uuid::Uuid;

use super::*;
use crate::params::Aggregate;

fn now() -> Timestamp {
    Timestamp::from_micros(1_795_262_400_000_000)
}

fn asked(query: &str) -> Aggregate {
    Aggregate::parse(query, now()).unwrap()
}

/// The statement from its first `SELECT` on, with white space made even.
fn sql(statement: &Statement) -> String {
    statement.sql.lines().filter(|line| !line.starts_with("--")).collect::<Vec<_>>().join(" ").replace("  ", " ")
}

#[test]
fn groups_filters_and_buckets_are_filled_in() {
    let asked = asked("interval=hour&group_by=tag:team,user&client=a&tag:team=x&tag:team=y");
    let statement = costs(&asked, Rollups::Complete, 10);
    let text = sql(&statement);
    for part in [
        "toUnixTimestamp(toDateTime(toStartOfHour(toDateTime(r.received_at, 'UTC')), 'UTC')) AS bucket",
        "r.tags[{group_tag_0:String}] AS g1, r.`user` AS g2",
        "[toString(g1), toString(g2)]::Array(String) AS groups",
        "AND r.`client` IN {filter_0:Array(String)}",
        "AND r.tags[{filter_tag_1:String}] IN {filter_1:Array(String)}",
        "GROUP BY bucket, g1, g2",
        "FROM adjustments AS r FINAL",
    ] {
        assert!(text.contains(part), "{part} is not in {text}");
    }
    let value = |name: &str| statement.values.iter().find(|(bound, _)| bound == name).map(|(_, value)| value.clone());
    assert_eq!(value("group_tag_0"), Some(Value::Text("team".into())));
    assert_eq!(value("filter_1"), Some(Value::List(vec!["x".into(), "y".into()])));
    let to_micros = now().as_micros();
    assert!(text.contains(&format!("r.received_at < fromUnixTimestamp64Micro({to_micros}, 'UTC')")), "{text}");
    assert_eq!(value("row_limit"), Some(Value::Integer(11)));
}

#[test]
fn rollups_are_read_where_they_know_the_answer() {
    let text = |query: &str, rollups| sql(&usage(&asked(query), rollups, 10));
    let known = "from=-3d&to=-90s&group_by=client,outcome&model=m";
    let complete = text(known, Rollups::Complete);
    for part in
        ["FROM usage_1d WHERE", "FROM usage_1h WHERE", "FROM usage_1m WHERE", "AND `model` IN {filter_0:Array(String)}"]
    {
        assert!(complete.contains(part), "{part} is not in {complete}");
    }
    assert!(!text(known, Rollups::Incomplete).contains("usage_1"));
    assert!(!text("from=-3d&group_by=user", Rollups::Complete).contains("usage_1"));
}

#[test]
fn quantiles_are_read_in_the_smallest_cut_that_knows_the_names() {
    let latency = |query: &str| sql(&latency(&asked(query), Rollups::Complete, 10));
    let range = "from=-3d&to=-90s";
    for (more, part) in [
        ("", "FROM latency_1h WHERE {} AND cut = ''"),
        (
            "&interval=minute&client=a",
            "FROM latency_1m WHERE {} AND `client` IN {filter_0:Array(String)} AND cut = 'client'",
        ),
        ("&group_by=model", "FROM latency_1d WHERE {} AND cut = 'model,provider'"),
        ("&group_by=provider&client=a", "AND cut = 'client,model,provider'"),
        ("&group_by=endpoint", "FROM usage_1d WHERE"),
        ("&outcome=failed", "FROM usage_1d WHERE"),
    ] {
        let text = latency(&format!("{range}{more}"));
        let mut rest = text.as_str();
        for piece in part.split("{}") {
            let at = rest.find(piece).unwrap_or_else(|| panic!("{piece} is not in {text}"));
            rest = &rest[at + piece.len()..];
        }
        assert_eq!(text.contains("cut = "), !part.contains("usage_"), "{text}");
    }
    let providers = |query: &str| sql(&providers(&asked(query), Rollups::Complete, 10));
    let known = providers(&format!("{range}&group_by=provider,endpoint"));
    assert!(known.contains("FROM health_1h WHERE") && known.contains("AND cut = 'provider,endpoint'"), "{known}");
    assert!(known.contains("FROM usage_1h WHERE"), "tokens and cost are those of requests: {known}");
    assert!(providers(&format!("{range}&key=k")).contains("FROM candidates_1h WHERE"));
}

#[test]
fn of_the_rows_only_what_is_asked_for_is_in_the_text() {
    let usage = sql(&usage(&asked("from=-3d"), Rollups::Complete, 10));
    assert!(usage.contains("sum(r.attempts) AS upstream_attempts"), "{usage}");
    for part in ["quantilesDDState", "cost_usd", "response_bytes", "AS speed"] {
        assert!(!usage.contains(part), "{part} is in {usage}");
    }
    let costs = sql(&costs(&asked("from=-3d"), Rollups::Complete, 10));
    assert!(costs.contains("sum(r.cost_usd) AS cost_usd") && !costs.contains("r.reasoning_tokens"), "{costs}");
}

#[test]
fn what_was_known_at_a_time_is_read_from_what_was_written_until_then() {
    let asked = Aggregate::parse_with_history("from=-3d&as_of=-1d", now()).unwrap();
    let text = sql(&costs(&asked, Rollups::Complete, 10));
    assert!(!text.contains("usage_1"), "{text}");
    for part in ["AND r.recorded_at <= fromUnix", "AND r.adjusted_at <= fromUnix"] {
        assert!(text.contains(part), "{part} is not in {text}");
    }
}

#[test]
fn nothing_that_a_caller_sends_is_in_the_text() {
    let hostile = "x')%20OR%201=1--%7B%7Bscope%7D%7D%3F";
    let query = format!("group_by=tag:{hostile}&client={hostile}&user={hostile}&tag:{hostile}={hostile}");
    let asked = asked(&query);
    for statement in [
        usage(&asked, Rollups::Complete, 10),
        costs(&asked, Rollups::Complete, 10),
        costs(&asked, Rollups::Complete, 10).flattened(&asked),
    ] {
        assert!(!statement.sql.contains("OR 1=1"), "{}", statement.sql);
        assert!(!statement.sql.contains("{{"), "a placeholder is left: {}", statement.sql);
        assert!(!statement.sql.contains('?'), "the client would take it for its own: {}", statement.sql);
    }
}

#[test]
fn every_parameter_of_a_statement_is_bound_and_no_other() {
    let asked = asked("interval=day&group_by=tag:a,client,tag:b&tag:c=1&model=m&user=");
    let in_rollups = self::asked("from=-40d&to=-30s&group_by=client&key=k");
    let search = Search::parse("client=a&cursor=1.9.5.00000000-0000-0000-0000-000000000007", now()).unwrap();
    let id = Uuid::nil();
    let days = ["20260101".to_owned()];
    for statement in [
        usage(&asked, Rollups::Complete, 1),
        costs(&asked, Rollups::Complete, 1).flattened(&asked),
        latency(&asked, Rollups::Complete, 1),
        failures(&in_rollups, Rollups::Complete, 1),
        providers(&in_rollups, Rollups::Complete, 1),
        providers(&in_rollups, Rollups::Incomplete, 1),
        requests(&search, 1),
        Whose::ever(id).statement(include_str!("request.sql"), 1),
        Whose::ever(id).statement(include_str!("candidates.sql"), 1),
        Whose::ever(id).statement(include_str!("opened.sql"), 1),
        Whose::ever(id).statement(include_str!("bodies.sql"), 1),
        Whose::ever(id).statement(include_str!("adjustments.sql"), 1),
        of_days(include_str!("candidate_totals.sql"), &days),
        unapplied_migrations(),
        audit::events(&Recorded::Since(now())),
        audit::events(&Recorded::Before(now(), &[id].into())),
        audit::sums_of(asked.range),
        audit::checks_of(asked.range, now()),
        audit::size_of(now()),
        audit::differences_of(asked.range, now()),
    ] {
        let mut named: Vec<&str> =
            statement.sql.split('{').skip(1).filter_map(|rest| rest.split_once(':').map(|(name, _)| name)).collect();
        let mut bound: Vec<&str> = statement.values.iter().map(|(name, _)| name.as_str()).collect();
        named.sort_unstable();
        named.dedup();
        bound.sort_unstable();
        assert_eq!(named, bound, "{}", statement.sql);
    }
}

#[test]
fn files_have_a_column_per_dimension() {
    let asked = asked("interval=day&group_by=client,tag:team");
    let text = sql(&costs(&asked, Rollups::Complete, 10).flattened(&asked));
    let columns = "SELECT toDateTime(bucket, 'UTC') AS bucket, nullIf(groups[1], '') AS `client`, \
                   nullIf(groups[2], '') AS `tag_2`, * EXCEPT (bucket, groups)";
    assert!(text.starts_with(columns), "{text}");
}

/// Column names of a `CREATE TABLE` of the contract.
fn columns_of(table: &str) -> Vec<&'static str> {
    schemas::migrations::columns(table)
}

#[test]
fn rows_have_the_columns_of_their_tables() {
    fn columns<T: ::clickhouse::Row>() -> Vec<&'static str> {
        T::COLUMN_NAMES.to_vec()
    }
    assert_eq!(columns::<Request>(), columns_of("requests"));
    assert_eq!(columns::<Opened>(), columns_of("opened"));
    let known_from_the_request = ["request_id", "received_at", "client"];
    let mut candidates = columns_of("candidates");
    candidates.retain(|column| !known_from_the_request.contains(column));
    assert_eq!(columns::<Candidate>(), candidates);
    let known_from_the_request = ["request_id", "client", "format", "model", "outcome", "received_at"];
    let mut bodies = columns_of("bodies");
    bodies.retain(|column| !known_from_the_request.contains(column));
    assert_eq!(columns::<Bodies>(), bodies);
    let mut prices = columns_of("prices");
    prices.retain(|column| *column != "recorded_at");
    assert_eq!(columns::<PriceTier>(), prices);
}
