//! Dashboards are what Grafana expects, as far as their text can tell; the tests in `it` run their queries.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::source::{SourceFile, files_ending, read};

/// Grafana divides a dashboard's width into so many columns.
const COLUMNS: u64 = 24;
/// The panels in use, all of them Grafana's own.
const PANELS: &[&str] = &["row", "timeseries", "stat", "table"];
/// What the data source's queries consist of.
const LANGUAGES: &[(&str, &str)] = &[("prometheus", "expr"), ("grafana-clickhouse-datasource", "rawSql")];

fn dashboards() -> Vec<(SourceFile, Value)> {
    let files: Vec<SourceFile> =
        files_ending(".json").into_iter().filter(|file| file.path.starts_with("deploy/grafana/dashboards/")).collect();
    files
        .into_iter()
        .map(|file| {
            let parsed = serde_json::from_str(&file.text).unwrap_or_else(|error| panic!("{}: {error}", file.path));
            (file, parsed)
        })
        .collect()
}

fn list<'a>(value: &'a Value, name: &str) -> &'a [Value] {
    value[name].as_array().map_or(&[], Vec::as_slice)
}

/// Type and uid of the provisioned data sources.
fn provisioned() -> Vec<(String, String)> {
    let files = files_ending(".yml").into_iter().filter(|file| file.path.starts_with("deploy/grafana/datasources/"));
    files
        .map(|file| {
            let value = |name: &str| {
                let line = file.text.lines().find_map(|line| line.trim().strip_prefix(name)?.strip_prefix(": "));
                line.unwrap_or_else(|| panic!("{} has no {name}", file.path)).to_owned()
            };
            (value("type"), value("uid"))
        })
        .collect()
}

#[test]
fn every_dashboard_has_what_grafana_needs_and_no_name_twice() {
    let dashboards = dashboards();
    assert_eq!(dashboards.len(), 3, "operations, pipeline, spend");
    let mut uids = BTreeSet::new();
    for (file, dashboard) in &dashboards {
        let text = |name: &str| dashboard[name].as_str().unwrap_or_else(|| panic!("{}: no {name}", file.path));
        assert!(uids.insert(text("uid").to_owned()), "{}: its uid is taken", file.path);
        assert!(!text("title").is_empty() && !text("description").is_empty(), "{}", file.path);
        assert_eq!(text("timezone"), "utc", "{}: Weir's days are in UTC", file.path);
        assert!(dashboard["schemaVersion"].as_u64().is_some_and(|version| version >= 39), "{}", file.path);
        assert!(dashboard["id"].is_null(), "{}: an id is the database's", file.path);
    }
}

#[test]
fn every_panel_is_explained_placed_and_asks_a_provisioned_data_source() {
    let sources = provisioned();
    for (file, dashboard) in dashboards() {
        let (mut ids, mut taken) = (BTreeSet::new(), BTreeSet::new());
        let variables: BTreeSet<&str> =
            list(&dashboard["templating"], "list").iter().filter_map(|variable| variable["name"].as_str()).collect();
        for panel in list(&dashboard, "panels") {
            let at = format!("{}: {}", file.path, panel["title"]);
            assert!(panel["id"].as_u64().is_some_and(|id| ids.insert(id)), "{at}: an id of its own");
            let kind = panel["type"].as_str().unwrap_or_default();
            assert!(PANELS.contains(&kind), "{at}: {kind} is not in PANELS");
            let side = |name: &str| panel["gridPos"][name].as_u64().unwrap_or_else(|| panic!("{at}: no {name}"));
            let (x, y, width, height) = (side("x"), side("y"), side("w"), side("h"));
            assert!(x + width <= COLUMNS && width > 0 && height > 0, "{at}: too wide");
            let mut cells = (x..x + width).flat_map(|x| (y..y + height).map(move |y| (x, y)));
            assert!(cells.all(|cell| taken.insert(cell)), "{at}: lies over another panel");
            if kind == "row" {
                continue;
            }
            assert!(panel["description"].as_str().is_some_and(|text| text.len() > 10), "{at}: what does it show?");
            assert!(panel["fieldConfig"]["defaults"]["unit"].is_string(), "{at}: in which unit?");
            check_targets(&at, panel, &sources, &variables);
        }
    }
}

fn check_targets(at: &str, panel: &Value, sources: &[(String, String)], variables: &BTreeSet<&str>) {
    let mut letters = BTreeSet::new();
    assert!(!list(panel, "targets").is_empty(), "{at}: it asks nothing");
    for target in list(panel, "targets") {
        assert!(target["refId"].as_str().is_some_and(|letter| letters.insert(letter)), "{at}: a refId of its own");
        assert_eq!(target["datasource"], panel["datasource"], "{at}");
        let name = |name: &str| target["datasource"][name].as_str().unwrap_or_default().to_owned();
        let source = (name("type"), name("uid"));
        assert!(sources.contains(&source), "{at}: {source:?} is not among {sources:?}");
        let language = LANGUAGES.iter().find(|(kind, _)| *kind == source.0).map(|(_, field)| *field);
        let query = language.and_then(|field| target[field].as_str()).unwrap_or_default();
        assert!(!query.is_empty(), "{at}: no query");
        for used in query.split('$').skip(1).filter(|rest| !rest.starts_with("__")) {
            let used = used.trim_start_matches('{');
            let end = used.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(used.len());
            assert!(variables.contains(&used[..end]), "{at}: there is no variable {}", &used[..end]);
        }
    }
}

#[test]
fn compose_gives_grafana_its_plugin_its_files_and_the_analysts_user() {
    let compose = read("compose.yaml").text;
    for needed in [
        "GF_PLUGINS_PREINSTALL: grafana-clickhouse-datasource@",
        "./deploy/grafana/datasources:/etc/grafana/provisioning/datasources:ro",
        "./deploy/grafana/dashboards:/etc/grafana/provisioning/dashboards:ro",
        "./deploy/alerts.yml:/etc/prometheus/alerts.yml:ro",
        "ANALYST_PASSWORD: ${ANALYST_PASSWORD:-weir}",
    ] {
        assert!(compose.contains(needed), "compose.yaml: {needed}");
    }
}

/// The tables of the analysts' page, which is where a reader learns what there is.
fn tables_of_the_page() -> BTreeSet<String> {
    let page = read("docs/clickhouse.md").text;
    let cells = page.lines().filter(|line| line.starts_with("| `")).filter_map(|line| line.split('|').nth(1));
    cells.flat_map(|names| names.split('`').skip(1).step_by(2)).map(str::to_owned).collect()
}

#[test]
fn the_analysts_user_reads_every_table_of_the_page_but_those_that_hold_what_people_wrote() {
    let users = read("deploy/clickhouse/users.xml").text;
    let granted: BTreeSet<String> = users
        .lines()
        .filter_map(|line| line.trim().strip_prefix("<query>GRANT SELECT ON weir.")?.strip_suffix("</query>"))
        .map(str::to_owned)
        .collect();
    let mut told = tables_of_the_page();
    assert!(told.remove("bodies") && told.remove("dead_letters"), "the page names them too");
    assert_eq!(granted, told, "deploy/clickhouse/users.xml grants what docs/clickhouse.md tells");
    assert_eq!(users.matches("GRANT").count(), granted.len(), "nothing else is granted");
    for bound in ["<readonly>2</readonly>", "<max_execution_time>60</max_execution_time>", "<quota>analyst</quota>"] {
        assert!(users.contains(bound), "{bound}");
    }
}

/// Beginnings of names that the page leaves out: sums of tries, which the API reads, and the books about all sums.
const LEFT_OUT: &[&str] = &["candidates_1", "seals", "backfills"];

#[test]
fn the_page_tells_of_every_table_that_migrations_make() {
    let told = tables_of_the_page();
    for migration in schemas::migrations::ALL {
        let name = migration.sql.split("{database}.").nth(1).unwrap_or_default();
        let name = name.split([' ', '\n']).next().unwrap_or_default();
        let is_for_readers = ["CREATE TABLE", "CREATE VIEW"].iter().any(|start| migration.sql.contains(start));
        let is_left_out = LEFT_OUT.iter().any(|start| name.starts_with(start));
        assert!(!is_for_readers || is_left_out || told.contains(name), "docs/clickhouse.md does not tell of {name}");
    }
}
