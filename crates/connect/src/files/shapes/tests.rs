//! Reading of published shapes, their detection, and ids that do not depend on spelling.

use super::super::detect;
use super::super::mapping::Mapping;
use super::super::row::{LogRow, RowBody};
use super::super::sample::FileSample;
use super::super::shipped::Format;
use super::{SHAPES, Shape};
use portrait_proto::action::kind_from_wire;
use std::path::Path;

fn events(sample: &FileSample, format: Format) -> Vec<LogRow> {
    let reader = sample.open(&format.mapping()).unwrap_or_else(|error| panic!("{}: {error}", format.name()));
    reader.map(|row| row.expect("readable")).collect()
}

fn described(row: &LogRow) -> (String, String, String, i64, String) {
    let RowBody::Event(event) = &row.body else { panic!("{row:?}") };
    let action = kind_from_wire(event.action).expect("an action").name();
    let at = event.occurred_at.as_ref().expect("a time");
    let millis = at.seconds * 1000 + i64::from(at.nanos / 1_000_000);
    let price = event.price.map(|price| price.to_string()).unwrap_or_default();
    (event.user_id.clone(), action.to_owned(), event.item_id.clone(), millis, price)
}

#[test]
fn every_published_shape_is_read_without_rejects() {
    for Shape { name, format, text, rows, first } in SHAPES {
        let format = Format::named(format).expect("it ships");
        let sample = FileSample::of_bytes(Path::new("data"), text.to_vec());
        let read = events(&sample, format);
        for row in &read {
            assert!(matches!(row.body, RowBody::Event(_)), "{name}: {row:?}");
        }
        assert_eq!(read.len(), rows, "{name}");
        let (user, action, item, millis, price) = first;
        let first = (user.to_owned(), action.to_owned(), item.to_owned(), millis, price.to_owned());
        assert_eq!(described(&read[0]), first, "{name}");
    }
}

#[test]
fn the_format_of_every_published_shape_is_found() {
    for Shape { name, format, text, .. } in SHAPES {
        let sample = FileSample::of_bytes(Path::new("data"), text.to_vec());
        assert_eq!(sample.format().map(Format::name), Some(format), "{name}");
    }
}

#[test]
fn columns_may_have_another_order_and_more_of_them() {
    let text = "price,index,user_session,user_id,EVENT TIME,eventtype,product_id\n\
                2.5,0,s,u,2019-10-01 00:00:00 UTC,cart,i\n";
    let sample = FileSample::of_bytes(Path::new("data"), text.as_bytes().to_vec());
    let rees46 = Format::named("rees46").expect("it ships");
    let expected =
        ("u".to_owned(), "add_to_cart".to_owned(), "i".to_owned(), 1_569_888_000_000, "2.5".to_owned());
    assert_eq!(described(&events(&sample, rees46)[0]), expected);
}

#[test]
fn catalogues_become_items_and_other_rows_are_left_out() {
    let rows = [
        (
            "retailrocket-items",
            "timestamp,itemid,property,value\n1435460400000,460429,categoryid,1338\n1441508400000,206783,888,1116713 960601 n277.200\n",
            vec![Some(("460429", "1338", "")), None],
        ),
        (
            "complete-journey-products",
            "product_id,manufacturer_id,department,brand,product_category,product_type,package_size\n25671,2,GROCERY,National,FRZN ICE,ICE - CRUSHED/CUBED,22 LB\n26081,2,MISCELLANEOUS,National,,,\n",
            vec![Some(("25671", "FRZN ICE", "National")), Some(("26081", "MISCELLANEOUS", "National"))],
        ),
        (
            "dunnhumby-products",
            "PRODUCT_ID,MANUFACTURER,DEPARTMENT,BRAND,COMMODITY_DESC,SUB_COMMODITY_DESC,CURR_SIZE_OF_PRODUCT\n26081,2,MISC. TRANS.,National,NO COMMODITY DESCRIPTION,NO SUBCOMMODITY DESCRIPTION,\n",
            vec![Some(("26081", "MISC. TRANS.", "National"))],
        ),
    ];
    for (format, text, expected) in rows {
        let sample = FileSample::of_bytes(Path::new("data"), text.as_bytes().to_vec());
        assert_eq!(sample.format().map(Format::name), Some(format));
        let read = events(&sample, Format::named(format).expect("it ships"));
        let read = read.iter().map(|row| match &row.body {
            RowBody::Item(item) => Some((item.item_id.as_str(), item.category.as_str(), item.brand.as_str())),
            RowBody::LeftOut => None,
            RowBody::Event(_) | RowBody::Rejected(_) => panic!("{row:?}"),
        });
        assert_eq!(read.collect::<Vec<_>>(), expected, "{format}");
    }
}

#[test]
fn orders_of_instacart_add_up_their_days() {
    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).expect("written");
        path
    };
    // Kaggle, Instacart market basket analysis: code index 12068353208 and 3523557764, with products of the first orders.
    write(
        "orders.csv",
        "order_id,user_id,eval_set,order_number,order_dow,order_hour_of_day,days_since_prior_order\n\
         2539329,1,prior,1,2,08,\n2398795,1,prior,2,3,07,15.0\n473747,1,prior,3,3,12,21.0\n2168274,2,prior,1,2,11,\n",
    );
    let lines = write(
        "order_products__prior.csv",
        "order_id,product_id,add_to_cart_order,reordered\n2539329,196,1,0\n473747,196,1,1\n2168274,32792,1,0\n99,5,1,0\n",
    );
    assert_eq!(detect(&lines).map(Format::name).ok(), Some("instacart"));
    let sample = FileSample::of(&lines).expect("readable");
    let rows = events(&sample, Format::named("instacart").expect("it ships"));
    // 2017-01-01.
    let (start, day, hour) = (1_483_228_800_000, 86_400_000, 3_600_000);
    let expected = [
        ("1", "196", start + 8 * hour),
        ("1", "196", start + 36 * day + 12 * hour),
        ("2", "32792", start + 11 * hour),
    ];
    for (row, (user, item, at)) in rows.iter().zip(expected) {
        let expected = (user.to_owned(), "purchase".to_owned(), item.to_owned(), at, String::new());
        assert_eq!(described(row), expected);
    }
    let RowBody::Rejected(defect) = &rows[3].body else { panic!("{:?}", rows[3]) };
    assert_eq!(defect.to_string(), "column 1 (order_id): \"99\" is not in orders.csv");
    std::fs::remove_file(folder.path().join("orders.csv")).expect("removed");
    let error =
        sample.open(&Format::named("instacart").expect("it ships").mapping()).err().expect("no table");
    assert!(error.to_string().contains("orders.csv"), "{error}");
}

#[test]
fn another_spelling_of_a_file_gives_equal_ids() {
    let ids = |format: &str, text: &str| -> Vec<String> {
        let sample = FileSample::of_bytes(Path::new("data"), text.as_bytes().to_vec());
        let rows = events(&sample, Format::named(format).expect("it ships"));
        let ids = rows.iter().map(|row| match &row.body {
            RowBody::Event(event) => event.event_id.clone(),
            _ => panic!("{row:?}"),
        });
        ids.collect()
    };
    let first = "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country\n\
                 536365,85123A,LANTERN,6,2010-12-01 08:26:00,2.50,17850,United Kingdom\n";
    let again = "index;CustomerID;UnitPrice;InvoiceDate;Quantity;StockCode;InvoiceNo\n\
                 0;17850.0;2.5;\"12/1/2010 8:26\";6.0;85123A;536365\n";
    assert_eq!(ids("online-retail", first), ids("online-retail", again));
    let july = "user_id,brand_id,type,visit_datetime\n5,7,1,7-20\n5,8,0,7-20\n5,7,1,7-20\n";
    let grown = "user_id,brand_id,type,visit_datetime\n6,7,1,7-19\n5,7,1,07/20\n5,7,1,7-20\n5,8,0,7-20\n";
    let (mut july, mut grown) = (ids("tmall", july), ids("tmall", grown).split_off(1));
    july.sort_unstable();
    grown.sort_unstable();
    assert_eq!(july, grown);
    assert!(july.iter().any(|id| id.ends_with("-1")), "{july:?}");
}

#[test]
fn mappings_of_shapes_are_texts_that_can_be_given_again() {
    for Shape { format, .. } in SHAPES {
        let text = Format::named(format).expect("it ships").text();
        assert_eq!(Mapping::parse(text).expect("valid").name(), format);
    }
}
