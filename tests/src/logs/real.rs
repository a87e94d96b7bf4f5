//! Real logs of shops, which the repository does not contain: `PORTRAIT_DATA` names their folder.

use super::{Log, Origin, shipped};

/// Three hours of a multi-category store.
pub const REES46: Log = Log {
    format: shipped("rees46"),
    origin: Origin::Real,
    file: "rees46_2019-10-01_0000-0250.csv.gz",
    read: 17_434,
    duplicates: 5,
    rejected: 0,
    users: 4_504,
};

/// Nine days of 57 users of Taobao.
pub const TAOBAO: Log = Log {
    format: shipped("taobao"),
    origin: Origin::Real,
    file: "taobao2017_wholeusers_A.csv.gz",
    read: 4_528,
    duplicates: 0,
    rejected: 0,
    users: 57,
};

/// Four months of Tmall, in days without a time.
pub const TMALL: Log = Log {
    format: shipped("tmall"),
    origin: Origin::Real,
    file: "tmall2013_events_A.csv.gz",
    read: 111_219,
    duplicates: 0,
    rejected: 0,
    users: 530,
};

/// Twenty sessions of OTTO.
pub const OTTO: Log = Log {
    format: shipped("otto"),
    origin: Origin::Real,
    file: "otto_sample_20sessions.csv.gz",
    read: 862,
    duplicates: 0,
    rejected: 0,
    users: 20,
};

/// Four months of a shop of clothes.
pub const ESHOP: Log = Log {
    format: shipped("eshop"),
    origin: Origin::Real,
    file: "uci_eshop_clothing_2008.csv.gz",
    read: 165_474,
    duplicates: 0,
    rejected: 0,
    users: 24_026,
};

/// A year of a wholesaler; a quarter of the lines has no customer.
pub const ONLINE_RETAIL: Log = Log {
    format: shipped("online-retail"),
    origin: Origin::Real,
    file: "uci_online_retail.csv.gz",
    read: 541_909,
    duplicates: 5_227,
    rejected: 135_080,
    users: 4_372,
};

/// A year of groceries of 1,234 households.
pub const GROCERIES: Log = Log {
    format: shipped("complete-journey"),
    origin: Origin::Real,
    file: "completejourney_transactions_A.csv.gz",
    read: 764_999,
    duplicates: 0,
    rejected: 0,
    users: 1_234,
};

/// The catalogue of the groceries.
pub const PRODUCTS: Log = Log {
    format: shipped("complete-journey-products"),
    origin: Origin::Real,
    file: "completejourney_products.csv.gz",
    read: 92_331,
    duplicates: 0,
    rejected: 0,
    users: 0,
};

/// All real logs.
pub const ALL: [Log; 8] = [REES46, TAOBAO, TMALL, OTTO, ESHOP, ONLINE_RETAIL, GROCERIES, PRODUCTS];
