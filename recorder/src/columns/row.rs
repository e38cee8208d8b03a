//! A row -> the columns of its table.

use serde::Serialize;
use serde::ser::{Impossible, SerializeStruct, Serializer};

use super::Column;
use super::data::Misfit;

/// Takes a row apart: its fields are the columns, in order.
pub(super) struct RowWriter<'a> {
    pub(super) columns: std::slice::IterMut<'a, Column>,
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
