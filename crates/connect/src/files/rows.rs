//! Conversion of rows: by a mapping, or of objects with the field names of the API.

mod fields;
mod json;
mod mapped;
mod times;

pub(super) use fields::RowFields;
pub(super) use json::{ObjectRow, json, objects};
pub(super) use mapped::mapped;
