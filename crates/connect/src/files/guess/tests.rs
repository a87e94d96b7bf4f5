//! Guesses for the published shapes, and for files of no known shape.

use super::super::mapping::Mapping;
use super::super::row::RowBody;
use super::super::sample::FileSample;
use super::super::shapes::SHAPES;
use super::*;
use std::path::Path;

fn guessed(name: &str, text: &str) -> GuessedMapping {
    by_columns(&FileSample::of_bytes(Path::new(name), text.as_bytes().to_vec())).expect("readable")
}

/// Checks the keys of a guess, and the user, item and time in milliseconds of its first row.
fn check(text: &str, keys: &[&str], first: (&str, &str, i64)) {
    let guess = guessed("data.csv", text);
    for key in keys {
        assert!(guess.text.contains(key), "{key:?} is not in {}", guess.text);
    }
    assert!(guess.missing.is_empty(), "{}", guess.text);
    Mapping::parse(&guess.text).unwrap_or_else(|error| panic!("{error}: {}", guess.text));
    let Some(LogRow { body: RowBody::Event(event), .. }) = guess.rows.first() else {
        panic!("{:?}: {}", guess.rows, guess.text)
    };
    let at = event.occurred_at.as_ref().expect("a time");
    let millis = at.seconds * 1000 + i64::from(at.nanos / 1_000_000);
    assert_eq!((event.user_id.as_str(), event.item_id.as_str(), millis), first, "{}", guess.text);
}

#[test]
fn columns_are_known_by_their_names_and_values() {
    check(
        "customer_id,sku,qty,unit_price,order_no,purchased\n17,A1,2,9.99,o1,12/31/2023 08:30\n18,A2,-1,5,o2,01/02/2024 09:00\n",
        &[
            "user = \"customer_id\"",
            "item = \"sku\"",
            "price = \"unit_price\"",
            "quantity = \"qty\"",
            "order = \"order_no\"",
            "time = \"purchased\"",
            "time_format = \"%m/%d/%Y %H:%M\"",
            "action = { value = \"purchase\" }",
            "negative_quantity = true",
        ],
        ("17", "A1", 1_704_011_400_000),
    );
    check(
        "Member ID;Produkt;Product ID;Total;Date\n7;x;p1;12,50;31.12.2023 08:30\n8;y;p2;3,00;01.01.2024 10:00\n",
        &["delimiter = \";\"", "decimal = \",\"", "amount = \"Total\"", "time_format = \"%d.%m.%Y %H:%M\""],
        ("7", "p1", 1_704_011_400_000),
    );
    check(
        "ts,session,event,product\n1704011400123,s1,page_view,p1\n1704011500123,s1,swipe,p1\n1704011600123,s2,checkout,p2\n",
        &[
            "user = \"session\" # there is no column of users",
            "\"page_view\" = \"view\"",
            "\"checkout\" = \"purchase\"",
            "# \"swipe\" = \"?\"",
            "unix_ms",
        ],
        ("s1", "p1", 1_704_011_400_123),
    );
    check(
        "{\"uid\":5,\"when\":\"2024-01-01T00:00:00Z\",\"lines\":[{\"itemId\":9,\"qty\":1}]}\n{\"uid\":6,\"when\":\"2024-01-01T00:00:00Z\",\"lines\":[]}\n",
        &["format = \"jsonl\"", "each = \"lines\"", "user = \"uid\"", "item = \"itemId\"", "time = \"when\""],
        ("5", "9", 1_704_067_200_000),
    );
}

#[test]
fn a_day_that_may_be_a_month_is_marked() {
    let guess = guessed("x.csv", "user,item,date\n1,2,02/03/2024\n1,3,04/03/2024\n");
    assert!(guess.text.contains("time_format = \"%m/%d/%Y\" # or \"%d/%m/%Y\""), "{}", guess.text);
    let guess = guessed("x.csv", "user,item,date\n1,2,02/03/2024\n1,3,24/03/2024\n");
    assert!(guess.text.contains("time_format = \"%d/%m/%Y\"\n"), "{}", guess.text);
}

#[test]
fn a_catalogue_becomes_items() {
    let guess = guessed("items.csv", "sku,title,brand,price,in_stock\na1,\"A, b\",x,9.5,yes\n");
    assert!(guess.text.contains("as = \"items\""), "{}", guess.text);
    assert!(
        matches!(&guess.rows[0].body, RowBody::Item(item) if item.title == "A, b" && item.available == Some(true))
    );
}

#[test]
fn a_required_column_that_is_not_found_is_named() {
    let guess = guessed("x.csv", "alpha,beta\n1,2\n");
    assert_eq!(guess.missing, ["user", "time"]);
    for part in ["# user = \"?\"", "# time = \"?\"", "# Columns that are not read: \"alpha\", \"beta\""] {
        assert!(guess.text.contains(part), "{}", guess.text);
    }
    for text in ["", "\n\n", "\u{0}\u{1}", "{", "[", "{}", "\"", "a\"b,c\n\"\n"] {
        assert!(!guessed("x", text).missing.is_empty(), "{text:?}");
    }
    // Text between quotes of TOML is still the name of the column.
    let guess = guessed("x.csv", "user,\"the \\ \"\"item\"\"\ttab\",time\n1,2,2024-01-01\n");
    Mapping::parse(&guess.text).unwrap_or_else(|error| panic!("{error}: {}", guess.text));
}

#[test]
fn the_guess_is_right_for_the_published_shapes_also_by_their_columns_alone() {
    let mut right = Vec::new();
    for shape in SHAPES {
        let sample = FileSample::of_bytes(Path::new("data.csv"), shape.text.to_vec());
        let guess = of_sample(&sample).expect("readable");
        assert_eq!(guess.format.map(Format::name), Some(shape.format));
        // Without the formats that ship: user, item and time of all rows.
        let ids = |rows: &[LogRow]| -> Vec<_> {
            let ids = rows.iter().map(|row| match &row.body {
                RowBody::Event(event) => {
                    Some((event.user_id.clone(), event.item_id.clone(), event.occurred_at))
                }
                _ => None,
            });
            ids.collect()
        };
        if ids(&by_columns(&sample).expect("readable").rows) == ids(&guess.rows) {
            right.push(shape.format);
        }
    }
    right.dedup();
    // All but those without names, with numbers for actions, and with days that need a year.
    let expected = [
        "rees46",
        "retailrocket",
        "otto-jsonl",
        "otto",
        "online-retail",
        "online-retail-ii",
        "complete-journey",
        "jsonl",
    ];
    assert_eq!(right, expected);
}
