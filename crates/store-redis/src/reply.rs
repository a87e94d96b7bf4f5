//! Decoding of replies: values of the protocol become numbers, bytes and lists, or an error that names the request.

use super::failure::UnexpectedReply;
use bytes::Bytes;
use redis::Value;
use std::collections::HashMap;
use std::str::FromStr;

/// Returns the values of a list; nil is not a list.
pub(super) fn list(value: Value, request: &'static str) -> Result<Vec<Value>, UnexpectedReply> {
    match value {
        Value::Array(values) | Value::Set(values) => Ok(values),
        _ => Err(UnexpectedReply(request)),
    }
}

/// Returns the bytes of a value; none for nil.
pub(super) fn bytes(value: Value, request: &'static str) -> Result<Option<Bytes>, UnexpectedReply> {
    match value {
        Value::Nil => Ok(None),
        Value::BulkString(bytes) => Ok(Some(Bytes::from(bytes))),
        Value::SimpleString(text) | Value::VerbatimString { text, .. } => Ok(Some(Bytes::from(text))),
        // The client library turns the status reply `OK` into a value of its own.
        Value::Okay => Ok(Some(Bytes::from_static(b"OK"))),
        _ => Err(UnexpectedReply(request)),
    }
}

/// Returns the text of a value, if it is a UTF-8 string.
pub(super) fn text(value: &Value) -> Option<&str> {
    match value {
        Value::BulkString(bytes) => std::str::from_utf8(bytes).ok(),
        Value::SimpleString(text) | Value::VerbatimString { text, .. } => Some(text),
        _ => None,
    }
}

/// Returns the number in a value; the default for nil.
pub(super) fn number<N: FromStr + Default + TryFrom<i64>>(
    value: &Value,
    request: &'static str,
) -> Result<N, UnexpectedReply> {
    let read = match value {
        Value::Nil => Some(N::default()),
        Value::Int(number) => N::try_from(*number).ok(),
        // Scripts return large numbers as text: Lua would write them with an exponent.
        value => text(value).and_then(|text| text.parse().ok()),
    };
    read.ok_or(UnexpectedReply(request))
}

/// Returns the fields of `INFO`, such as `used_memory:1024`.
pub(super) fn info_fields(text: &str) -> HashMap<String, String> {
    let pairs = text.lines().filter_map(|line| line.split_once(':'));
    pairs.map(|(name, value)| (name.to_owned(), value.trim().to_owned())).collect()
}

/// Returns the pairs of a map, in the form of either version of the protocol.
pub(super) fn pairs(value: Value, request: &'static str) -> Result<Vec<(Value, Value)>, UnexpectedReply> {
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
        _ => Err(UnexpectedReply(request)),
    }
}

/// Reader of the values of a list, in their order.
pub(super) struct ReplyFields {
    values: std::vec::IntoIter<Value>,
    request: &'static str,
}

impl ReplyFields {
    /// Returns a reader of the values of a list.
    pub(super) fn of(value: Value, request: &'static str) -> Result<Self, UnexpectedReply> {
        Ok(Self { values: list(value, request)?.into_iter(), request })
    }

    /// Returns the next value.
    pub(super) fn value(&mut self) -> Result<Value, UnexpectedReply> {
        self.values.next().ok_or(UnexpectedReply(self.request))
    }

    /// Returns the number in the next value.
    pub(super) fn number<N: FromStr + Default + TryFrom<i64>>(&mut self) -> Result<N, UnexpectedReply> {
        number(&self.value()?, self.request)
    }

    /// Returns the bytes of the next value.
    pub(super) fn bytes(&mut self) -> Result<Option<Bytes>, UnexpectedReply> {
        bytes(self.value()?, self.request)
    }

    /// Returns the text of the next value; empty for nil.
    pub(super) fn text(&mut self) -> Result<String, UnexpectedReply> {
        let bytes = self.bytes()?.unwrap_or_default();
        String::from_utf8(bytes.to_vec()).map_err(|_| UnexpectedReply(self.request))
    }
}
