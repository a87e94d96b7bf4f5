"""Counts a log without Portrait: prints a JSON object of user id to [applied events, fingerprint].

Usage: independent_count.py FORMAT FILE

Only the documented columns, the documented derivation of ids (XXH64 with seeds 0 and 1 over the fields joined by 0x1f, in
hexadecimal; Tmall adds the row's number), and the documented fingerprint (wrapping sum of XXH64, seed 0, of each event id)
are used.
"""

import csv
import gzip
import json
import sys

import xxhash

SEPARATOR = "\x1f"
USER_COLUMN = {
    "rees46": 7,
    "retailrocket": 1,
    "taobao": 0,
    "tmall": 0,
    "jdata": 0,
    "otto": 0,
    "online-retail": 6,
    "complete-journey": 0,
    "eshop": 5,
}
WITHOUT_HEADER = {"taobao"}
REPEATS = {"tmall"}


def open_log(path):
    if path.endswith(".gz"):
        return gzip.open(path, "rt", encoding="utf-8", newline="")
    return open(path, encoding="utf-8", newline="")


def content_id(content):
    return xxhash.xxh64_hexdigest(content, seed=0) + xxhash.xxh64_hexdigest(content, seed=1)


def table(log_format, lines):
    rows = csv.reader(lines)
    if log_format not in WITHOUT_HEADER:
        header = next(rows)
        if header[0] == "product_id":
            return
    for number, fields in enumerate(rows, start=1):
        user = fields[USER_COLUMN[log_format]]
        if not user:
            continue
        if log_format == "jdata":
            user = user.removesuffix(".0")
        event_id = content_id(SEPARATOR.join(fields).encode())
        yield user, f"{event_id}-{number}" if log_format in REPEATS else event_id


def objects(lines):
    for line in lines:
        line = line.rstrip()
        event = json.loads(line)
        yield event["user_id"], event.get("event_id") or content_id(line.encode())


def main(log_format, path):
    seen = {}
    with open_log(path) as lines:
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
