//! The values of one column, as the Native format has them.

use super::bytes::{Parts, put_text, texts};
use super::names::{DICTIONARY_VERSION, Names};

/// A row that does not fit its table: a fault of ours, or a table of another release.
#[derive(Clone, Debug, thiserror::Error)]
#[error("a row does not fit its table: {0}")]
pub struct Misfit(pub(super) String);

impl serde::ser::Error for Misfit {
    fn custom<T: std::fmt::Display>(message: T) -> Self {
        Self(message.to_string())
    }
}

/// Values so far.
#[derive(Clone, Debug)]
pub(super) enum Data {
    /// Numbers, times, ids: each so many bytes, the lowest first.
    Fixed { width: usize, bytes: Vec<u8> },
    /// `String`: each led by its length.
    Text { count: usize, bytes: Vec<u8> },
    /// `LowCardinality(String)`.
    Names(Names),
    /// A byte for each whether it is NULL, and a value for each all the same.
    Nullable { nulls: Vec<u8>, values: Box<Data> },
    /// Where each one ends, and the items of all.
    Array { ends: Vec<u8>, count: usize, items: Box<Data> },
    /// The first parts of all, then the second ones. A `Map` is an array of these.
    Pair(Box<[Data; 2]>),
}

impl Data {
    /// No values of a type yet; `None` if no row has such a type.
    pub(super) fn of(kind: &str) -> Option<Self> {
        let inside = |name: &str| kind.strip_prefix(name)?.strip_prefix('(')?.strip_suffix(')');
        let array = |items| Self::Array { ends: Vec::new(), count: 0, items: Box::new(items) };
        if kind == "LowCardinality(String)" {
            return Some(Self::Names(Names::default()));
        }
        if kind == "String" {
            return Some(Self::Text { count: 0, bytes: Vec::new() });
        }
        if let Some(inner) = inside("Nullable") {
            return Some(Self::Nullable { nulls: Vec::new(), values: Box::new(Self::of(inner)?) });
        }
        if let Some(inner) = inside("Array") {
            return Some(array(Self::of(inner)?));
        }
        if let Some((key, value)) = inside("Map").and_then(|inner| inner.split_once(", ")) {
            return Some(array(Self::Pair(Box::new([Self::of(key)?, Self::of(value)?]))));
        }
        Some(Self::Fixed { width: width(kind)?, bytes: Vec::new() })
    }

    /// Whether so many values are here, whole.
    pub(super) fn holds(&self, rows: usize) -> bool {
        match self {
            Self::Fixed { width, bytes } => bytes.len() == width * rows,
            Self::Text { count, .. } => *count == rows,
            Self::Names(names) => names.len() == rows,
            Self::Nullable { nulls, values } => nulls.len() == rows && values.holds(rows),
            Self::Array { ends, count, items } => ends.len() == 8 * rows && items.holds(*count),
            Self::Pair(pair) => pair.iter().all(|part| part.holds(rows)),
        }
    }

    /// Those values that are to stay, of as many as `keep` has.
    pub(super) fn kept(&self, keep: &[bool]) -> Self {
        match self {
            Self::Fixed { width, bytes } => Self::Fixed {
                width: *width,
                bytes: kept(bytes.chunks_exact(*width), keep).flatten().copied().collect(),
            },
            Self::Text { bytes, .. } => {
                let (mut count, mut stays) = (0, Vec::new());
                for text in kept(texts(bytes), keep) {
                    count += 1;
                    stays.extend_from_slice(text);
                }
                Self::Text { count, bytes: stays }
            }
            Self::Names(names) => Self::Names(names.kept(keep)),
            Self::Nullable { nulls, values } => Self::Nullable {
                nulls: kept(nulls.iter(), keep).copied().collect(),
                values: Box::new(values.kept(keep)),
            },
            Self::Array { ends, items, .. } => {
                let (mut count, mut from, mut new_ends, mut of_items) = (0_u64, 0, Vec::new(), Vec::new());
                for (end, keep) in ends.as_chunks::<8>().0.iter().map(|end| u64::from_le_bytes(*end)).zip(keep) {
                    let own = end.saturating_sub(from);
                    from = end;
                    of_items.extend((0..own).map(|_| *keep));
                    if *keep {
                        count += own;
                        new_ends.extend_from_slice(&count.to_le_bytes());
                    }
                }
                Self::Array { ends: new_ends, count: count as usize, items: Box::new(items.kept(&of_items)) }
            }
            Self::Pair(pair) => Self::Pair(Box::new(pair.each_ref().map(|part| part.kept(keep)))),
        }
    }

    /// What stands before the values of a column.
    pub(super) fn write_prefix(&self, out: &mut Vec<u8>) {
        match self {
            Self::Fixed { .. } | Self::Text { .. } => {}
            Self::Names(_) => out.extend_from_slice(&DICTIONARY_VERSION.to_le_bytes()),
            Self::Nullable { values, .. } => values.write_prefix(out),
            Self::Array { items, .. } => items.write_prefix(out),
            Self::Pair(pair) => pair.iter().for_each(|part| part.write_prefix(out)),
        }
    }

    /// The values.
    pub(super) fn parts<'a>(&'a self, out: &mut Parts<'a>) {
        match self {
            Self::Fixed { bytes, .. } | Self::Text { bytes, .. } => out.borrow(bytes),
            Self::Names(names) => names.parts(out),
            Self::Nullable { nulls, values } => {
                out.borrow(nulls);
                values.parts(out);
            }
            Self::Array { ends, items, .. } => {
                out.borrow(ends);
                items.parts(out);
            }
            Self::Pair(pair) => pair.iter().for_each(|part| part.parts(out)),
        }
    }

    /// Writes the same number over every value, if they have its width.
    pub(super) fn fill(&mut self, number: i64) -> Result<(), Misfit> {
        match self {
            Self::Fixed { width: 8, bytes } => {
                bytes.as_chunks_mut::<8>().0.iter_mut().for_each(|value| *value = number.to_le_bytes());
                Ok(())
            }
            _ => Err(Misfit("a number of 64 bits in a column of others".to_owned())),
        }
    }

    /// Adds a value of fixed width, or a part of one.
    pub(super) fn push_fixed(&mut self, value: &[u8]) -> Result<(), Misfit> {
        let Self::Fixed { bytes, .. } = self else { return Err(Misfit("a number in a column of others".to_owned())) };
        bytes.extend_from_slice(value);
        Ok(())
    }

    /// Adds a text.
    pub(super) fn push_text(&mut self, text: &[u8]) -> Result<(), Misfit> {
        match self {
            Self::Text { count, bytes } => {
                *count += 1;
                put_text(bytes, text);
            }
            Self::Names(names) => names.push(text),
            _ => return Err(Misfit("a text in a column of others".to_owned())),
        }
        Ok(())
    }

    /// Adds a NULL.
    pub(super) fn push_null(&mut self) -> Result<(), Misfit> {
        match self {
            Self::Nullable { nulls, values } => {
                nulls.push(1);
                match &mut **values {
                    Self::Fixed { width, bytes } => bytes.resize(bytes.len() + *width, 0),
                    other => other.push_text(b"")?,
                }
                Ok(())
            }
            _ => Err(Misfit("a NULL where there can be none".to_owned())),
        }
    }
}

/// Bytes of a value of a type whose values have all the same.
fn width(kind: &str) -> Option<usize> {
    let (name, arguments) = kind.split_once('(').unwrap_or((kind, ""));
    Some(match name {
        "Bool" | "UInt8" | "Int8" => 1,
        "UInt16" | "Int16" | "Date" => 2,
        "UInt32" | "Int32" | "Float32" | "DateTime" => 4,
        "UInt64" | "Int64" | "Float64" | "DateTime64" => 8,
        "UInt128" | "Int128" | "UUID" => 16,
        "Decimal" => match arguments.split(',').next()?.parse::<u32>().ok()? {
            1..=9 => 4,
            10..=18 => 8,
            19..=38 => 16,
            _ => return None,
        },
        _ => return None,
    })
}

/// Of some values those that are to stay.
fn kept<T>(values: impl Iterator<Item = T>, keep: &[bool]) -> impl Iterator<Item = T> {
    values.zip(keep).filter(|(_, keep)| **keep).map(|(value, _)| value)
}

#[cfg(test)]
impl Data {
    /// Texts.
    pub(super) fn texts(&self) -> Vec<String> {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        match self {
            Self::Text { bytes, .. } => texts(bytes).map(|all| text(super::bytes::without_length(all))).collect(),
            Self::Names(names) => names.texts().into_iter().map(text).collect(),
            other => panic!("no texts: {other:?}"),
        }
    }

    /// Numbers.
    pub(super) fn numbers(&self) -> Vec<Option<i128>> {
        match self {
            Self::Fixed { width, bytes } => {
                let number = |value: &[u8]| {
                    let mut number = [0; 16];
                    number[..*width].copy_from_slice(value);
                    Some(i128::from_le_bytes(number))
                };
                bytes.chunks_exact(*width).map(number).collect()
            }
            Self::Nullable { nulls, values } => {
                nulls.iter().zip(values.numbers()).map(|(null, value)| value.filter(|_| *null == 0)).collect()
            }
            other => panic!("no numbers: {other:?}"),
        }
    }
}
