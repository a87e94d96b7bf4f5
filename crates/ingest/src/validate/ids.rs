//! Ids of new records, by the rules of the shop. Ids of reads and erasures are parsed more leniently, since they name what earlier
//! releases stored.

use portrait_profile::{ItemId, OrderId, RecordId, SourceId, TextError, UserId};
use portrait_proto::request::{self, ValidationError};
use portrait_proto::v1::ErrorReason;

/// Texts that tools write where there is no order, in lower case.
const NO_ORDERS: [&str; 6] = ["undefined", "null", "none", "nan", "n/a", "0"];

/// Rules of ids.
#[derive(Clone, Copy, Debug)]
pub(crate) struct IdRules {
    /// True to remove spaces around an id, false to refuse it.
    pub(crate) trim: bool,
}

impl IdRules {
    /// Parses the user of a new record.
    pub(crate) fn user_id(self, field: &str, text: &str) -> Result<UserId, ValidationError> {
        UserId::parse_new(self.trimmed(text)).map_err(|error| ValidationError::of_text(field, error))
    }

    /// Parses the user of an erasure, who may have an id that is not allowed any more.
    pub(crate) fn stored_user_id(self, text: &str) -> Result<UserId, ValidationError> {
        request::user_id("user_id", self.trimmed(text))
    }

    /// Parses the id of an event; none if it is empty, and then a retry counts twice.
    pub(crate) fn record_id(self, text: &str) -> Result<Option<RecordId>, ValidationError> {
        self.optional("event_id", text, RecordId::parse_new)
    }

    /// Parses the source of a record; none if it is empty. A record of a source has an id, or its repetition could not be told.
    pub(crate) fn source(
        self,
        name: &str,
        record_id: Option<&RecordId>,
    ) -> Result<Option<SourceId>, ValidationError> {
        let source = self.optional("source", name, SourceId::parse)?;
        if source.is_some() && record_id.is_none() {
            let message = "is empty, and what has a source needs an id: send one, or leave `source` empty";
            return Err(ValidationError::new(ErrorReason::EmptyId, "event_id", message));
        }
        Ok(source)
    }

    /// Parses the item of an event; none if it is empty.
    pub(crate) fn optional_item_id(self, text: &str) -> Result<Option<ItemId>, ValidationError> {
        self.optional("item_id", text, ItemId::parse_new)
    }

    /// Parses the key of a catalogue item.
    pub(crate) fn item_id(self, text: &str) -> Result<ItemId, ValidationError> {
        ItemId::parse_new(self.trimmed(text)).map_err(|error| ValidationError::of_text("item_id", error))
    }

    /// Parses an order; none if it is empty or a text for no order. Lines of such an order would be one order of all users.
    pub(crate) fn order_id(self, text: &str) -> Result<Option<OrderId>, ValidationError> {
        let word = text.trim();
        if NO_ORDERS.iter().any(|none| word.eq_ignore_ascii_case(none)) {
            return Ok(None);
        }
        self.optional("order_id", text, OrderId::parse_new)
    }

    fn optional<T>(
        self,
        field: &str,
        text: &str,
        parse: impl Fn(&str) -> Result<T, TextError>,
    ) -> Result<Option<T>, ValidationError> {
        let text = self.trimmed(text);
        if text.is_empty() {
            return Ok(None);
        }
        parse(text).map(Some).map_err(|error| ValidationError::of_text(field, error))
    }

    fn trimmed(self, text: &str) -> &str {
        if self.trim { text.trim() } else { text }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_for_no_order_are_no_order() {
        let ids = IdRules { trim: false };
        for text in
            ["", "0", "undefined", "Undefined", "null", "NULL", "None", "nan", "NaN", "n/a", "N/A", " null "]
        {
            assert_eq!(ids.order_id(text), Ok(None), "{text:?}");
        }
        for text in ["00", "1", "nancy", "null-1", "A-17"] {
            assert_eq!(ids.order_id(text).map(|id| id.map(|id| id.to_string())), Ok(Some(text.to_owned())));
        }
    }

    #[test]
    fn outer_spaces_are_refused_or_removed() {
        for text in [" u1", "u1 ", "\u{3000}u1\t"] {
            assert!(IdRules { trim: false }.user_id("user_id", text).is_err(), "{text:?}");
            let trimmed = IdRules { trim: true }.user_id("user_id", text);
            assert_eq!(trimmed.map(|id| id.to_string()), Ok("u1".to_owned()), "{text:?}");
        }
        assert_eq!(IdRules { trim: true }.record_id("  "), Ok(None));
        assert!(IdRules { trim: true }.user_id("user_id", " ").is_err());
    }

    #[test]
    fn a_record_of_a_source_has_an_id() {
        let ids = IdRules { trim: true };
        let id = RecordId::parse("7").ok();
        assert_eq!(ids.source("", None), Ok(None));
        assert_eq!(ids.source(" orders ", id.as_ref()), Ok(SourceId::parse("orders").ok()));
        assert!(ids.source("orders", None).is_err_and(|error| error.field == "event_id"));
        for name in ["x".repeat(65), "a\u{200B}b".to_owned(), "a\nb".to_owned()] {
            assert!(ids.source(&name, id.as_ref()).is_err_and(|error| error.field == "source"), "{name:?}");
        }
    }

    #[test]
    fn an_invisible_character_is_refused_in_new_records_and_not_in_erasures() {
        let ids = IdRules { trim: true };
        let text = "le\u{200B}na";
        assert!(ids.user_id("user_id", text).is_err_and(|error| error.message.contains("invisible")));
        assert!(ids.item_id(text).is_err() && ids.order_id(text).is_err() && ids.record_id(text).is_err());
        assert_eq!(ids.stored_user_id(text).map(|id| id.to_string()), Ok(text.to_owned()));
    }
}
