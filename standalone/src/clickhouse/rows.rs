//! Joins the chunks of a streamed result into one.
//!
//! The engine formats every chunk as a document of its own, so only formats whose documents can be put one behind
//! another may be streamed; of those with a header in front, the header of every chunk but the first is cut off.

/// Formats without anything before, between or after the rows.
const PLAIN: [&str; 12] = [
    "RowBinary",
    "Native",
    "TabSeparated",
    "TSV",
    "TabSeparatedRaw",
    "TSVRaw",
    "CSV",
    "JSONEachRow",
    "JSONLines",
    "NDJSON",
    "JSONCompactEachRow",
    "JSONStringsEachRow",
];

/// Whether a format's chunks can be joined.
pub(super) fn is_streamable(format: &str) -> bool {
    PLAIN.contains(&format) || strings_per_column(format).is_some()
}

/// How many strings stand per column in a format's binary header.
fn strings_per_column(format: &str) -> Option<u64> {
    match format {
        "RowBinaryWithNames" => Some(1),
        "RowBinaryWithNamesAndTypes" => Some(2),
        _ => None,
    }
}

/// Joins the chunks of one result.
pub(super) struct Joiner {
    strings_per_column: Option<u64>,
    header: Option<Vec<u8>>,
}

impl Joiner {
    pub(super) fn new(format: &str) -> Self {
        Self { strings_per_column: strings_per_column(format), header: None }
    }

    /// The part of a chunk that goes out.
    pub(super) fn join<'c>(&mut self, chunk: &'c [u8]) -> &'c [u8] {
        let Some(strings_per_column) = self.strings_per_column else { return chunk };
        match &self.header {
            Some(header) => chunk.strip_prefix(header.as_slice()).unwrap_or(chunk),
            None => {
                let length = header_length(chunk, strings_per_column).unwrap_or(0);
                self.header = chunk.get(..length).map(<[u8]>::to_vec);
                chunk
            }
        }
    }
}

/// Length of `columns, then that many strings`, each number a LEB128 and each string led by its length.
fn header_length(chunk: &[u8], strings_per_column: u64) -> Option<usize> {
    let mut rest = chunk;
    let columns = leb128(&mut rest)?;
    for _ in 0..columns.checked_mul(strings_per_column)? {
        let length = usize::try_from(leb128(&mut rest)?).ok()?;
        rest = rest.get(length..)?;
    }
    Some(chunk.len() - rest.len())
}

fn leb128(rest: &mut &[u8]) -> Option<u64> {
    let mut number = 0_u64;
    for shift in (0..64).step_by(7) {
        let (byte, behind) = rest.split_first()?;
        *rest = behind;
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_stands_once() {
        let mut joiner = Joiner::new("RowBinaryWithNamesAndTypes");
        let header = b"\x02\x01a\x01b\x05UInt8\x06String";
        let chunk = |row: &[u8]| [header.as_slice(), row].concat();
        assert_eq!(joiner.join(&chunk(b"\x01\x01x")), chunk(b"\x01\x01x"));
        assert_eq!(joiner.join(&chunk(b"\x02\x01y")), b"\x02\x01y");
        let long = Joiner::new("RowBinaryWithNames").join(&[0x81, 0x01]).len();
        assert_eq!(long, 2, "a cut header is passed on as it is");
    }

    #[test]
    fn formats_without_a_header_pass_unchanged() {
        let mut joiner = Joiner::new("CSV");
        assert_eq!((joiner.join(b"1\n"), joiner.join(b"1\n")), (&b"1\n"[..], &b"1\n"[..]));
    }

    #[test]
    fn documents_are_not_streamed() {
        for format in ["JSON", "CSVWithNames", "Parquet", "Values", "Pretty", "Arrow"] {
            assert!(!is_streamable(format), "{format}");
        }
        for format in ["RowBinaryWithNamesAndTypes", "Native", "TabSeparated", "JSONEachRow"] {
            assert!(is_streamable(format), "{format}");
        }
    }
}
