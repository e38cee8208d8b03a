//! The values of one column, as the Native format has them.

use std::collections::HashMap;

/// A row that does not fit its table: a fault of ours, or a table of another release.
#[derive(Debug, thiserror::Error)]
#[error("a row does not fit its table: {0}")]
pub(super) struct Misfit(pub(super) String);

impl serde::ser::Error for Misfit {
    fn custom<T: std::fmt::Display>(message: T) -> Self {
        Self(message.to_string())
    }
}

/// The version of the form of dictionaries: a dictionary of its own with every block.
const DICTIONARY_VERSION: u64 = 1;
/// Flags of a dictionary: it has keys of its own, and they are new.
const DICTIONARY_FLAGS: u64 = 1 << 9 | 1 << 10;

/// Values so far.
#[derive(Debug)]
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
            Self::Names(names) => names.numbers.len() == rows,
            Self::Nullable { nulls, values } => nulls.len() == rows && values.holds(rows),
            Self::Array { ends, count, items } => ends.len() == 8 * rows && items.holds(*count),
            Self::Pair(pair) => pair.iter().all(|part| part.holds(rows)),
        }
    }

    /// About how many bytes there are to write.
    pub(super) fn size(&self) -> usize {
        match self {
            Self::Fixed { bytes, .. } | Self::Text { bytes, .. } => bytes.len(),
            Self::Names(names) => names.keys.len() + 4 * names.numbers.len() + 32,
            Self::Nullable { nulls, values } => nulls.len() + values.size(),
            Self::Array { ends, items, .. } => ends.len() + items.size(),
            Self::Pair(pair) => pair.iter().map(Self::size).sum(),
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
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Fixed { bytes, .. } | Self::Text { bytes, .. } => out.extend_from_slice(bytes),
            Self::Names(names) => names.write(out),
            Self::Nullable { nulls, values } => {
                out.extend_from_slice(nulls);
                values.write(out);
            }
            Self::Array { ends, items, .. } => {
                out.extend_from_slice(ends);
                items.write(out);
            }
            Self::Pair(pair) => pair.iter().for_each(|part| part.write(out)),
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

/// A dictionary, and for each value its number there.
#[derive(Debug, Default)]
pub(super) struct Names {
    known: HashMap<Box<[u8]>, u32>,
    keys: Vec<u8>,
    numbers: Vec<u32>,
    /// The last one: mostly the next one is the same.
    last: Vec<u8>,
}

impl Names {
    fn push(&mut self, name: &[u8]) {
        if let Some(number) = self.numbers.last().copied().filter(|_| self.last == name) {
            self.numbers.push(number);
            return;
        }
        let number = self.known.get(name).copied().unwrap_or_else(|| {
            // A block has fewer rows than there are numbers.
            let number = u32::try_from(self.known.len()).unwrap_or(u32::MAX);
            self.known.insert(name.into(), number);
            put_text(&mut self.keys, name);
            number
        });
        self.numbers.push(number);
        self.last.clear();
        self.last.extend_from_slice(name);
    }

    fn write(&self, out: &mut Vec<u8>) {
        if self.numbers.is_empty() {
            return;
        }
        // Numbers are as wide as the largest needs: 1, 2 or 4 bytes, which the flags call 0, 1 and 2.
        let width_code = match self.known.len() {
            ..=0x100 => 0_u64,
            0x101..=0x1_0000 => 1,
            _ => 2,
        };
        out.extend_from_slice(&(DICTIONARY_FLAGS | width_code).to_le_bytes());
        out.extend_from_slice(&(self.known.len() as u64).to_le_bytes());
        out.extend_from_slice(&self.keys);
        out.extend_from_slice(&(self.numbers.len() as u64).to_le_bytes());
        let width = 1 << width_code;
        self.numbers.iter().for_each(|number| out.extend(number.to_le_bytes().iter().take(width)));
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

/// Appends a text led by its length.
pub(super) fn put_text(out: &mut Vec<u8>, text: &[u8]) {
    put_varint(out, text.len());
    out.extend_from_slice(text);
}

/// Appends a number in LEB128.
pub(super) fn put_varint(out: &mut Vec<u8>, mut number: usize) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}
