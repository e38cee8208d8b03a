//! The one text of each source, and what is made of it.

use super::*;
use crate::migrations;

/// The last file of a view: it was made by the first one, and others may have given it another text.
fn file(name: &str) -> &'static str {
    migrations::ALL.iter().rfind(|migration| migration.name.ends_with(name)).unwrap().sql
}

/// What a view selects, by the statement that made or changed it.
fn selected(statement: &'static str) -> &'static str {
    statement
        .split_once(" AS\n")
        .filter(|(made, _)| made.contains("CREATE MATERIALIZED VIEW"))
        .or_else(|| statement.split_once(" MODIFY QUERY\n"))
        .unwrap()
        .1
}

#[test]
fn views_are_made_of_the_one_text() {
    for family in Family::ALL {
        for grain in Grain::ALL {
            if !family.cuts().is_empty() && grain != Grain::Minute {
                let (name, text) = (family.table(grain), family.of_minutes(grain, "{database}."));
                let file = file(&format!("_{name}_of_{}", family.table(Grain::Minute)));
                assert_eq!(selected(file).replace('\n', " ").trim_end(), text, "{name}");
                continue;
            }
            for source in family.sources() {
                let name = format!("_{}_of_{}", family.table(grain), source.table);
                let text = selected(file(&name));
                let table = format!("{{database}}.{}", source.table);
                assert_eq!(text, source.rollup(family, grain, &table, None), "{name}");
            }
        }
    }
}

#[test]
fn the_tables_of_a_family_have_the_same_columns_beginning_with_its_dimensions() {
    for family in Family::ALL {
        let [minutes, hours, days] = Grain::ALL.map(|grain| migrations::columns(&family.table(grain)));
        assert_eq!((&minutes, &minutes), (&hours, &days));
        let (keys, sums) = minutes.split_at(family.dimensions().len() + 1);
        assert_eq!(keys, [&["bucket"], family.dimensions()].concat());
        for column in family.quantiles() {
            assert!(sums.contains(column), "{column}");
        }
        assert!(sums.iter().any(|column| family.counted().contains(&format!("({column}"))), "{}", family.counted());
    }
}

#[test]
fn the_smallest_cut_that_knows_the_names_is_taken_and_the_largest_knows_all() {
    let cut = |names: &[&str]| Family::Latency.cut(names);
    assert_eq!(cut(&[]).as_deref(), Some(""));
    assert_eq!(cut(&["client"]).as_deref(), Some("client"));
    assert_eq!(cut(&["provider"]).as_deref(), Some("model,provider"));
    assert_eq!(cut(&["model", "client"]).as_deref(), Some("client,model,provider"));
    assert_eq!(cut(&["endpoint"]), None);
    assert_eq!(Family::Usage.cut(&[]), None);
    for family in [Family::Latency, Family::Health] {
        let sizes: Vec<usize> = family.cuts().iter().map(|cut| cut.len()).collect();
        assert!(sizes.is_sorted(), "{sizes:?}");
        let largest = family.cuts().last().unwrap();
        assert!(family.cuts().iter().flat_map(|cut| *cut).all(|name| largest.contains(name)));
        assert!(largest.iter().all(|name| family.dimensions().contains(name)));
    }
}

#[test]
fn a_text_with_all_its_sums_is_the_whole_text_and_one_without_has_none_of_the_rest() {
    for source in Family::ALL.iter().flat_map(|family| family.sources()) {
        assert_eq!(text::only(source.sql, source.sums), source.sql, "{}", source.table);
        for kept in source.sums {
            let text = text::only(source.sql, &[kept]);
            for name in source.sums {
                assert_eq!(text.contains(&format!(" AS {name}\n")), name == kept, "{name} of {text}");
            }
        }
    }
}

#[test]
fn every_sum_of_a_source_has_its_column() {
    for family in Family::ALL {
        let columns = migrations::columns(&family.table(Grain::Hour));
        for source in family.sources() {
            let sums = source.sql.split("{{keys}},").nth(1).unwrap().split("\nFROM").next().unwrap();
            let named: Vec<&str> = sums
                .lines()
                .filter_map(|line| line.trim_end_matches(',').rsplit_once(" AS "))
                .map(|(_, name)| name)
                .collect();
            assert_eq!(named, source.sums, "{}", source.table);
            for name in named {
                assert!(columns.contains(&name), "{name} of {} is not in the rollups", source.table);
            }
        }
    }
}
