//! Formats of shops' logs: columns, detection by header, and the documented meaning of equal rows.

use super::row::{EventId, LogOptions};
use clap::ValueEnum;

/// Documented format of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Log of the REES46 multi-category store.
    Rees46,
    /// Log of the Retailrocket recommender dataset.
    Retailrocket,
    /// Taobao `UserBehavior`, which has no header.
    Taobao,
    /// Tmall, Alibaba's competition of 2014.
    Tmall,
    /// JD.com, JData competition of 2016.
    Jdata,
    /// Log of OTTO sessions.
    Otto,
    /// Invoices of UCI Online Retail.
    OnlineRetail,
    /// Complete Journey 2.0: transactions, or products as the catalogue.
    CompleteJourney,
    /// UCI e-shop clothing 2008.
    Eshop,
    /// JSON objects with the field names of the API's `Event`, one a line or in an array.
    Jsonl,
}

/// Column layout of a format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ColumnLayout {
    Rees46,
    Retailrocket,
    Taobao,
    Tmall,
    Jdata,
    Otto,
    OnlineRetail,
    Transactions,
    Products,
    Eshop,
}

/// Columns of a file by the field that they become.
#[derive(Clone, Copy, Debug)]
pub struct LogColumns(pub(super) Option<ColumnLayout>);

impl LogColumns {
    /// Returns the column of a field of the API's `Event` or `Item`, from 1; none if the file has no column for it.
    pub fn of(self, field: &str) -> Option<usize> {
        self.0.and_then(|layout| layout.column_of(field))
    }
}

impl Format {
    /// Returns the documented meaning of equal rows. Tmall has days without times, so equal rows are repeated actions; in all other
    /// formats they are duplicates of one event.
    pub const fn default_event_id(self) -> EventId {
        match self {
            Self::Tmall => EventId::Row,
            Self::Rees46
            | Self::Retailrocket
            | Self::Taobao
            | Self::Jdata
            | Self::Otto
            | Self::OnlineRetail
            | Self::CompleteJourney
            | Self::Eshop
            | Self::Jsonl => EventId::Content,
        }
    }

    /// Returns the options of a reader that takes equal rows as documented.
    pub const fn default_options(self) -> LogOptions {
        LogOptions { event_id: self.default_event_id(), keep_raw: false }
    }

    /// Returns the layouts of this format; empty for JSON lines.
    pub(super) const fn layouts(self) -> &'static [ColumnLayout] {
        match self {
            Self::Rees46 => &[ColumnLayout::Rees46],
            Self::Retailrocket => &[ColumnLayout::Retailrocket],
            Self::Taobao => &[ColumnLayout::Taobao],
            Self::Tmall => &[ColumnLayout::Tmall],
            Self::Jdata => &[ColumnLayout::Jdata],
            Self::Otto => &[ColumnLayout::Otto],
            Self::OnlineRetail => &[ColumnLayout::OnlineRetail],
            Self::CompleteJourney => &[ColumnLayout::Transactions, ColumnLayout::Products],
            Self::Eshop => &[ColumnLayout::Eshop],
            Self::Jsonl => &[],
        }
    }

    /// Returns the name on the command line.
    pub fn name(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }

    /// Returns the format with this header.
    pub(super) fn of_header(header: &[&str]) -> Option<Self> {
        // Only complete headers identify a format: several formats share column names such as user_id.
        Self::value_variants().iter().copied().find(|format| {
            format.layouts().iter().any(|layout| layout.has_header() && layout.columns() == header)
        })
    }
}

impl ColumnLayout {
    /// Returns `true` if the first line names the columns.
    pub(super) const fn has_header(self) -> bool {
        !matches!(self, Self::Taobao)
    }

    /// Returns the column of a field of the API's `Event` or `Item`, from 1; none if the layout has no column for it.
    pub(super) fn column_of(self, field: &str) -> Option<usize> {
        let name = match (self, field) {
            (Self::Rees46, "occurred_at") => "event_time",
            (Self::Rees46, "action") => "event_type",
            (Self::Rees46, "item_id") => "product_id",
            (Self::Rees46, "category") => "category_code",
            (Self::Rees46, "session_id") => "user_session",
            (Self::Retailrocket, "occurred_at") => "timestamp",
            (Self::Retailrocket, "user_id") => "visitorid",
            (Self::Retailrocket, "action") => "event",
            (Self::Retailrocket, "item_id") => "itemid",
            (Self::Retailrocket, "order_id") => "transactionid",
            (Self::Taobao, "user_id") => "user",
            (Self::Taobao, "item_id") => "item",
            (Self::Taobao, "action") => "behaviour",
            (Self::Taobao, "occurred_at") => "timestamp",
            (Self::Tmall, "brand") => "brand_id",
            (Self::Tmall, "action") => "type",
            (Self::Tmall, "occurred_at") => "visit_datetime",
            (Self::Jdata, "item_id") => "sku_id",
            (Self::Jdata, "occurred_at") => "time",
            (Self::Jdata, "action") => "type",
            (Self::Jdata, "category") => "cate",
            (Self::Otto, "user_id") => "session",
            (Self::Otto, "item_id") => "aid",
            (Self::Otto, "occurred_at") => "ts",
            (Self::Otto, "action") => "type",
            (Self::OnlineRetail, "order_id") => "InvoiceNo",
            (Self::OnlineRetail, "item_id") => "StockCode",
            (Self::OnlineRetail, "quantity") => "Quantity",
            (Self::OnlineRetail, "occurred_at") => "InvoiceDate",
            (Self::OnlineRetail, "price") => "UnitPrice",
            (Self::OnlineRetail, "user_id") => "CustomerID",
            (Self::Transactions, "user_id") => "household_id",
            (Self::Transactions, "order_id") => "basket_id",
            (Self::Transactions | Self::Products, "item_id") => "product_id",
            (Self::Transactions, "price") => "sales_value",
            (Self::Transactions, "occurred_at") => "transaction_timestamp",
            (Self::Products, "category") => "product_category",
            (Self::Products, "title") => "product_type",
            (Self::Eshop, "user_id") => "session ID",
            (Self::Eshop, "item_id") => "page 2 (clothing model)",
            (Self::Eshop, "category") => "page 1 (main category)",
            (Self::Eshop, "occurred_at") => "day",
            (_, field) => field,
        };
        self.columns().iter().position(|column| *column == name).map(|index| index + 1)
    }

    /// Returns the column names in order.
    pub(super) const fn columns(self) -> &'static [&'static str] {
        match self {
            Self::Rees46 => REES46,
            Self::Retailrocket => RETAILROCKET,
            Self::Taobao => TAOBAO,
            Self::Tmall => TMALL,
            Self::Jdata => JDATA,
            Self::Otto => OTTO,
            Self::OnlineRetail => ONLINE_RETAIL,
            Self::Transactions => TRANSACTIONS,
            Self::Products => PRODUCTS,
            Self::Eshop => ESHOP,
        }
    }
}

const REES46: &[&str] = &[
    "event_time",
    "event_type",
    "product_id",
    "category_id",
    "category_code",
    "brand",
    "price",
    "user_id",
    "user_session",
];
const RETAILROCKET: &[&str] = &["timestamp", "visitorid", "event", "itemid", "transactionid"];
const TAOBAO: &[&str] = &["user", "item", "category", "behaviour", "timestamp"];
const TMALL: &[&str] = &["user_id", "brand_id", "type", "visit_datetime"];
const JDATA: &[&str] = &["user_id", "sku_id", "time", "model_id", "type", "cate", "brand"];
const OTTO: &[&str] = &["session", "aid", "ts", "type"];
const ONLINE_RETAIL: &[&str] = &[
    "InvoiceNo",
    "StockCode",
    "Description",
    "Quantity",
    "InvoiceDate",
    "UnitPrice",
    "CustomerID",
    "Country",
];
const TRANSACTIONS: &[&str] = &[
    "household_id",
    "store_id",
    "basket_id",
    "product_id",
    "quantity",
    "sales_value",
    "retail_disc",
    "coupon_disc",
    "coupon_match_disc",
    "week",
    "transaction_timestamp",
];
const PRODUCTS: &[&str] = &[
    "product_id",
    "manufacturer_id",
    "department",
    "brand",
    "product_category",
    "product_type",
    "package_size",
];
const ESHOP: &[&str] = &[
    "year",
    "month",
    "day",
    "order",
    "country",
    "session ID",
    "page 1 (main category)",
    "page 2 (clothing model)",
    "colour",
    "location",
    "model photography",
    "price",
    "price 2",
    "page",
];
