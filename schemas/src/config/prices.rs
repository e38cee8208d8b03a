//! `[prices]`

use std::path::PathBuf;

use super::read::Section;
use crate::price::{Book, InvalidBook};

/// Where prices come from beside the book that ships with Weir.
#[derive(Clone, Debug, Default)]
pub struct Prices {
    /// A book whose entries are added to the built-in ones; of two with the same id this file's counts.
    pub file: Option<PathBuf>,
}

/// Why there is no book.
#[derive(Debug, thiserror::Error)]
pub enum NoBook {
    /// The file cannot be read.
    #[error("prices.file: cannot read {path}: {error}")]
    File {
        /// The file.
        path: String,
        /// Why not.
        error: std::io::Error,
    },
    /// It, or it together with the built-in book, makes no sense.
    #[error("prices.file: {0}")]
    Invalid(#[from] InvalidBook),
}

impl Prices {
    pub(super) fn read(mut section: Section<'_>) -> Self {
        let prices = Self { file: section.optional("file") };
        section.finish();
        prices
    }

    /// The built-in book with the file's entries.
    ///
    /// # Errors
    /// When the file cannot be read, or leaves it open which entry prices a name.
    pub fn book(&self) -> Result<Book, NoBook> {
        let builtin = Book::builtin()?;
        let Some(path) = &self.file else { return Ok(builtin) };
        let text =
            std::fs::read_to_string(path).map_err(|error| NoBook::File { path: path.display().to_string(), error })?;
        Ok(builtin.overlaid(Book::parse(&text)?)?)
    }
}
