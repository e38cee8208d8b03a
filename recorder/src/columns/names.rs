//! The values of a `LowCardinality(String)` column.

use std::collections::HashMap;

use super::bytes::{Parts, put_text, texts, without_length};

/// The version of the form of dictionaries: a dictionary of its own with every block.
pub(super) const DICTIONARY_VERSION: u64 = 1;
/// Flags of a dictionary: it has keys of its own, and they are new.
const DICTIONARY_FLAGS: u64 = 1 << 9 | 1 << 10;

/// A dictionary, and for each value its number there.
#[derive(Clone, Debug, Default)]
pub(super) struct Names {
    known: HashMap<Box<[u8]>, u32>,
    keys: Vec<u8>,
    numbers: Vec<u32>,
    /// The last one: mostly the next one is the same.
    last: Vec<u8>,
}

impl Names {
    /// Adds a value.
    pub(super) fn push(&mut self, name: &[u8]) {
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

    /// How many values there are.
    pub(super) fn len(&self) -> usize {
        self.numbers.len()
    }

    /// Those values that are to stay, with a dictionary of their own.
    pub(super) fn kept(&self, keep: &[bool]) -> Self {
        let keys: Vec<&[u8]> = texts(&self.keys).map(without_length).collect();
        let mut kept = Self::default();
        for (number, _) in self.numbers.iter().zip(keep).filter(|(_, keep)| **keep) {
            kept.push(keys.get(*number as usize).copied().unwrap_or_default());
        }
        kept
    }

    /// Keys and numbers.
    pub(super) fn parts<'a>(&'a self, out: &mut Parts<'a>) {
        if self.numbers.is_empty() {
            return;
        }
        // Numbers are as wide as the largest needs: 1, 2 or 4 bytes, which the flags call 0, 1 and 2.
        let width_code = match self.known.len() {
            ..=0x100 => 0_u64,
            0x101..=0x1_0000 => 1,
            _ => 2,
        };
        out.own().extend_from_slice(&(DICTIONARY_FLAGS | width_code).to_le_bytes());
        out.own().extend_from_slice(&(self.known.len() as u64).to_le_bytes());
        out.borrow(&self.keys);
        let (width, own) = (1 << width_code, out.own());
        own.extend_from_slice(&(self.numbers.len() as u64).to_le_bytes());
        own.reserve(self.numbers.len() * width);
        match width {
            1 => own.extend(self.numbers.iter().map(|number| *number as u8)),
            2 => own.extend(self.numbers.iter().flat_map(|number| (*number as u16).to_le_bytes())),
            _ => own.extend(self.numbers.iter().flat_map(|number| number.to_le_bytes())),
        }
    }

    /// Every value.
    #[cfg(test)]
    pub(super) fn texts(&self) -> Vec<&[u8]> {
        let keys: Vec<&[u8]> = texts(&self.keys).map(without_length).collect();
        self.numbers.iter().map(|number| keys[*number as usize]).collect()
    }
}
