//! Logs that a lone clone has: those that `scripts/make_logs` writes, generated or from a public package, and small fixtures.

use super::{Log, Origin, shipped};

/// Fourteen days of a multi-category store.
pub const REES46: Log = Log {
    format: shipped("rees46"),
    origin: Origin::Prepared,
    file: "rees46.csv",
    read: 26_559,
    duplicates: 95,
    rejected: 0,
    users: 2_511,
};

/// Views, carts and transactions in milliseconds.
pub const RETAILROCKET: Log = Log {
    format: shipped("retailrocket"),
    origin: Origin::Prepared,
    file: "retailrocket.csv",
    read: 4_611,
    duplicates: 8,
    rejected: 0,
    users: 395,
};

/// Nine days in a file without a header.
pub const TAOBAO: Log = Log {
    format: shipped("taobao"),
    origin: Origin::Prepared,
    file: "taobao.csv",
    read: 5_700,
    duplicates: 24,
    rejected: 0,
    users: 120,
};

/// Four months in days without a time; equal rows are repeats of an action.
pub const TMALL: Log = Log {
    format: shipped("tmall"),
    origin: Origin::Prepared,
    file: "tmall.csv",
    read: 100_000,
    duplicates: 0,
    rejected: 0,
    users: 698,
};

/// All six kinds of action.
pub const JDATA: Log = Log {
    format: shipped("jdata"),
    origin: Origin::Prepared,
    file: "jdata.csv",
    read: 5_034,
    duplicates: 31,
    rejected: 0,
    users: 372,
};

/// Sessions in milliseconds, compressed.
pub const OTTO: Log = Log {
    format: shipped("otto"),
    origin: Origin::Prepared,
    file: "otto.csv.gz",
    read: 2_024,
    duplicates: 13,
    rejected: 0,
    users: 126,
};

/// A year of invoices with refunds; a quarter of the lines has no customer.
pub const ONLINE_RETAIL: Log = Log {
    format: shipped("online-retail"),
    origin: Origin::Prepared,
    file: "online-retail.csv",
    read: 60_190,
    duplicates: 2_642,
    rejected: 15_082,
    users: 1_157,
};

/// Four months of clicks of anonymous sessions.
pub const ESHOP: Log = Log {
    format: shipped("eshop"),
    origin: Origin::Prepared,
    file: "eshop.csv",
    read: 72_280,
    duplicates: 307,
    rejected: 0,
    users: 8_000,
};

/// Every kind of action as lines of JSON.
pub const EVENTS: Log = Log {
    format: shipped("jsonl"),
    origin: Origin::Prepared,
    file: "events.jsonl",
    read: 3_331,
    duplicates: 12,
    rejected: 0,
    users: 232,
};

/// A year of groceries of 618 households, from Complete Journey 2.0.
pub const GROCERIES: Log = Log {
    format: shipped("complete-journey"),
    origin: Origin::Prepared,
    file: "transactions.csv.gz",
    read: 364_383,
    duplicates: 0,
    rejected: 0,
    users: 618,
};

/// The catalogue of the groceries.
pub const PRODUCTS: Log = Log {
    format: shipped("complete-journey-products"),
    origin: Origin::Prepared,
    file: "products.csv.gz",
    read: 92_331,
    duplicates: 0,
    rejected: 0,
    users: 0,
};

/// Sample rows listed in the README.
pub const FIXTURE_RETAILROCKET: Log = Log {
    format: shipped("retailrocket"),
    origin: Origin::Fixture,
    file: "retailrocket.csv",
    read: 201,
    duplicates: 1,
    rejected: 0,
    users: 29,
};

/// Sample rows listed in the README.
pub const FIXTURE_JDATA: Log = Log {
    format: shipped("jdata"),
    origin: Origin::Fixture,
    file: "jdata.csv",
    read: 201,
    duplicates: 1,
    rejected: 0,
    users: 25,
};

/// Sample lines listed in the README.
pub const FIXTURE_EVENTS: Log = Log {
    format: shipped("jsonl"),
    origin: Origin::Fixture,
    file: "events.jsonl",
    read: 101,
    duplicates: 1,
    rejected: 0,
    users: 12,
};

/// All logs that `scripts/make_logs` writes: every import format.
pub const WRITTEN: [Log; 11] =
    [REES46, RETAILROCKET, TAOBAO, TMALL, JDATA, OTTO, ONLINE_RETAIL, ESHOP, EVENTS, GROCERIES, PRODUCTS];

/// Logs in `tests/fixtures`.
pub const FIXTURES: [Log; 3] = [FIXTURE_RETAILROCKET, FIXTURE_JDATA, FIXTURE_EVENTS];
