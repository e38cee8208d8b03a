//! A value of a row -> its column.

use serde::Serialize;
use serde::ser::{Impossible, SerializeSeq, SerializeTuple, Serializer};

use super::data::{Data, Misfit};

/// Numbers, by their bytes.
macro_rules! numbers {
    ($($method:ident: $kind:ty),*) => {
        $(fn $method(self, value: $kind) -> Result<(), Misfit> {
            self.push_fixed(&value.to_le_bytes())
        })*
    };
}

impl<'a> Serializer for &'a mut Data {
    type Ok = ();
    type Error = Misfit;
    type SerializeSeq = Items<'a>;
    type SerializeTuple = Parts<'a>;
    type SerializeTupleStruct = Impossible<(), Misfit>;
    type SerializeTupleVariant = Impossible<(), Misfit>;
    type SerializeMap = Impossible<(), Misfit>;
    type SerializeStruct = Impossible<(), Misfit>;
    type SerializeStructVariant = Impossible<(), Misfit>;

    numbers! {
        serialize_i8: i8, serialize_i16: i16, serialize_i32: i32, serialize_i64: i64, serialize_i128: i128,
        serialize_u8: u8, serialize_u16: u16, serialize_u32: u32, serialize_u64: u64, serialize_u128: u128,
        serialize_f32: f32, serialize_f64: f64
    }

    fn serialize_bool(self, value: bool) -> Result<(), Misfit> {
        self.push_fixed(&[u8::from(value)])
    }

    fn serialize_str(self, value: &str) -> Result<(), Misfit> {
        self.push_text(value.as_bytes())
    }

    fn serialize_bytes(self, value: &[u8]) -> Result<(), Misfit> {
        self.push_text(value)
    }

    fn serialize_none(self) -> Result<(), Misfit> {
        self.push_null()
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), Misfit> {
        let Data::Nullable { nulls, values } = self else {
            return Err(Misfit("a value that may be NULL, where none can".to_owned()));
        };
        nulls.push(0);
        value.serialize(&mut **values)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _name: &'static str, value: &T) -> Result<(), Misfit> {
        value.serialize(self)
    }

    fn serialize_seq(self, _len: Option<usize>) -> Result<Items<'a>, Misfit> {
        let Data::Array { ends, count, items } = self else {
            return Err(Misfit("a list in a column of others".to_owned()));
        };
        Ok(Items { ends, count, items })
    }

    fn serialize_tuple(self, _len: usize) -> Result<Parts<'a>, Misfit> {
        Ok(Parts { data: self, at: 0 })
    }

    fn is_human_readable(&self) -> bool {
        false
    }

    refused! {
        "no table has such a value";
        serialize_char(v: char) -> ();
        serialize_unit() -> ();
        serialize_unit_struct(name: &'static str) -> ();
        serialize_unit_variant(name: &'static str, index: u32, variant: &'static str) -> ();
        serialize_tuple_struct(name: &'static str, len: usize) -> Self::SerializeTupleStruct;
        serialize_tuple_variant(name: &'static str, index: u32, variant: &'static str, len: usize)
            -> Self::SerializeTupleVariant;
        serialize_map(len: Option<usize>) -> Self::SerializeMap;
        serialize_struct(name: &'static str, len: usize) -> Self::SerializeStruct;
        serialize_struct_variant(name: &'static str, index: u32, variant: &'static str, len: usize)
            -> Self::SerializeStructVariant;
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _name: &'static str,
        _index: u32,
        _variant: &'static str,
        _value: &T,
    ) -> Result<(), Misfit> {
        Err(Misfit("no table has such a value".to_owned()))
    }
}

/// The items of one list.
pub(super) struct Items<'a> {
    ends: &'a mut Vec<u8>,
    count: &'a mut usize,
    items: &'a mut Data,
}

impl SerializeSeq for Items<'_> {
    type Ok = ();
    type Error = Misfit;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Misfit> {
        *self.count += 1;
        value.serialize(&mut *self.items)
    }

    fn end(self) -> Result<(), Misfit> {
        self.ends.extend_from_slice(&(*self.count as u64).to_le_bytes());
        Ok(())
    }
}

/// The parts of a pair, or of a number that is written in parts.
pub(super) struct Parts<'a> {
    data: &'a mut Data,
    at: usize,
}

impl SerializeTuple for Parts<'_> {
    type Ok = ();
    type Error = Misfit;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Misfit> {
        let at = self.at;
        self.at += 1;
        match &mut *self.data {
            Data::Pair(pair) => match pair.get_mut(at) {
                Some(part) => value.serialize(part),
                None => Err(Misfit("a pair has two parts".to_owned())),
            },
            data => value.serialize(data),
        }
    }

    fn end(self) -> Result<(), Misfit> {
        Ok(())
    }
}
