"""Counts the money of a log of invoices without Portrait: prints a JSON object of customer to [net money, orders, lines].

Usage: independent_money.py FILE

Only documented rules are used. Equal rows are one row. Lines are numbered within customer, invoice and item in the order of the file. Rows
count in the order of their times. A negative quantity is a refund: it takes back from the lines of its item in its invoice, else from the
lines of its item, the newest first, at most what was paid. There are no bounds here: a profile keeps 16 orders and 64 lines.
"""

import csv
import gzip
import json
import sys
from collections import defaultdict
from datetime import datetime
from decimal import Decimal


def open_log(path):
    if path.endswith(".gz"):
        return gzip.open(path, "rt", encoding="utf-8", newline="")
    return open(path, encoding="utf-8", newline="")


def rows_of(path):
    with open_log(path) as lines:
        seen = set()
        for row in csv.DictReader(lines):
            content = tuple(row.values())
            if row["CustomerID"] and content not in seen:
                seen.add(content)
                yield row


def main(path):
    by_customer = defaultdict(list)
    numbers = defaultdict(int)
    for row in rows_of(path):
        key = (row["CustomerID"], row["InvoiceNo"], row["StockCode"])
        quantity = Decimal(row["Quantity"])
        number = numbers[key]
        if quantity > 0:
            numbers[key] += 1
        at = datetime.fromisoformat(row["InvoiceDate"])
        by_customer[row["CustomerID"]].append(
            (at, row["InvoiceNo"], row["StockCode"], number, quantity, Decimal(row["UnitPrice"]))
        )
    result = {}
    for customer, events in by_customer.items():
        lines = []  # [at, arrival, invoice, item, money left]
        invoices = set()
        for arrival, (at, invoice, item, _, quantity, price) in enumerate(sorted(events, key=lambda event: event[0])):
            if quantity > 0:
                invoices.add(invoice)
                lines.append([at, arrival, invoice, item, quantity * price])
                continue
            left = -quantity * price
            found = [line for line in lines if line[2] == invoice]
            found = [line for line in found if line[3] == item] or found or [line for line in lines if line[3] == item]
            for line in sorted(found, key=lambda line: (line[0], line[1]), reverse=True):
                taken = min(left, line[4])
                line[4] -= taken
                left -= taken
        money = sum((line[4] for line in lines), Decimal(0))
        result[customer] = [float(money), len(invoices), len(lines)]
    json.dump(result, sys.stdout)


if __name__ == "__main__":
    main(*sys.argv[1:])
