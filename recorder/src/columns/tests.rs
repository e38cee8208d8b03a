//! What a block looks like, byte by byte.

use clickhouse::Row;
use serde::Serialize;
use uuid::Uuid;

use super::Block;
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
    assert_eq!(Block::of(&sample()).bytes(), expected);
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
        let block = Block::of(&rows).bytes();
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
            Block::of(&[$name { a: $value }]).pieces().unwrap_err().to_string()
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

/// Rows that differ in everything, many names among them.
fn many(count: u32) -> Vec<Sample> {
    let name = |row: u32| -> &'static str { ["a", "b", "c"][row as usize % 3] };
    let tags = |row: u32| (0..row % 4).map(|tag| (format!("k{tag}"), format!("v{row}"))).collect();
    let row = |row: u32| Sample {
        id: Uuid::from_u128(u128::from(row) << 40),
        name: name(row),
        words: "x".repeat(row as usize % 300),
        tags: tags(row),
        cost: (row % 3 != 1).then(|| -i128::from(row)),
        epoch: (row & 1 == 1).then(|| Uuid::from_u128(u128::from(row))),
        hours: (0..row % 5).collect(),
        flag: row % 7 == 1,
        time: f64::from(row),
    };
    (0..count).map(row).collect()
}

#[test]
fn rows_that_stay_are_those_of_a_block_without_the_others() {
    let rows = many(400);
    for seed in [0, 1, 2, 3, 5, 7] {
        let stays = |row: usize| seed > 0 && (row * 31 + seed) % 7 < seed;
        let keep: Vec<bool> = (0..rows.len()).map(stays).collect();
        let mut block = Block::of(&rows);
        block.retain(&keep);
        let kept: Vec<Sample> =
            rows.iter().enumerate().filter(|(at, _)| stays(*at)).map(|(_, row)| row.clone()).collect();
        assert_eq!((block.rows(), block.bytes()), (kept.len(), Block::of(&kept).bytes()), "{seed}");
        // Rows may follow.
        block.push(&rows[9]);
        assert_eq!(block.bytes(), Block::of(&[&kept[..], &rows[9..10]].concat()).bytes());
    }
}

#[test]
fn halves_are_the_blocks_of_their_rows() {
    let rows = many(301);
    for middle in [0, 1, 150, 300, 301] {
        let [first, second] = Block::of(&rows).halves(middle).map(|half| half.bytes());
        assert_eq!(first, Block::of(&rows[..middle]).bytes(), "{middle}");
        assert_eq!(second, Block::of(&rows[middle..]).bytes(), "{middle}");
    }
}

#[test]
fn a_field_is_written_into_every_row_and_only_if_it_fits() {
    let mut block = Block::of(&many(3));
    block.fill("time", 5);
    let expected: Vec<Sample> = many(3).into_iter().map(|row| Sample { time: f64::from_bits(5), ..row }).collect();
    assert_eq!(block.bytes(), Block::of(&expected).bytes());
    for (name, reason) in [("words", "in a column of others"), ("nothing", "is no column")] {
        let mut block = Block::of(&many(3));
        block.fill(name, 5);
        assert!(block.pieces().unwrap_err().to_string().contains(reason), "{name}");
    }
}

#[test]
fn large_columns_are_not_copied() {
    let block = Block::of(&many(5_000));
    let pieces = block.pieces().unwrap();
    let owned: usize =
        pieces.iter().filter(|piece| matches!(piece, std::borrow::Cow::Owned(_))).map(|piece| piece.len()).sum();
    let all: usize = pieces.iter().map(|piece| piece.len()).sum();
    assert!(owned * 20 < all, "{owned} of {all} bytes are copies");
}
