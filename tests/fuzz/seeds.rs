//! Seed corpus: at least one valid input for each target, so that code behind format checks and checksums is reached at once.
//!
//! Usage: `seeds FOLDER` writes one folder per target.

// Links the runtime of libFuzzer, which the coverage instrumentation needs.
use libfuzzer_sys as _;
use portrait_connect::files::Format;
use portrait_learning::testing::{by_views, view};
use portrait_profile::{
    ModelVersion, PartitionLedger, Profile, PseudonymKey, SEAL_BYTES, Timestamp, TraceContext, UserId,
};
use portrait_proto::receipt::Receipt;
use portrait_proto::token::{ConsistencyToken, TokenEntry};
use portrait_proto::v1;
use prost::Message;
use std::path::Path;

/// 2026-01-01.
const NOW: Timestamp = Timestamp::from_millis(1_767_225_600_000);

/// Sample file of formats that ship.
const LOGS: [(&str, &str); 12] = [
    (
        "rees46",
        "event_time,event_type,product_id,category_id,category_code,brand,price,user_id,user_session\n\
     2019-10-01 00:00:00 UTC,view,44600062,2103807459595387724,,shiseido,35.79,541312140,72d76fde\n",
    ),
    ("retailrocket", "timestamp,visitorid,event,itemid,transactionid\n1433221332117,257597,view,355908,\n"),
    ("taobao", "1,2268318,2520377,pv,1511544070\n"),
    ("tmall", "user_id,brand_id,type,visit_datetime\n10944750,13451,0,06/04\n"),
    ("jdata", "user_id,sku_id,time,model_id,type,cate,brand\n266079,138778,2016-01-31 23:59:02,,1,8,403\n"),
    ("otto", "session,aid,ts,type\n0,1517085,1659304800025,clicks\n"),
    (
        "online-retail",
        "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country\n\
     536365,85123A,HOLDER,6,2010-12-01 08:26:00,2.55,17850,United Kingdom\n",
    ),
    (
        "complete-journey",
        "household_id,store_id,basket_id,product_id,quantity,sales_value,retail_disc,coupon_disc,coupon_match_disc,week,\
     transaction_timestamp\n900,330,31198570044,1095275,1,0.5,0,0,0,1,2017-01-01 11:53:26\n",
    ),
    (
        "eshop",
        "year,month,day,order,country,session ID,page 1 (main category),page 2 (clothing model),colour,location,\
     model photography,price,price 2,page\n2008,4,1,1,29,1,1,A13,1,5,1,28,2,1\n",
    ),
    (
        "jsonl",
        "{\"event_id\":\"e1\",\"user_id\":\"lena\",\"action\":\"view\",\"occurred_at\":\"2026-01-01T12:00:00Z\"}\n",
    ),
    (
        "complete-journey-products",
        "product_id,manufacturer_id,department,brand,product_category,product_type,package_size\n\
     25671,2,GROCERY,National,FRZN ICE,ICE,22 LB\n",
    ),
    (
        "otto-jsonl",
        "{\"session\":0,\"events\":[{\"aid\":1517085,\"ts\":1659304800025,\"type\":\"clicks\"}]}\n",
    ),
];

fn events() -> v1::TrackRequest {
    let event = v1::Event {
        event_id: "e1".to_owned(),
        user_id: "lena".to_owned(),
        action: v1::Action::Purchase.into(),
        occurred_at: Some(prost_types::Timestamp { seconds: NOW.millis() / 1000, nanos: 5 }),
        item_id: "boots-42".to_owned(),
        category: "shoes".to_owned(),
        brand: "north".to_owned(),
        price: Some(89.9),
        currency: "EUR".to_owned(),
        quantity: Some(2.0),
        order_id: "o1".to_owned(),
        properties: [("colour".to_owned(), "red".to_owned())].into(),
        ..Default::default()
    };
    v1::TrackRequest { events: vec![event.clone(), event], backfill: true }
}

/// Index of a format, which the target chooses by the first byte.
fn index_of(name: &str) -> usize {
    Format::all().iter().position(|format| format.name() == name).expect("it ships")
}

/// Sample of profile format 4.
const FORMER_PROFILE: &[u8] = include_bytes!("../../crates/profile/src/profile/testdata/format_6.profile");

/// Seed inputs by target.
fn seeds() -> Vec<(&'static str, Vec<Vec<u8>>)> {
    let behind =
        |first: usize, bytes: Vec<u8>| [vec![u8::try_from(first).expect("few kinds")], bytes].concat();
    let record = view("lena", 1, NOW);
    let followed = portrait_profile::Record { trace: Some(TraceContext([7; 24])), ..record.clone() };
    let mut profile = Profile::new(UserId::parse("lena").expect("an id"));
    profile.apply(&record);
    let entry = |partition| TokenEntry { partition, generation: 7 << 100 | 5, seq: 300 };
    let places = ConsistencyToken { entries: vec![entry(0), entry(15)] };
    let pseudonym = PseudonymKey::new(7).of(&record.user_id);
    let receipt = Receipt { accepted_at: NOW, pseudonym, home: entry(0), coordinator: entry(15) };
    let key = PseudonymKey::new(7);
    let unsealed = |bytes: Vec<u8>| bytes[..bytes.len() - SEAL_BYTES].to_vec();
    // Shard 0 of 1 of a store with 2 partitions: one position, and one pending resync.
    let resume = [&b"PR\x02\x00\x01\x02\x00"[..], &[9; 8], &[5, 1]].concat();
    let model = by_views(ModelVersion::new(1).expect("not zero"), [0, 1], NOW).encode();
    vec![
        ("events", vec![events().encode_to_vec()]),
        ("imports", LOGS.iter().map(|(name, log)| behind(index_of(name), log.as_bytes().to_vec())).collect()),
        (
            "records",
            vec![
                behind(0, record.encode()),
                behind(0, followed.encode()),
                behind(2, PartitionLedger::default().encode()),
                behind(5, profile.encode()),
                behind(5, FORMER_PROFILE.to_vec()),
            ],
        ),
        ("snapshots", vec![behind(5, model)]),
        (
            "tokens",
            vec![
                behind(3, resume),
                behind(1, unsealed(places.encode(key))),
                behind(2, unsealed(receipt.encode(key))),
            ],
        ),
    ]
}

fn main() -> std::io::Result<()> {
    let folder = std::env::args().nth(1).expect("usage: seeds FOLDER");
    for (target, inputs) in seeds() {
        let folder = Path::new(&folder).join(target);
        std::fs::create_dir_all(&folder)?;
        for (number, input) in inputs.iter().enumerate() {
            std::fs::write(folder.join(format!("seed-{number}")), input)?;
        }
    }
    Ok(())
}
