//! Reading of whole files: what is rejected, what is taken, and that reading goes on.

use super::super::mapping::FileKind;
use super::super::shipped::Format;
use super::*;
use portrait_proto::v1::Event;
use proptest::prelude::*;
use std::io::Cursor;

/// Formats by name.
mod formats {
    use super::Format;

    pub(super) const REES46: Format = Format::named("rees46").expect("it ships");
    pub(super) const RETAILROCKET: Format = Format::named("retailrocket").expect("it ships");
    pub(super) const TAOBAO: Format = Format::named("taobao").expect("it ships");
    pub(super) const TMALL: Format = Format::named("tmall").expect("it ships");
    pub(super) const JDATA: Format = Format::named("jdata").expect("it ships");
    pub(super) const OTTO: Format = Format::named("otto").expect("it ships");
    pub(super) const ONLINE_RETAIL: Format = Format::named("online-retail").expect("it ships");
    pub(super) const COMPLETE_JOURNEY: Format = Format::named("complete-journey").expect("it ships");
    pub(super) const ESHOP: Format = Format::named("eshop").expect("it ships");
    pub(super) const JSONL: Format = Format::named("jsonl").expect("it ships");
}

const REES46: &str =
    "event_time,event_type,product_id,category_id,category_code,brand,price,user_id,user_session\n";
const RETAIL: &str = "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country\n";
const JOURNEY: &str = "household_id,store_id,basket_id,product_id,quantity,sales_value,retail_disc,coupon_disc,coupon_match_disc,week,transaction_timestamp\n";
const ESHOP: &str = "year,month,day,order,country,session ID,page 1 (main category),page 2 (clothing model),colour,location,model photography,price,price 2,page\n";

/// Row as a test compares it: the line, and the event, or the reason and the column of the defect.
type Read = (u64, Result<Event, (&'static str, Option<usize>)>);

fn open(bytes: &[u8], format: Format) -> Result<LogReader, ReadError> {
    let file = Cursor::new(bytes.to_vec());
    LogReader::from_reader(
        file,
        bytes.len() as u64,
        Path::new("log"),
        &format.mapping(),
        LogOptions::default(),
    )
}

fn read(bytes: &[u8], format: Format) -> Vec<Read> {
    let rows = open(bytes, format).expect("the header is good");
    let rows = rows.map(|row| {
        let row = row.expect("the file can be read");
        let result = match row.body.clone() {
            RowBody::Event(event) => Ok(event),
            RowBody::Rejected(defect) => Err((defect.reason.name(), defect.column)),
            RowBody::Item(_) | RowBody::LeftOut => panic!("{row:?}"),
        };
        (row.line, result)
    });
    rows.collect()
}

/// Checks which lines are taken, and reason and column of all others.
fn check(text: &str, format: Format, taken: &[u64], rejected: &[(u64, &str, Option<usize>)]) {
    let rows = read(text.as_bytes(), format);
    let lines: Vec<u64> = rows.iter().filter(|(_, row)| row.is_ok()).map(|(line, _)| *line).collect();
    assert_eq!(lines, taken, "{text}");
    let defects: Vec<_> = rows
        .into_iter()
        .filter_map(|(line, row)| row.err().map(|(reason, column)| (line, reason, column)))
        .collect();
    assert_eq!(defects, rejected, "{text}");
}

#[test]
fn a_bad_cell_rejects_its_row_and_reading_goes_on() {
    let rows = "2019-10-01 00:00:00 UTC,view,0,2,a.b,x,2.62,7001,s\n\
                2019-10-01 00:00:01 UTC,view,1,2,a.b,x,,7001,s\n\
                2019-10-01 00:00:02 UTC,view,2,2,a.b,x,2.62,7001,s\n\
                2019-10-01 00:00:03 UTC,view,3,2,a.b,x,\"1.299,00\",7001,s\n\
                2019-10-01 00:00:04 UTC,view,4,2,a.b,x,2.62,7001,s\n";
    check(&format!("{REES46}{rows}"), formats::REES46, &[2, 3, 4, 6], &[(5, "BAD_NUMBER", Some(7))]);
    let good = "2019-10-01 00:00:00 UTC,view,0,2,a.b,x,2.62,7001,s\n";
    let bad = [
        ("soon,view,0,2,a.b,x,2.62,7001,s", "BAD_TIME", Some(1)),
        ("2019-10-01 00:00:00 PST,view,0,2,a.b,x,2.62,7001,s", "BAD_TIME", Some(1)),
        (",view,0,2,a.b,x,2.62,7001,s", "MISSING_FIELD", Some(1)),
        ("2019-10-01 00:00:00 UTC,stare,0,2,a.b,x,2.62,7001,s", "UNKNOWN_ACTION", Some(2)),
        ("2019-10-01 00:00:00 UTC,NA,0,2,a.b,x,2.62,7001,s", "MISSING_FIELD", Some(2)),
        ("2019-10-01 00:00:00 UTC,view,0,2,a.b,x,2.62,null,s", "EMPTY_ID", Some(8)),
        ("2019-10-01 00:00:00 UTC,view,0,2,a.b,x,cheap,7001,s", "BAD_NUMBER", Some(7)),
        ("2019-10-01 00:00:00 UTC,view,0,2,a.b,x,2.62,7001", "FIELD_COUNT", None),
        ("2019-10-01 00:00:00 UTC,view,0,2,a.b,x,1,299,00,7001,s", "FIELD_COUNT", None),
        ("2019-10-01 00:00:00 UTC,view,0,2,a.b,\"x,2.62,7001,s", "FIELD_COUNT", None),
        ("x", "FIELD_COUNT", None),
    ];
    for (row, reason, column) in bad {
        let text = format!("{REES46}{good}{row}\n{good}{row}\n{good}");
        check(&text, formats::REES46, &[2, 4, 6], &[(3, reason, column), (5, reason, column)]);
    }
}

/// Header and a good row of every table.
const TABLES: [(Format, &str, &str); 9] = [
    (formats::REES46, REES46, "2019-10-01 00:00:00 UTC,view,0,2,a.b,x,2.62,7001,s"),
    (formats::RETAILROCKET, "timestamp,visitorid,event,itemid,transactionid\n", "1433998932117,1,view,2,"),
    (formats::TAOBAO, "", "1,2,3,pv,1511539500"),
    (formats::TMALL, "user_id,brand_id,type,visit_datetime\n", "1,2,0,7-20"),
    (formats::JDATA, "user_id,sku_id,time,model_id,type,cate,brand\n", "1,2,2016-02-01 00:00:00,,1,4,5"),
    (formats::OTTO, "session,aid,ts,type\n", "1,2,1659304800025,clicks"),
    (formats::ONLINE_RETAIL, RETAIL, "1,2,x,3,2010-12-01 08:26:00,2.55,17850,UK"),
    (formats::COMPLETE_JOURNEY, JOURNEY, "1,2,3,4,5,6,0,0,0,1,2017-01-01 11:53:26"),
    (formats::ESHOP, ESHOP, "2008,4,1,1,29,1,1,A13,1,5,1,28,2,1"),
];

/// Bad cells by format: column from 0, content, reason.
const BAD_CELLS: [(Format, usize, &str, &str); 31] = [
    (formats::REES46, 0, "soon", "BAD_TIME"),
    (formats::REES46, 7, "null", "EMPTY_ID"),
    (formats::RETAILROCKET, 0, "soon", "BAD_TIME"),
    (formats::RETAILROCKET, 0, "1e9", "BAD_TIME"),
    (formats::RETAILROCKET, 1, "NaN", "EMPTY_ID"),
    (formats::RETAILROCKET, 2, "buy", "UNKNOWN_ACTION"),
    (formats::TAOBAO, 0, "", "EMPTY_ID"),
    (formats::TAOBAO, 3, "look", "UNKNOWN_ACTION"),
    (formats::TAOBAO, 3, "", "MISSING_FIELD"),
    (formats::TAOBAO, 4, "9999999999999999999999999999999", "BAD_TIME"),
    (formats::TAOBAO, 4, "NaT", "MISSING_FIELD"),
    (formats::TMALL, 2, "9", "UNKNOWN_ACTION"),
    (formats::TMALL, 3, "2-30", "BAD_TIME"),
    (formats::TMALL, 3, "", "MISSING_FIELD"),
    (formats::JDATA, 2, "soon", "BAD_TIME"),
    (formats::JDATA, 2, "2016-02-01 00:00:00 CST", "BAD_TIME"),
    (formats::JDATA, 4, "7", "UNKNOWN_ACTION"),
    (formats::OTTO, 2, "soon", "BAD_TIME"),
    (formats::OTTO, 3, "looks", "UNKNOWN_ACTION"),
    (formats::ONLINE_RETAIL, 3, "", "MISSING_FIELD"),
    (formats::ONLINE_RETAIL, 3, "NAN", "MISSING_FIELD"),
    (formats::ONLINE_RETAIL, 3, "many", "BAD_NUMBER"),
    (formats::ONLINE_RETAIL, 5, "2;55", "BAD_NUMBER"),
    (formats::ONLINE_RETAIL, 6, "", "EMPTY_ID"),
    (formats::COMPLETE_JOURNEY, 4, "x", "BAD_NUMBER"),
    (formats::COMPLETE_JOURNEY, 5, "x", "BAD_NUMBER"),
    (formats::COMPLETE_JOURNEY, 10, "soon", "BAD_TIME"),
    (formats::ESHOP, 1, "x", "BAD_NUMBER"),
    (formats::ESHOP, 2, "31", "BAD_TIME"),
    (formats::ESHOP, 3, "first", "BAD_TIME"),
    (formats::ESHOP, 11, "x", "BAD_NUMBER"),
];

#[test]
fn every_format_rejects_bad_cells_by_row() {
    for (format, column, cell, reason) in BAD_CELLS {
        let (_, header, good) = TABLES.into_iter().find(|table| table.0 == format).expect("a table");
        let first = 1 + header.lines().count() as u64;
        let mut cells: Vec<&str> = good.split(',').collect();
        cells[column] = cell;
        let text = format!("{header}{good}\n{}\n{good}\n", cells.join(","));
        check(&text, format, &[first, first + 2], &[(first + 1, reason, Some(column + 1))]);
    }
}

#[test]
fn a_used_cell_that_is_not_utf8_costs_its_row() {
    for (format, header, good) in TABLES {
        let user = match format {
            formats::REES46 => 7,
            formats::RETAILROCKET => 1,
            formats::ONLINE_RETAIL => 6,
            formats::ESHOP => 5,
            _ => 0,
        };
        let begin: usize = good.split(',').take(user).map(|cell| cell.len() + 1).sum();
        let mut row = format!("{good}\n").into_bytes();
        row.insert(begin, 0xe9);
        let bytes = [format!("{header}{good}\n").as_bytes(), &row, good.as_bytes()].concat();
        let reasons: Vec<_> = read(&bytes, format).into_iter().map(|(_, row)| row.err()).collect();
        assert_eq!(reasons, [None, Some(("BAD_TEXT", Some(user + 1))), None], "{}", format.name());
    }
}

#[test]
fn a_cell_that_is_not_used_may_have_any_bytes() {
    let mut bytes = RETAIL.as_bytes().to_vec();
    bytes.extend(b"536365,85123A,CAF\xc9 HOLDER,6,2010-12-01 08:26:00,2.55,17850,UK\n");
    let rows = read(&bytes, formats::ONLINE_RETAIL);
    assert_eq!(rows[0].1.as_ref().expect("an event").item_id, "85123A");
}

#[test]
fn missing_words_are_missing_in_all_optional_cells() {
    for missing in ["", "NA", "NaN", "null", "None", "undefined"] {
        let row = format!(
            "{REES46}2019-10-01 00:00:00 UTC,view,1,{missing},{missing},{missing},{missing},7001,{missing}\n"
        );
        let event = read(row.as_bytes(), formats::REES46).remove(0).1.expect("an event");
        let texts = [&event.category, &event.brand, &event.session_id, &event.order_id];
        assert_eq!((texts.map(String::as_str), event.price), ([""; 4], None), "{missing}");
        let row = format!("{RETAIL}{missing},85123A,x,6,2010-12-01 08:26:00,{missing},17850,{missing}\n");
        let event = read(row.as_bytes(), formats::ONLINE_RETAIL).remove(0).1.expect("an event");
        assert_eq!((event.order_id.as_str(), event.price), ("", None), "{missing}");
    }
}

#[test]
fn ids_that_became_floats_are_what_they_were() {
    let rows: [(Format, &str); 4] = [
        (
            formats::ONLINE_RETAIL,
            &format!("{RETAIL}536365.0,22752.0,x,6,2010-12-01 08:26:00,2.55,17850.0,UK\n"),
        ),
        (
            formats::JDATA,
            "user_id,sku_id,time,model_id,type,cate,brand\n17850.00,22752.0,2016-02-01 00:00:00,,4.0,8.0,9.0\n",
        ),
        (formats::TAOBAO, "17850.0,22752.0,8.0,buy,1511539500.0\n"),
        (
            formats::RETAILROCKET,
            "timestamp,visitorid,event,itemid,transactionid\n1433998932117.0,17850.0,transaction,22752.0,536365.0\n",
        ),
    ];
    for (format, text) in rows {
        let event = read(text.as_bytes(), format).remove(0).1.expect("an event");
        assert_eq!((event.user_id.as_str(), event.item_id.as_str()), ("17850", "22752"), "{}", format.name());
        assert!(matches!(event.order_id.as_str(), "" | "536365"), "{}", event.order_id);
        assert!(matches!(event.category.as_str(), "" | "8"), "{}", event.category);
    }
    let text = "user_id,sku_id,time,model_id,type,cate,brand\n10.0.0,100,2016-02-01 00:00:00,,1,8,9\n";
    let event = read(text.as_bytes(), formats::JDATA).remove(0).1.expect("an event");
    assert_eq!((event.user_id.as_str(), event.item_id.as_str()), ("10.0.0", "100"));
}

#[test]
fn an_offset_is_honoured_in_all_formats_with_dates() {
    let at =
        |text: &str, format: Format| read(text.as_bytes(), format).remove(0).1.map(|event| event.occurred_at);
    for time in [
        "2019-10-01 03:00:00+03:00",
        "2019-09-30 20:00:00-04",
        "2019-10-01T00:00:00Z",
        "2019-10-01 00:00:00 UTC",
    ] {
        let rows = [
            (formats::REES46, format!("{REES46}{time},view,1,2,a.b,x,2.62,7002,s\n")),
            (formats::JDATA, format!("user_id,sku_id,time,model_id,type,cate,brand\n1,2,{time},,1,4,5\n")),
            (formats::ONLINE_RETAIL, format!("{RETAIL}1,2,x,3,{time},2.55,17850,UK\n")),
            (formats::COMPLETE_JOURNEY, format!("{JOURNEY}1,2,3,4,5,6,0,0,0,1,{time}\n")),
            (
                formats::JSONL,
                format!("{{\"user_id\":\"1\",\"action\":\"view\",\"occurred_at\":\"{time}\"}}\n"),
            ),
        ];
        for (format, text) in rows {
            let seconds = at(&text, format).map(|at| at.map(|at| at.seconds));
            assert_eq!(seconds, Ok(Some(1_569_888_000)), "{}: {time}", format.name());
        }
    }
}

#[test]
fn a_quoted_cell_may_have_line_breaks_and_a_stray_quote_costs_its_row() {
    let row = |title: &str| format!("1,2,{title},3,2010-12-01 08:26:00,2.55,17850,UK\n");
    let text =
        format!("{RETAIL}{}{}{}", row("\"two\nlines, \"\"quoted\"\"\""), row("x"), row("\"5 inch\" pipe"));
    check(&text, formats::ONLINE_RETAIL, &[2, 4, 5], &[]);
    let text = format!("{RETAIL}{}{}{}{}", row("\"5 inch"), row("x"), row("\"6 inch"), row("x"));
    let stray = [(2, "FIELD_COUNT", None), (4, "FIELD_COUNT", None)];
    check(&text, formats::ONLINE_RETAIL, &[3, 5], &stray);
    let text = format!("{RETAIL}{}{}", row("\"5 inch"), row("x").repeat(100));
    check(&text, formats::ONLINE_RETAIL, &(3..103).collect::<Vec<_>>(), &[(2, "FIELD_COUNT", None)]);
}

#[test]
fn blank_lines_and_a_byte_order_mark_are_passed_over() {
    check("\u{feff}1,2,3,pv,1511539500\n\n  \r\n1,2,3,pv,1511539501\r\n", formats::TAOBAO, &[1, 4], &[]);
    let line = r#"{"user_id":"j3","action":"view","occurred_at":"2026-01-01T00:00:00Z"}"#;
    check(&format!("\u{feff}{line}\n\n{line}\n\n"), formats::JSONL, &[1, 3], &[]);
    check(&format!("\u{feff}\n[\n{line},\n{line}]"), formats::JSONL, &[3, 4], &[]);
}

#[test]
fn a_broken_object_rejects_its_row() {
    let line = r#"{"user_id":"j3","action":"view","occurred_at":"2026-01-01T00:00:00Z"}"#;
    for (bad, reason) in
        [("{\"user_id\":", "BAD_JSON"), ("x", "BAD_JSON"), ("null", "BAD_JSON"), ("{}", "EMPTY_ID")]
    {
        let rows = read(format!("{line}\n{bad}\n{line}\n").as_bytes(), formats::JSONL);
        let reasons: Vec<_> =
            rows.iter().map(|(_, row)| row.as_ref().err().map(|(reason, _)| *reason)).collect();
        assert_eq!(reasons, [None, Some(reason), None], "{bad}");
        let rows = read(format!("[{line},\n{bad},\n{line}]").as_bytes(), formats::JSONL);
        let reasons: Vec<_> =
            rows.iter().map(|(_, row)| row.as_ref().err().map(|(reason, _)| *reason)).collect();
        assert_eq!(reasons, [None, Some(reason), None], "[{bad}]");
    }
}

#[test]
fn a_header_of_another_format_is_an_error_that_names_it() {
    let error = |text: &str, format| open(text.as_bytes(), format).err().expect("another format").to_string();
    assert!(error("session,aid,ts,type\n", formats::REES46).contains("--format otto"));
    assert!(error("session,aid,ts,type\n1,2,3,clicks\n", formats::TAOBAO).contains("--format otto"));
    assert!(error("", formats::OTTO).contains("the file is empty"));
    let text = error("a,b\n", formats::OTTO);
    for part in
        ["user (session), action (type), item (aid), time (ts)", "a, b", "--guess", "docs/guides/import.md"]
    {
        assert!(text.contains(part), "{part:?} is not in {text}");
    }
}

#[test]
fn repeated_lines_of_an_order_are_numbered_and_duplicates_are_not() {
    let row = |price: &str| format!("536365,85123A,x,6,2010-12-01 08:26:00,{price},17850,UK\n");
    let text = format!("{RETAIL}{}{}{}{}", row("2.55"), row("3.00"), row("2.55"), row("4.00"));
    let numbers = |text: &str, format| -> Vec<u32> {
        read(text.as_bytes(), format).into_iter().map(|(_, row)| row.expect("an event").order_line).collect()
    };
    assert_eq!(numbers(&text, formats::ONLINE_RETAIL), [0, 1, 0, 2]);
    // Objects are events of the API: a page that is loaded again reports the same line with another event id.
    let line = |id: u32, more: &str| {
        format!(
            "{{\"event_id\":\"{id}\",\"user_id\":\"u\",\"action\":\"purchase\",\"item_id\":\"i\",\"order_id\":\"o\",\"time\":1{more}}}\n"
        )
    };
    let text = [line(1, ""), line(2, ""), line(3, ",\"order_line\":7")].concat();
    assert_eq!(numbers(&text, formats::JSONL), [0, 0, 7]);
}

fn cell() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => "[0-9]{1,13}",
        2 => prop::sample::select(vec!["view", "clicks", "pv", "0", "1", "NaN", "", "2016-02-01 00:00:00+03:00", "7-20"])
            .prop_map(str::to_owned),
        1 => "[ -~]{0,12}",
        1 => "\\PC{0,6}",
    ]
}

proptest! {
    /// Any bytes behind any header are read to their end: each row is taken or rejected, and none is lost.
    #[test]
    fn all_rows_are_taken_or_rejected(
        format in 0..Format::all().len(),
        rows in prop::collection::vec(prop::collection::vec(cell(), 0..14), 0..20),
        noise in prop::collection::vec(any::<u8>(), 0..40),
        at in any::<prop::sample::Index>(),
    ) {
        let format = Format::all()[format];
        let header = TABLES.iter().find(|table| table.0 == format).map_or("", |table| table.1);
        let mut bytes = header.as_bytes().to_vec();
        let begin = bytes.len();
        bytes.extend(rows.iter().map(|row| row.join(",") + "\n").collect::<String>().into_bytes());
        let at = begin + at.index(bytes.len() - begin + 1);
        bytes.splice(at..at, noise);
        if let Ok(mut reader) = open(&bytes, format) {
            let (mut taken, mut rejected, mut errors) = (0, 0, 0);
            for row in reader.by_ref() {
                match row {
                    Ok(LogRow { body: RowBody::Rejected(_), raw, .. }) => {
                        prop_assert!(raw.is_some());
                        rejected += 1;
                    }
                    Ok(_) => taken += 1,
                    Err(_) => errors += 1,
                }
            }
            prop_assert_eq!(reader.rows_read(), taken + rejected);
            // Only an array of JSON without an end cannot be read to its end.
            prop_assert!(errors == 0 || format.mapping().kind() == Some(FileKind::Jsonl));
        }
    }
}
