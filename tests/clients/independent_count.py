"""Counts a log without Portrait: prints a JSON object of user id to [applied events, fingerprint].

Usage: independent_count.py FORMAT FILE

Only the documented columns, the documented derivation of ids (docs/guides/import.md: XXH64 with seeds 0 and 1 over the values of the
event joined by 0x1f, in hexadecimal; repeats that count have their number behind it), and the documented fingerprint (wrapping sum of
XXH64, seed 0, of each event id) are used.
"""

import csv
import gzip
import json
import sys
from collections import Counter
from datetime import datetime, timedelta, timezone
from decimal import Decimal

import xxhash

SEPARATOR = "\x1f"
MISSING = {"", "NA", "NaN", "nan", "null", "NULL", "None", "undefined", "\\N"}
# Values of an event in the order in which they are hashed.
VALUES = [
    "user",
    "anonymous",
    "action",
    "millis",
    "item",
    "category",
    "brand",
    "price",
    "currency",
    "quantity",
    "order",
    "line",
    "session",
    "query",
]
ACTIONS = {
    "rees46": {"view": "view", "cart": "add_to_cart", "remove_from_cart": "remove_from_cart", "purchase": "purchase"},
    "retailrocket": {"view": "view", "addtocart": "add_to_cart", "transaction": "purchase"},
    "taobao": {"pv": "view", "cart": "add_to_cart", "fav": "favorite", "buy": "purchase"},
    "tmall": {"0": "click", "1": "purchase", "2": "favorite", "3": "add_to_cart"},
    "jdata": {
        "1": "view",
        "2": "add_to_cart",
        "3": "remove_from_cart",
        "4": "purchase",
        "5": "favorite",
        "6": "click",
    },
    "otto": {"clicks": "click", "carts": "add_to_cart", "orders": "purchase"},
}
REPEATS = {"tmall"}
EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


def open_log(path):
    if path.endswith(".gz"):
        return gzip.open(path, "rt", encoding="utf-8", newline="")
    return open(path, encoding="utf-8", newline="")


def content_id(values):
    content = SEPARATOR.join(values)
    return xxhash.xxh64_hexdigest(content, seed=0) + xxhash.xxh64_hexdigest(content, seed=1)


def name(text):
    """An id or a name: a whole number may have gained a fraction of zeros."""
    if text.strip() in MISSING:
        return ""
    whole, _, fraction = text.partition(".")
    return whole if whole.lstrip("-").isdigit() and fraction and not fraction.strip("0") else text


def number(text):
    """A number in the shortest decimal form; empty if it is missing."""
    return "" if str(text).strip() in MISSING else shortest(float(text))


def shortest(value):
    text = format(Decimal(repr(value + 0.0)), "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def millis(moment):
    # In whole numbers: a float loses the last millisecond.
    return str((moment.replace(tzinfo=moment.tzinfo or timezone.utc) - EPOCH) // timedelta(milliseconds=1))


def date_time(text):
    return millis(datetime.fromisoformat(text.removesuffix(" UTC")))


def rees46(row):
    return {
        "user": name(row["user_id"]),
        "action": ACTIONS["rees46"][row["event_type"]],
        "millis": date_time(row["event_time"]),
        "item": name(row["product_id"]),
        "category": name(row["category_code"]) or name(row["category_id"]),
        "brand": name(row["brand"]),
        "price": number(row["price"]),
        "session": name(row["user_session"]),
    }


def retailrocket(row):
    return {
        "user": name(row["visitorid"]),
        "action": ACTIONS["retailrocket"][row["event"]],
        "millis": row["timestamp"],
        "item": name(row["itemid"]),
        "order": name(row["transactionid"]),
    }


def taobao(row):
    return {
        "user": row["user"],
        "action": ACTIONS["taobao"][row["behaviour"]],
        "millis": row["timestamp"] + "000",
        "item": row["item"],
        "category": row["category"],
    }


def tmall(row):
    month, day = row["visit_datetime"].split("-")
    return {
        "user": row["user_id"],
        "action": ACTIONS["tmall"][row["type"]],
        "millis": millis(datetime(2013, int(month), int(day), 12)),
        "brand": row["brand_id"],
    }


def jdata(row):
    return {
        "user": name(row["user_id"]),
        "action": ACTIONS["jdata"][row["type"]],
        "millis": date_time(row["time"]),
        "item": name(row["sku_id"]),
        "category": name(row["cate"]),
        "brand": name(row["brand"]),
        "more": name(row["model_id"]),
    }


def otto(row):
    return {
        "user": row["session"],
        "action": ACTIONS["otto"][row["type"]],
        "millis": row["ts"],
        "item": row["aid"],
    }


def online_retail(row):
    quantity = float(row["Quantity"])
    is_refund = quantity < 0 or row["InvoiceNo"].startswith("C")
    return {
        "user": name(row["CustomerID"]),
        "action": "refund" if is_refund else "purchase",
        "millis": date_time(row["InvoiceDate"]),
        "item": name(row["StockCode"]),
        "price": number(row["UnitPrice"]),
        "quantity": shortest(abs(quantity)),
        "order": name(row["InvoiceNo"]),
    }


def complete_journey(row):
    quantity = float(row["quantity"])
    return {
        "user": row["household_id"],
        "action": "purchase",
        "millis": date_time(row["transaction_timestamp"]),
        "item": row["product_id"],
        "price": shortest(float(row["sales_value"]) / (quantity if quantity > 0 else 1.0)),
        "quantity": shortest(quantity) if quantity > 0 else "",
        "order": row["basket_id"],
    }


def eshop(row):
    day = datetime(int(row["year"]), int(row["month"]), int(row["day"]))
    return {
        "user": row["session ID"],
        "action": "view",
        "millis": millis(day + timedelta(seconds=int(row["order"]))),
        "item": row["page 2 (clothing model)"],
        "category": row["page 1 (main category)"],
        "price": number(row["price"]),
    }


TABLES = {
    "rees46": rees46,
    "retailrocket": retailrocket,
    "taobao": taobao,
    "tmall": tmall,
    "jdata": jdata,
    "otto": otto,
    "online-retail": online_retail,
    "complete-journey": complete_journey,
    "eshop": eshop,
}
WITHOUT_HEADER = {"taobao": ["user", "item", "category", "behaviour", "timestamp"]}


def derived_id(event):
    values = [event.get(value, "0" if value == "line" else "") for value in VALUES]
    return content_id(values + ([event["more"]] if "more" in event else []))


def table(log_format, lines):
    repeats = Counter()
    for row in csv.DictReader(lines, WITHOUT_HEADER.get(log_format)):
        event = TABLES[log_format](row)
        if not event["user"]:
            continue
        event_id = derived_id(event)
        if log_format in REPEATS:
            repeats[event_id] += 1
            if repeats[event_id] > 1:
                event_id = f"{event_id}-{repeats[event_id] - 1}"
        yield event["user"], event_id


def objects(lines):
    for line in lines:
        row = json.loads(line)
        event = {
            "user": row["user_id"],
            "anonymous": row.get("anonymous_id", ""),
            "action": row["action"],
            "millis": date_time(row["occurred_at"]),
            "item": row.get("item_id", ""),
            "category": row.get("category", ""),
            "brand": row.get("brand", ""),
            "price": number(row.get("price", "")),
            "currency": row.get("currency", "").upper(),
            "quantity": number(row.get("quantity", "")),
            "order": row.get("order_id", ""),
            "line": str(row.get("order_line", 0)),
            "session": row.get("session_id", ""),
            "query": row.get("query", ""),
        }
        yield row["user_id"], row.get("event_id") or derived_id(event)


def main(log_format, path):
    seen = {}
    with open_log(path) as lines:
        if log_format == "complete-journey-products":
            events = []
        else:
            events = objects(lines) if log_format == "jsonl" else table(log_format, lines)
        for user, event_id in events:
            seen.setdefault(user, set()).add(event_id)
    census = {
        user: [len(ids), sum(xxhash.xxh64_intdigest(event_id, seed=0) for event_id in ids) % 2**64]
        for user, ids in seen.items()
    }
    json.dump(census, sys.stdout)


if __name__ == "__main__":
    main(*sys.argv[1:])
