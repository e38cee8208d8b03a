//! What a block looks like, byte by byte.

use clickhouse::Row;
use serde::Serialize;
use uuid::Uuid;

use super::block;
use crate::rows::TableRow;

#[derive(Clone, Debug, Default, Row, Serialize)]
struct Sample {
    #[serde(with = "clickhouse::serde::uuid")]
    id: Uuid,
    name: &'static str,
    words: String,
    tags: Vec<(String, String)>,
    cost: Option<i128>,
    #[serde(with = "clickhouse::serde::uuid::option")]
    epoch: Option<Uuid>,
    hours: Vec<u32>,
    flag: bool,
    time: f64,
}

const KINDS: [(&str, &str); 9] = [
    ("id", "UUID"),
    ("name", "LowCardinality(String)"),
    ("words", "String"),
    ("tags", "Map(LowCardinality(String), String)"),
    ("cost", "Nullable(Decimal(38, 12))"),
    ("epoch", "Nullable(UUID)"),
    ("hours", "Array(UInt32)"),
    ("flag", "Bool"),
    ("time", "Float64"),
];

impl TableRow for Sample {
    const TABLE: &'static str = "sample";

    fn columns() -> Vec<(&'static str, &'static str)> {
        KINDS.to_vec()
    }
}

fn sample() -> Vec<Sample> {
    let tag = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    let first = Sample {
        id: Uuid::from_u128(0x0102_0304_0506_0708_090a_0b0c_0d0e_0f10),
        name: "a",
        words: "hello".to_owned(),
        tags: vec![tag("k", "v"), tag("l", "w")],
        cost: Some(-1),
        epoch: Some(Uuid::from_u128(1)),
        hours: vec![7],
        flag: true,
        time: 0.5,
    };
    vec![first.clone(), Sample { name: "b", ..Sample::default() }, Sample { tags: vec![tag("l", "")], ..first }]
}

fn text(text: &str) -> Vec<u8> {
    [&[text.len() as u8], text.as_bytes()].concat()
}

fn numbers(numbers: &[u64]) -> Vec<u8> {
    numbers.iter().flat_map(|number| number.to_le_bytes()).collect()
}

#[test]
fn columns_stand_one_behind_another_with_names_and_types() {
    let id = numbers(&[0x0102_0304_0506_0708, 0x090a_0b0c_0d0e_0f10]);
    let values: [Vec<Vec<u8>>; 9] = [
        vec![id.clone(), numbers(&[0, 0]), id],
        // The version; flags, keys, rows.
        vec![numbers(&[1, 0x600, 2]), text("a"), text("b"), numbers(&[3]), vec![0, 1, 0]],
        vec![text("hello"), text(""), text("hello")],
        vec![
            numbers(&[1]),
            numbers(&[2, 2, 3]),
            numbers(&[0x600, 2]),
            text("k"),
            text("l"),
            numbers(&[3]),
            vec![0, 1, 1],
            text("v"),
            text("w"),
            text(""),
        ],
        vec![vec![0, 1, 0], vec![0xff; 16], vec![0; 16], vec![0xff; 16]],
        vec![vec![0, 1, 0], numbers(&[0, 1, 0, 0, 0, 1])],
        vec![numbers(&[1, 1, 2]), vec![7, 0, 0, 0, 7, 0, 0, 0]],
        vec![vec![1, 0, 1]],
        vec![numbers(&[0.5_f64.to_bits(), 0, 0.5_f64.to_bits()])],
    ];
    let mut expected = vec![9, 3];
    for ((name, kind), values) in KINDS.iter().zip(values) {
        expected.extend([text(name), text(kind), values.concat()].concat());
    }
    assert_eq!(block::of(&sample()).unwrap(), expected);
}

#[test]
fn a_dictionary_of_many_names_has_wider_numbers_and_none_without_rows() {
    #[derive(Row, Serialize)]
    struct Name {
        name: String,
        tags: Vec<(String, String)>,
    }
    impl TableRow for Name {
        const TABLE: &'static str = "names";

        fn columns() -> Vec<(&'static str, &'static str)> {
            vec![("name", "LowCardinality(String)"), ("tags", "Map(LowCardinality(String), String)")]
        }
    }
    let names = |count: u32| (0..count).map(|name| Name { name: format!("{name:05}"), tags: Vec::new() });
    for (count, width) in [(256, 1), (257, 2), (65_536, 2), (65_537, 4)] {
        let rows: Vec<Name> = names(count).chain(names(1)).collect();
        let block = block::of(&rows).unwrap();
        let (keys, rows) = (count as usize * 6, rows.len());
        // The header, the two columns' names and types and versions, a dictionary, and where empty maps end.
        let around = 1 + if rows < 1 << 14 { 2 } else { 3 } + (5 + 23 + 8) + (5 + 36 + 8);
        assert_eq!(block.len(), around + 3 * 8 + keys + rows * width + rows * 8, "{count}");
    }
}

#[test]
fn what_does_not_fit_its_table_is_no_block() {
    macro_rules! refused {
        ($name:ident, $type:ty, $value:expr, $kind:literal, $column:literal) => {{
            #[derive(Row, Serialize)]
            struct $name {
                a: $type,
            }
            impl TableRow for $name {
                const TABLE: &'static str = "odd";

                fn columns() -> Vec<(&'static str, &'static str)> {
                    vec![($column, $kind)]
                }
            }
            block::of(&[$name { a: $value }]).unwrap_err().to_string()
        }};
    }
    assert!(refused!(Narrow, u16, 1, "UInt64", "a").contains("not 1 values of UInt64"));
    assert!(refused!(Words, String, String::new(), "UInt64", "a").contains("a text"));
    assert!(refused!(Number, u64, 1, "String", "a").contains("a number"));
    assert!(refused!(Maybe, Option<u64>, None, "UInt64", "a").contains("NULL"));
    assert!(refused!(Sure, u64, 1, "Nullable(UInt64)", "a").contains("a number"));
    assert!(refused!(Other, u64, 1, "UInt64", "b").contains("a stands where b is due"));
    assert!(refused!(Unknown, u64, 1, "Variant(UInt64)", "a").contains("no way to write"));
}
