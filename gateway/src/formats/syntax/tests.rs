use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn end(text: &str) -> Option<usize> {
    Syntax::of(text.as_bytes()).value_end(0)
}

#[test]
fn a_value_ends_where_it_ends() {
    for text in [
        "1",
        "-1.5e+9",
        "null",
        "true",
        "false",
        r#""a\"b\\""#,
        "{}",
        "[ ]",
        r#"{ "a" : [1, {"b":"}"}, []], "c":{}}"#,
        "[[\n],\t{\"a\"\r:1}]",
    ] {
        for rest in ["", ",1", "}", "]", " x"] {
            assert_eq!(end(&format!("{text}{rest}")), Some(text.len()), "{text}{rest}");
        }
    }
}

#[test]
fn what_is_no_json_has_no_end() {
    for text in [
        "",
        "x",
        "nul",
        "+1",
        "{",
        "[",
        "\"",
        "\"a\\\"",
        "{]",
        "[}",
        "[1}",
        "{\"a\":1]",
        "[1,]",
        "{\"a\":1,}",
        "{\"a\"}",
        "{\"a\":}",
        "{a:1}",
        "{1:1}",
        "[1 2]",
        "[,1]",
        "{\"a\" 1}",
        "\"a\nb\"",
        "{\"a\n\":1}",
        "[\"\u{1}\"]",
    ] {
        assert_eq!(end(text), None, "{text}");
    }
}

#[test]
fn depth_costs_no_stack() {
    let (open, close) = ("[{\"a\":".repeat(100_000), "}]".repeat(100_000));
    let text = format!("{open}1{close}");
    assert_eq!(end(&format!("{text},")), Some(text.len()));
    assert_eq!(end(&open), None);
    let (open, close) = ("[".repeat(64), "]".repeat(64));
    assert_eq!((end(&format!("{open}1{close}")), end(&format!("[{open}1{close}]"))), (Some(129), Some(131)));
}

fn values() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(|number| json!(number)),
        ".*".prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 40, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::vec((".*", inner), 0..6).prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn agrees_with_serde_json(value in values(), is_pretty in any::<bool>(), cut in any::<prop::sample::Index>()) {
        let text = if is_pretty { serde_json::to_string_pretty(&value) } else { serde_json::to_string(&value) }.unwrap();
        prop_assert_eq!(end(&text), Some(text.len()));
        // Cut anywhere, it has no end, but for a number, which is one still.
        let cut = cut.index(text.len());
        if let Some(part) = text.get(..cut).filter(|_| !value.is_number()) {
            prop_assert_eq!(end(part), None);
        }
    }

    #[test]
    fn survives_anything(bytes in prop::collection::vec(prop::sample::select(b"{}[]\",:\\ \n1-enulltrue".to_vec()), 0..40)) {
        let end = Syntax::of(&bytes).value_end(0);
        let strict = serde_json::from_slice::<serde::de::IgnoredAny>(&bytes).is_ok();
        // Whatever serde_json takes is taken here; numbers and escapes are looked at less closely.
        prop_assert!(!strict || bytes.first() == Some(&b' ') || bytes.first() == Some(&b'\n')
            || end.is_some_and(|end| bytes.get(end..).unwrap().trim_ascii().is_empty()), "{:?}", bytes);
    }
}
