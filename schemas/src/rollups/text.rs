//! The text of a source without the sums that nobody asks for. Pure.
//!
//! ClickHouse takes a statement apart before it finds out that most of it is not asked for, and for an answer from rollups
//! that is most of the work: every sum that is not in the text is a tenth of a millisecond and more.

/// How each column of a text begins; what goes on in a further line stands deeper.
const COLUMN: &str = "\n    ";

/// The text with those of its sums that are `wanted`, in its own order, and with those of its names that they use.
pub(super) fn only(sql: &str, wanted: &[&str]) -> String {
    let (names, select) = sql.split_once("SELECT\n").unwrap_or(("", sql));
    let (sums, from) = select.split_once("\nFROM ").unwrap_or((select, ""));
    let is_wanted = |column: &&String| match column.rsplit_once(" AS ") {
        Some((_, name)) => wanted.contains(&name),
        // The placeholder of the keys.
        None => true,
    };
    let sums: Vec<String> = columns(sums).into_iter().filter(|column| is_wanted(&column)).collect();
    let sums = sums.join(&format!(",{COLUMN}"));
    let is_used = |column: &&String| column.rsplit_once(" AS ").is_none_or(|(_, name)| has_word(&sums, name));
    let names: Vec<String> =
        columns(names.trim_start_matches("WITH")).into_iter().filter(|name| is_used(&name)).collect();
    let with = match names.is_empty() {
        true => String::new(),
        false => format!("WITH{COLUMN}{}\n", names.join(&format!(",{COLUMN}"))),
    };
    format!("{with}SELECT{COLUMN}{sums}\nFROM {from}")
}

/// The columns of a list, without the commas between them.
fn columns(list: &str) -> Vec<String> {
    let mut columns: Vec<String> = Vec::new();
    for line in list.lines().filter(|line| !line.trim().is_empty()) {
        match (line.strip_prefix("        "), columns.last_mut()) {
            (Some(_), Some(last)) => *last = format!("{last}\n{line}"),
            _ => columns.push(line.trim_start().to_owned()),
        }
    }
    for column in &mut columns {
        column.truncate(column.trim_end_matches(',').len());
    }
    columns
}

/// Whether a text names something: the name with no letter, digit, underscore or point beside it.
fn has_word(text: &str, word: &str) -> bool {
    let part_of_a_name = |c: char| c.is_alphanumeric() || c == '_' || c == '.';
    text.split(|c: char| !part_of_a_name(c)).any(|found| found == word)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
WITH
    r.a > 0 AS charged,
    if(charged_or_not,
        1, NULL) AS speed
SELECT
    {{keys}},
    count() AS requests,
    countIf(charged AND (r.b IS NULL
        OR r.c IS NULL)) AS unknown,
    max(r.speed) AS fastest,
    count(speed) AS speeds
FROM {{requests}} AS r{{final}}
{{where}}GROUP BY {{group_by}}
";

    #[test]
    fn what_is_not_wanted_is_left_out_with_the_names_that_only_it_uses() {
        assert_eq!(only(TEXT, &["requests", "unknown", "fastest", "speeds"]), TEXT);
        let end = "\nFROM {{requests}} AS r{{final}}\n{{where}}GROUP BY {{group_by}}\n";
        assert_eq!(only(TEXT, &["requests"]), format!("SELECT\n    {{{{keys}}}},\n    count() AS requests{end}"));
        assert_eq!(
            only(TEXT, &["unknown", "no such sum", "fastest"]),
            format!(
                "WITH\n    r.a > 0 AS charged\nSELECT\n    {{{{keys}}}},\n    countIf(charged AND (r.b IS NULL\n        \
                 OR r.c IS NULL)) AS unknown,\n    max(r.speed) AS fastest{end}"
            )
        );
    }
}
