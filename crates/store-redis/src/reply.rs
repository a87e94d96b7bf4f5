//! Reading replies: values of the protocol become numbers, bytes and lists, or the reply is not of the form that was asked
//! for. Nothing here knows what a reply is about.

use super::failure::UnexpectedReply;
use bytes::Bytes;
use redis::Value;
use std::str::FromStr;

/// The values of a list; none and no list are different things.
pub(super) fn list(value: Value, what: &'static str) -> Result<Vec<Value>, UnexpectedReply> {
    match value {
        Value::Array(values) | Value::Set(values) => Ok(values),
        _ => Err(UnexpectedReply(what)),
    }
}

/// The bytes of a value, or nothing.
pub(super) fn bytes(value: Value, what: &'static str) -> Result<Option<Bytes>, UnexpectedReply> {
    match value {
        Value::Nil => Ok(None),
        Value::BulkString(bytes) => Ok(Some(Bytes::from(bytes))),
        Value::SimpleString(text) | Value::VerbatimString { text, .. } => Ok(Some(Bytes::from(text))),
        Value::Okay => Ok(Some(Bytes::from_static(b"OK"))),
        _ => Err(UnexpectedReply(what)),
    }
}

/// The text of a value, if it has one.
pub(super) fn text(value: &Value) -> Option<&str> {
    match value {
        Value::BulkString(bytes) => std::str::from_utf8(bytes).ok(),
        Value::SimpleString(text) | Value::VerbatimString { text, .. } => Some(text),
        _ => None,
    }
}

/// The number in a value; the default where there is nothing.
pub(super) fn number<N: FromStr + Default + TryFrom<i64>>(
    value: &Value,
    what: &'static str,
) -> Result<N, UnexpectedReply> {
    let read = match value {
        Value::Nil => Some(N::default()),
        Value::Int(number) => N::try_from(*number).ok(),
        value => text(value).and_then(|text| text.parse().ok()),
    };
    read.ok_or(UnexpectedReply(what))
}

/// The pairs of a map, whichever version of the protocol wrote it.
pub(super) fn pairs(value: Value, what: &'static str) -> Result<Vec<(Value, Value)>, UnexpectedReply> {
    match value {
        Value::Map(pairs) => Ok(pairs),
        Value::Array(values) => {
            let mut values = values.into_iter();
            let mut pairs = Vec::with_capacity(values.len() / 2);
            while let (Some(key), Some(value)) = (values.next(), values.next()) {
                pairs.push((key, value));
            }
            Ok(pairs)
        }
        _ => Err(UnexpectedReply(what)),
    }
}

/// Takes values one after the other out of a list of known length.
pub(super) struct ReplyFields {
    values: std::vec::IntoIter<Value>,
    what: &'static str,
}

impl ReplyFields {
    /// The values of a list.
    pub(super) fn of(value: Value, what: &'static str) -> Result<Self, UnexpectedReply> {
        Ok(Self { values: list(value, what)?.into_iter(), what })
    }

    /// The next one.
    pub(super) fn value(&mut self) -> Result<Value, UnexpectedReply> {
        self.values.next().ok_or(UnexpectedReply(self.what))
    }

    /// The next one's number.
    pub(super) fn number<N: FromStr + Default + TryFrom<i64>>(&mut self) -> Result<N, UnexpectedReply> {
        number(&self.value()?, self.what)
    }

    /// The next one's bytes.
    pub(super) fn bytes(&mut self) -> Result<Option<Bytes>, UnexpectedReply> {
        bytes(self.value()?, self.what)
    }

    /// The next one's text, empty where there is nothing.
    pub(super) fn text(&mut self) -> Result<String, UnexpectedReply> {
        let bytes = self.bytes()?.unwrap_or_default();
        String::from_utf8(bytes.to_vec()).map_err(|_| UnexpectedReply(self.what))
    }
}
