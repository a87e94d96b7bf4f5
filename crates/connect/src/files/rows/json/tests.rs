//! Tables of objects.

use super::*;
use portrait_proto::v1::Action;
use prost_types::Timestamp;

/// 2026-01-01T00:00:00Z.
const NOW: i64 = 1_767_225_600;

fn read(text: &str) -> Result<Event, RowDefect> {
    json(&ObjectText { line: 1, column: 0, bytes: text.as_bytes().to_vec(), is_cut: false })
}

/// Reads an event with more fields.
fn with(fields: &str) -> Result<Event, RowDefect> {
    read(&format!(r#"{{"user_id":"u","action":"view","occurred_at":"2026-01-01T00:00:00Z",{fields}}}"#))
}

fn rejected(result: Result<Event, RowDefect>) -> (RowReason, String, Option<usize>) {
    let defect = result.expect_err("a defect");
    (defect.reason, defect.name.into_owned(), defect.column)
}

#[test]
fn null_and_words_for_missing_stand_for_nothing() {
    let plain = with(r#""query":"""#).expect("an event");
    for field in ["event_id", "item_id", "category", "brand", "price", "currency", "quantity", "order_id"] {
        for missing in ["null", r#""""#, r#""NaN""#, r#""None""#, r#""undefined""#, "NaN"] {
            assert_eq!(with(&format!(r#""{field}":{missing}"#)).as_ref(), Ok(&plain), "{field}: {missing}");
        }
    }
    for field in ["query", "session_id", "anonymous_id", "properties", "custom_action", "order_line"] {
        assert_eq!(with(&format!(r#""{field}":null"#)).as_ref(), Ok(&plain), "{field}");
    }
    assert_eq!(with(r#""query":"none""#).expect("an event").query, "none");
    assert_eq!(with(r#""brand":"NaN Ltd","price":NaN"#).expect("an event").brand, "NaN Ltd");
}

#[test]
fn ids_may_be_numbers() {
    for id in ["17850", "17850.0", r#""17850""#, r#""17850.0""#, "1785e1"] {
        let event = with(&format!(r#""item_id":{id}"#)).expect("an event");
        assert_eq!(event.item_id, "17850", "{id}");
    }
    let event = with(r#""category":18446744073709551615,"brand":1.5"#).expect("an event");
    assert_eq!((event.category.as_str(), event.brand.as_str()), ("18446744073709551615", "1.5"));
    for id in ["1.5", "true", "[]", "{}", "123456789012345678901234567890"] {
        let defect = rejected(with(&format!(r#""item_id":{id}"#)));
        assert_eq!((defect.0, defect.1.as_str()), (RowReason::BadText, "item_id"), "{id}");
    }
}

#[test]
fn names_are_in_snake_case_or_camel_case() {
    let text = r#"{"userId":"u","action":"addToCart","occurredAt":"2026-01-01T00:00:00Z","itemId":"i","orderId":"o",
        "orderLine":2,"sessionId":"s","anonymousId":"a","eventId":"e","customAction":""}"#;
    let event = read(text).expect("an event");
    let expected = Event {
        event_id: "e".to_owned(),
        user_id: "u".to_owned(),
        action: Action::AddToCart.into(),
        occurred_at: Some(Timestamp { seconds: NOW, nanos: 0 }),
        item_id: "i".to_owned(),
        order_id: "o".to_owned(),
        order_line: 2,
        session_id: "s".to_owned(),
        anonymous_id: "a".to_owned(),
        ..Event::default()
    };
    assert_eq!(event, expected);
    for (name, action) in
        [("view", Action::View), ("ACTION_VIEW", Action::View), ("Add to cart", Action::AddToCart)]
    {
        let text = format!(r#"{{"user_id":"u","action":"{name}","time":{NOW}}}"#);
        assert_eq!(read(&text).expect("an event").action(), action, "{name}");
    }
}

#[test]
fn times_are_texts_or_numbers_under_three_names() {
    let rows = [
        ("1767225600", NOW, 0),
        ("1767225600.5", NOW, 500_000_000),
        ("1767225600123", NOW, 123_000_000),
        ("1767225600123456", NOW, 123_456_000),
        (r#""1767225600""#, NOW, 0),
        (r#""2026-01-01T00:00:00""#, NOW, 0),
        (r#""2026-01-01 03:00:00+03:00""#, NOW, 0),
        (r#""2025-12-31T20:00:00.250-04""#, NOW, 250_000_000),
    ];
    for name in ["occurred_at", "timestamp", "time", "occurredAt"] {
        for (value, seconds, nanos) in rows {
            let event = read(&format!(r#"{{"user_id":"u","action":"view","{name}":{value}}}"#));
            let at = event.expect(value).occurred_at;
            assert_eq!(at, Some(Timestamp { seconds, nanos }), "{name}: {value}");
        }
    }
    for value in [r#""soon""#, "true", "[]", r#""2026-01-01T00:00:00 PST""#] {
        let defect = rejected(read(&format!(r#"{{"user_id":"u","action":"view","time":{value}}}"#)));
        assert_eq!((defect.0, defect.1.as_str()), (RowReason::BadTime, "time"), "{value}");
    }
}

#[test]
fn a_defect_names_its_field_and_its_column() {
    let rows = [
        (r#"{"user_id":"u","actoin":"view"}"#, RowReason::UnknownField, "actoin", Some(16)),
        (r#"{"user_id":"u","actoin":null}"#, RowReason::UnknownField, "actoin", Some(16)),
        (r#"{"user_id":null,"action":"view","time":1}"#, RowReason::EmptyId, "user_id", Some(2)),
        (r#"{"user_id":"u","time":1}"#, RowReason::MissingField, "action", Some(1)),
        (r#"{"user_id":"u","action":"view"}"#, RowReason::MissingField, "occurred_at", Some(1)),
        (r#"{"user_id":"u","action":"stare","time":1}"#, RowReason::UnknownAction, "action", Some(16)),
        (r#"{"user_id":"u","action":0,"time":1}"#, RowReason::UnknownAction, "action", Some(16)),
        (r#"{"user_id":"u","userId":"u"}"#, RowReason::ConflictingFields, "userId", Some(16)),
        (r#"{"user_id":"u","user_id":"v"}"#, RowReason::ConflictingFields, "user_id", Some(2)),
        (r#"{"user_id":"u","price":"1.299,00"}"#, RowReason::BadNumber, "price", Some(16)),
        (r#"{"user_id":"u","price":[]}"#, RowReason::BadNumber, "price", Some(16)),
        (r#"{"user_id":"u","order_line":-1}"#, RowReason::BadNumber, "order_line", Some(16)),
        (r#"{"user_id":"u","order_line":1.5}"#, RowReason::BadNumber, "order_line", Some(16)),
        (r#"{"user_id":"u","properties":{"a":[]}}"#, RowReason::BadText, "properties", Some(16)),
        (r#"{"user_id":"u","price":Infinity}"#, RowReason::BadJson, "JSON", Some(24)),
        (r#"{"user_id":"u""#, RowReason::BadJson, "JSON", Some(14)),
        ("[]", RowReason::BadJson, "JSON", Some(1)),
        ("null", RowReason::BadJson, "JSON", Some(4)),
        ("user_id,action", RowReason::BadJson, "JSON", Some(1)),
    ];
    for (text, reason, name, column) in rows {
        assert_eq!(rejected(read(text)), (reason, name.to_owned(), column), "{text}");
    }
    let not_utf8 =
        ObjectText { line: 1, column: 10, bytes: b"{\"user_id\":\"\xe9\"}".to_vec(), is_cut: false };
    assert_eq!(rejected(json(&not_utf8)), (RowReason::BadText, "JSON".to_owned(), Some(23)));
}

#[test]
fn a_defect_in_a_later_line_names_that_line() {
    let bytes = b"{\n \"user_id\": x\n}".to_vec();
    let defect = json(&ObjectText { line: 7, column: 3, bytes, is_cut: false }).expect_err("a defect");
    assert!(defect.problem.ends_with("in line 8"), "{defect}");
}

#[test]
fn properties_may_be_numbers_and_truth_values() {
    let event = with(r#""properties":{"a":"x","b":2,"c":true,"d":null,"e":1.5}"#).expect("an event");
    let mut properties: Vec<_> = event.properties.into_iter().collect();
    properties.sort_unstable();
    let expected = [("a", "x"), ("b", "2"), ("c", "true"), ("e", "1.5")];
    assert_eq!(properties, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
}

#[test]
fn numbers_may_be_texts() {
    let event = with(r#""price":"2.62","quantity":3"#).expect("an event");
    assert_eq!((event.price, event.quantity), (Some(2.62), Some(3.0)));
}
