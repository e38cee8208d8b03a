//! Rows as one block of ClickHouse's Native format: column by column, each with its name and type.
//!
//! ClickHouse takes columns almost as they are; rows in any format it takes apart value by value, and every name in a
//! `LowCardinality` column it looks up once more. Here a name is sent once a block. The server compares the names and types
//! with the table's, so that a table of another shape is an error and never other numbers.
//! <https://clickhouse.com/docs/interfaces/formats/Native>

use serde::Serialize;
use serde::ser::{Impossible, SerializeStruct, Serializer};

use super::column::{Data, Misfit, put_text, put_varint};
use crate::rows::TableRow;

/// Rows of a table, column by column.
#[derive(Debug)]
struct Block {
    columns: Vec<Column>,
}

#[derive(Debug)]
struct Column {
    name: &'static str,
    kind: &'static str,
    data: Data,
}

/// The bytes of a block that holds these rows.
pub(super) fn of<R: TableRow>(rows: &[R]) -> Result<Vec<u8>, Misfit> {
    let column = |(name, kind)| {
        let data = Data::of(kind).ok_or_else(|| Misfit(format!("{name}: there is no way to write a {kind}")))?;
        Ok(Column { name, kind, data })
    };
    let mut block = Block { columns: R::columns().into_iter().map(column).collect::<Result<_, Misfit>>()? };
    for row in rows {
        row.serialize(RowWriter { columns: block.columns.iter_mut() })?;
    }
    block.bytes(rows.len())
}

impl Block {
    fn bytes(&self, rows: usize) -> Result<Vec<u8>, Misfit> {
        let mut out = Vec::with_capacity(self.columns.iter().map(|column| column.data.size() + 64).sum());
        put_varint(&mut out, self.columns.len());
        put_varint(&mut out, rows);
        for Column { name, kind, data } in &self.columns {
            if !data.holds(rows) {
                return Err(Misfit(format!("{name}: what was written is not {rows} values of {kind}")));
            }
            put_text(&mut out, name.as_bytes());
            put_text(&mut out, kind.as_bytes());
            data.write_prefix(&mut out);
            data.write(&mut out);
        }
        Ok(out)
    }
}

/// Takes a row apart: its fields are the columns, in order.
struct RowWriter<'a> {
    columns: std::slice::IterMut<'a, Column>,
}

impl SerializeStruct for RowWriter<'_> {
    type Ok = ();
    type Error = Misfit;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, name: &'static str, value: &T) -> Result<(), Misfit> {
        match self.columns.next() {
            Some(column) if column.name == name => value.serialize(&mut column.data),
            Some(column) => Err(Misfit(format!("{name} stands where {} is due", column.name))),
            None => Err(Misfit(format!("{name} is no column"))),
        }
    }

    fn end(mut self) -> Result<(), Misfit> {
        match self.columns.next() {
            Some(column) => Err(Misfit(format!("{} is missing", column.name))),
            None => Ok(()),
        }
    }
}

impl Serializer for RowWriter<'_> {
    type Ok = ();
    type Error = Misfit;
    type SerializeSeq = Impossible<(), Misfit>;
    type SerializeTuple = Impossible<(), Misfit>;
    type SerializeTupleStruct = Impossible<(), Misfit>;
    type SerializeTupleVariant = Impossible<(), Misfit>;
    type SerializeMap = Impossible<(), Misfit>;
    type SerializeStruct = Self;
    type SerializeStructVariant = Impossible<(), Misfit>;

    fn serialize_struct(self, _name: &'static str, _len: usize) -> Result<Self, Misfit> {
        Ok(self)
    }

    refused! {
        "a row is a struct";
        serialize_bool(v: bool) -> ();
        serialize_i8(v: i8) -> ();
        serialize_i16(v: i16) -> ();
        serialize_i32(v: i32) -> ();
        serialize_i64(v: i64) -> ();
        serialize_u8(v: u8) -> ();
        serialize_u16(v: u16) -> ();
        serialize_u32(v: u32) -> ();
        serialize_u64(v: u64) -> ();
        serialize_f32(v: f32) -> ();
        serialize_f64(v: f64) -> ();
        serialize_char(v: char) -> ();
        serialize_str(v: &str) -> ();
        serialize_bytes(v: &[u8]) -> ();
        serialize_none() -> ();
        serialize_unit() -> ();
        serialize_unit_struct(name: &'static str) -> ();
        serialize_unit_variant(name: &'static str, index: u32, variant: &'static str) -> ();
        serialize_seq(len: Option<usize>) -> Self::SerializeSeq;
        serialize_tuple(len: usize) -> Self::SerializeTuple;
        serialize_tuple_struct(name: &'static str, len: usize) -> Self::SerializeTupleStruct;
        serialize_tuple_variant(name: &'static str, index: u32, variant: &'static str, len: usize)
            -> Self::SerializeTupleVariant;
        serialize_map(len: Option<usize>) -> Self::SerializeMap;
        serialize_struct_variant(name: &'static str, index: u32, variant: &'static str, len: usize)
            -> Self::SerializeStructVariant;
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), Misfit> {
        value.serialize(self)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _name: &'static str, value: &T) -> Result<(), Misfit> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _name: &'static str,
        _index: u32,
        _variant: &'static str,
        value: &T,
    ) -> Result<(), Misfit> {
        value.serialize(self)
    }
}
