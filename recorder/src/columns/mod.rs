//! Rows as one block of ClickHouse's Native format: column by column, each with its name and type.
//!
//! ClickHouse takes columns almost as they are; rows in any format it takes apart value by value, and every name in a
//! `LowCardinality` column it looks up once more. Here a name is sent once a block. The server compares the names and types
//! with the table's, so that a table of another shape is an error and never other numbers.
//! <https://clickhouse.com/docs/interfaces/formats/Native>
//!
//! A row is taken apart as soon as it is made: columns take a fraction of the memory that structs full of strings do.

/// Methods of a serialiser that take what it cannot hold, after the words for that.
macro_rules! refused {
    ($why:literal; $($method:ident($($argument:ident: $kind:ty),*) -> $ok:ty;)*) => {
        $(fn $method(self, $($argument: $kind),*) -> Result<$ok, Misfit> {
            $(let _ = $argument;)*
            Err(Misfit($why.to_owned()))
        })*
    };
}

mod bytes;
mod names;
mod data;
mod value;
mod row;

pub use data::Misfit;

use std::borrow::Cow;

use crate::rows::TableRow;
use bytes::{Parts, put_text, put_varint};
use data::Data;
use row::RowWriter;

/// Rows of a table, column by column.
#[derive(Clone, Debug)]
pub struct Block {
    table: &'static str,
    columns: Vec<Column>,
    rows: usize,
    /// The first thing that went wrong: a block with a fault is never sent, so its rows wait for a release without it.
    misfit: Option<Misfit>,
}

#[derive(Clone, Debug)]
struct Column {
    name: &'static str,
    kind: &'static str,
    data: Data,
}

impl Block {
    /// No rows yet.
    pub fn new<R: TableRow>() -> Self {
        let (mut columns, mut misfit) = (Vec::new(), None);
        for (name, kind) in R::columns() {
            match Data::of(kind) {
                Some(data) => columns.push(Column { name, kind, data }),
                None => misfit = Some(Misfit(format!("{name}: there is no way to write a {kind}"))),
            }
        }
        Self { table: R::TABLE, columns, rows: 0, misfit }
    }

    /// These rows.
    pub fn of<R: TableRow>(rows: &[R]) -> Self {
        let mut block = Self::new::<R>();
        rows.iter().for_each(|row| block.push(row));
        block
    }

    /// Adds a row of the type that the block was made for.
    pub fn push<R: TableRow>(&mut self, row: &R) {
        self.rows += 1;
        let pushed = row.serialize(RowWriter { columns: self.columns.iter_mut() });
        self.note(pushed);
    }

    /// The table's name.
    pub fn table(&self) -> &'static str {
        self.table
    }

    /// The names of its columns, in the order of the values.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        self.columns.iter().map(|column| column.name)
    }

    /// How many rows there are.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Writes the same number into every row's field of this name.
    pub fn fill(&mut self, name: &str, number: i64) {
        let filled = self
            .columns
            .iter_mut()
            .find(|column| column.name == name)
            .ok_or_else(|| Misfit(format!("{name} is no column")))
            .and_then(|column| column.data.fill(number));
        self.note(filled);
    }

    /// Drops the rows that are not to stay; `keep` says it for each.
    pub fn retain(&mut self, keep: &[bool]) {
        for column in &mut self.columns {
            column.data = column.data.kept(keep);
        }
        self.rows = keep.iter().filter(|keep| **keep).count();
    }

    /// The rows before `middle`, and the others.
    pub fn halves(&self, middle: usize) -> [Self; 2] {
        [true, false].map(|first| {
            let keep: Vec<bool> = (0..self.rows).map(|row| (row < middle) == first).collect();
            let columns =
                self.columns.iter().map(|column| Column { data: column.data.kept(&keep), ..*column }).collect();
            let rows = keep.iter().filter(|keep| **keep).count();
            Self { table: self.table, columns, rows, misfit: self.misfit.clone() }
        })
    }

    /// The block's bytes, in pieces that follow each other.
    ///
    /// # Errors
    /// When a row did not fit the table.
    pub fn pieces(&self) -> Result<Vec<Cow<'_, [u8]>>, Misfit> {
        if let Some(misfit) = &self.misfit {
            return Err(misfit.clone());
        }
        let mut parts = Parts::default();
        put_varint(parts.own(), self.columns.len());
        put_varint(parts.own(), self.rows);
        for Column { name, kind, data } in &self.columns {
            if !data.holds(self.rows) {
                return Err(Misfit(format!("{name}: what was written is not {} values of {kind}", self.rows)));
            }
            put_text(parts.own(), name.as_bytes());
            put_text(parts.own(), kind.as_bytes());
            data.write_prefix(parts.own());
            data.parts(&mut parts);
        }
        Ok(parts.into_pieces())
    }

    fn note(&mut self, done: Result<(), Misfit>) {
        if let Err(misfit) = done {
            self.misfit.get_or_insert(misfit);
        }
    }
}

#[cfg(test)]
pub(crate) fn can_write(kind: &str) -> bool {
    Data::of(kind).is_some()
}

#[cfg(test)]
impl Block {
    /// All bytes.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        self.pieces().unwrap().concat()
    }

    fn data(&self, name: &str) -> &Data {
        &self.columns.iter().find(|column| column.name == name).unwrap().data
    }

    /// The values of a column of texts.
    pub(crate) fn texts(&self, name: &str) -> Vec<String> {
        self.data(name).texts()
    }

    /// The values of a column of numbers; none of those of less than 16 bytes is below zero.
    pub(crate) fn numbers(&self, name: &str) -> Vec<Option<i128>> {
        self.data(name).numbers()
    }
}

#[cfg(test)]
mod tests;
