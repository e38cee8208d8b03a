//! Believable text, token by token. Some tokens are not ASCII, as in real answers.

use super::random::Random;

const SUBJECTS: &[&[&str]] = &[
    &["The", " weir"],
    &["A", " careful", " engineer"],
    &["Every", " request"],
    &["The", " upstream", " provider"],
    &["Our", " na\u{ef}ve", " estimate"],
    &["The", " second", " measurement"],
    &["A", " caf\u{e9}", " in", " Z\u{fc}rich"],
    &["The", " river"],
];
const VERBS: &[&[&str]] = &[
    &[" keeps"],
    &[" measures"],
    &[" carefully", " records"],
    &[" explains"],
    &[" does", " not", " change"],
    &[" slowly", " raises"],
    &[" compares"],
];
const OBJECTS: &[&[&str]] = &[
    &[" the", " level", " of", " the", " water"],
    &[" each", " token", " exactly", " once"],
    &[" what", " was", " promised"],
    &[" the", " bill", " to", " the", " last", " digit"],
    &[" both", " sides", " of", " the", " ledger"],
    &[" \u{201c}unknown\u{201d}", " rather", " than", " zero"],
    &[" 1", ",", "024", " samples", " per", " second"],
];
const ENDINGS: &[&[&str]] = &[
    &["."],
    &[",", " even", " when", " the", " network", " fails", "."],
    &[" \u{2014}", " and", " nothing", " else", "."],
    &[",", " which", " is", " why", " it", " works", "."],
    &["\u{2026}"],
    &[" \u{1f30a}", "."],
    &[":", "\n\n", "-", " first", ";", "\n", "-", " second", "."],
];

/// `count` tokens of text.
pub(super) fn tokens(random: &mut Random, count: u64) -> Vec<&'static str> {
    let count = usize::try_from(count).unwrap_or(usize::MAX);
    let mut tokens = Vec::new();
    while tokens.len() < count {
        if !tokens.is_empty() {
            tokens.push(" ");
        }
        for part in [SUBJECTS, VERBS, OBJECTS, ENDINGS] {
            tokens.extend_from_slice(random.pick(part));
        }
    }
    tokens.truncate(count);
    tokens
}
