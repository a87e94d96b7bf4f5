//! Names that shops give to the columns of a field, and values that they give to actions.

use super::super::cell::letters;
use super::super::mapping::Field;
use portrait_profile::ActionKind;

/// Names of columns by field, without case, spaces and underscores, the surest first.
const COLUMNS: [(Field, &[&str]); 15] = [
    (
        Field::User,
        &[
            "userid",
            "customerid",
            "visitorid",
            "clientid",
            "memberid",
            "buyerid",
            "shopperid",
            "householdid",
            "householdkey",
            "accountid",
            "personid",
            "uid",
            "customeruniqueid",
            "user",
            "customer",
            "username",
            "customernumber",
            "customerno",
            "custid",
            "clientno",
            "member",
            "visitor",
            "fullvisitorid",
            "deviceid",
            "email",
            "household",
        ],
    ),
    (
        Field::Item,
        &[
            "itemid",
            "productid",
            "skuid",
            "sku",
            "stockcode",
            "articleid",
            "goodsid",
            "aid",
            "asin",
            "itemcode",
            "productcode",
            "articlenumber",
            "isbn",
            "upc",
            "ean",
            "itemno",
            "productno",
            "item",
            "product",
            "article",
            "movieid",
            "trackid",
            "page2(clothingmodel)",
        ],
    ),
    (
        Field::Action,
        &[
            "eventtype",
            "action",
            "actiontype",
            "behaviortype",
            "behavior",
            "behaviour",
            "behaviourtype",
            "eventname",
            "event",
            "activity",
            "activitytype",
            "interaction",
            "interactiontype",
            "type",
        ],
    ),
    (
        Field::Category,
        &[
            "category",
            "categorycode",
            "categoryid",
            "itemcategory",
            "productcategory",
            "catid",
            "cat",
            "cate",
            "categoryname",
            "department",
            "productgroup",
            "productgroupname",
            "page1(maincategory)",
        ],
    ),
    (Field::Brand, &["brand", "brandid", "brandname", "manufacturer", "vendor"]),
    (
        Field::Price,
        &["price", "unitprice", "itemprice", "productprice", "sellingprice", "priceperunit", "saleprice"],
    ),
    (
        Field::Amount,
        &[
            "amount",
            "salesvalue",
            "linetotal",
            "totalprice",
            "total",
            "revenue",
            "totalamount",
            "sales",
            "lineamount",
            "spend",
            "value",
        ],
    ),
    (Field::Currency, &["currency", "currencycode"]),
    (Field::Quantity, &["quantity", "qty", "units", "itemcount", "qtyordered"]),
    (
        Field::Order,
        &[
            "orderid",
            "invoiceno",
            "invoice",
            "invoiceid",
            "invoicenumber",
            "transactionid",
            "basketid",
            "orderno",
            "ordernumber",
            "receiptid",
            "ticketid",
            "billno",
            "order",
        ],
    ),
    (Field::Session, &["sessionid", "session", "usersession", "visitid"]),
    (Field::EventId, &["eventid", "messageid", "insertid"]),
    (Field::Query, &["query", "searchterm", "searchquery", "keyword", "keywords"]),
    (Field::Title, &["title", "productname", "itemname", "name", "prodname", "description", "producttype"]),
    (Field::Available, &["available", "instock", "isavailable"]),
];

/// Names of columns with a time, the surest first.
const TIMES: [&str; 26] = [
    "eventtime",
    "occurredat",
    "timestamp",
    "eventtimestamp",
    "datetime",
    "time",
    "ts",
    "createdat",
    "invoicedate",
    "transactiontimestamp",
    "orderpurchasetimestamp",
    "orderdate",
    "purchasedate",
    "transactiondate",
    "eventdate",
    "orderedat",
    "visittime",
    "visitdatetime",
    "date",
    "tdat",
    "timestampms",
    "unixtime",
    "actiontime",
    "logtime",
    "timelocal",
    "day",
];

/// Values of actions, without case, spaces and underscores.
const ACTIONS: [(ActionKind, &[&str]); 10] = [
    (
        ActionKind::View,
        &[
            "view",
            "views",
            "pv",
            "pageview",
            "productview",
            "productviewed",
            "viewitem",
            "detail",
            "browse",
            "viewed",
            "viewproduct",
        ],
    ),
    (ActionKind::Click, &["click", "clicks", "clicked", "productclicked", "selectitem"]),
    (ActionKind::Search, &["search", "searched", "productssearched", "viewsearchresults"]),
    (
        ActionKind::AddToCart,
        &["cart", "carts", "addtocart", "addcart", "productadded", "basket", "addtobasket", "addedtocart"],
    ),
    (ActionKind::RemoveFromCart, &["removefromcart", "removecart", "uncart", "productremoved", "removed"]),
    (
        ActionKind::Favorite,
        &[
            "fav",
            "favorite",
            "favourite",
            "wishlist",
            "addtowishlist",
            "like",
            "collect",
            "follow",
            "productaddedtowishlist",
        ],
    ),
    (
        ActionKind::Purchase,
        &[
            "purchase",
            "purchases",
            "buy",
            "order",
            "orders",
            "transaction",
            "checkout",
            "bought",
            "sale",
            "purchased",
            "ordercompleted",
            "paid",
            "alipay",
        ],
    ),
    (ActionKind::Refund, &["refund", "return", "refunded", "returned", "orderrefunded"]),
    (ActionKind::Review, &["review", "rating", "rate", "productreviewed", "comment"]),
    (ActionKind::Share, &["share", "shared", "productshared"]),
];

/// Returns the columns that have names of a field, the surest first.
pub(super) fn columns_of(field: Field, header: &[String]) -> Vec<usize> {
    let names = COLUMNS.iter().find(|(known, _)| *known == field).map_or(&[][..], |(_, names)| names);
    found(names, header)
}

/// Returns the columns that have names of a time, the surest first.
pub(super) fn times(header: &[String]) -> Vec<usize> {
    found(&TIMES, header)
}

/// Returns the action of a value.
pub(super) fn action(value: &str) -> Option<ActionKind> {
    let key = letters(value);
    ACTIONS.iter().find(|(_, values)| values.contains(&key.as_str())).map(|(kind, _)| *kind)
}

fn found(names: &[&str], header: &[String]) -> Vec<usize> {
    let keys: Vec<String> = header.iter().map(|name| letters(name)).collect();
    names.iter().filter_map(|name| keys.iter().position(|key| key == name)).collect()
}
