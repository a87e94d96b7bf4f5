"""Reference of scripts/bench_learners: scikit-learn's learners on the same rows as the program's.

    learners_bench.py PROGRAM EXAMPLES DATA

Three targets: a session of a shop ends in a purchase (UCI), a household buys within seven days (EXAMPLES is the output of
`portrait examples` for Complete Journey's log; at most 12,000 rows are sampled), and a first purchase is fraud. Absent files are skipped.

Two splits, ten runs each. By time: trained on the older rows, tested on the newer. Sessions: February to October, then November and
December; the file has no order within a month, so each seed shuffles it. Households: 70% of the period, without the examples whose
seven days end after it. Orders: the first 70%. Five folds: shuffled for each of two seeds; all rows of a household are in one fold.
Baseline "one rule": a purchase within a minute of signing up is fraud, with the probabilities of the training rows. Prints a Markdown
table of means, another of the differences, and a line of JSON.
"""

import json
import os
import subprocess
import sys
import tempfile
import time

import numpy
import pandas
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss, roc_auc_score
from sklearn.model_selection import GroupKFold, StratifiedKFold
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier

MONTHS = ["Feb", "Mar", "May", "June", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
CATEGORIES = ["OperatingSystems", "Browser", "Region", "TrafficType", "VisitorType"]
WEEK_MS = 7 * 24 * 3600 * 1000
RUNS = 10
ROWS_MAX = 12_000
KINDS = ("tree", "network", "logistic")


class Log:
    """Rows with labels and times, masks of the split by time, and groups if users have several rows."""

    def __init__(self, rows, labels, time, split, groups=None, rule=None):
        # Columns with fewer than 20 values other than 0 carry no signal.
        rows = rows.loc[:, (rows != 0).sum() >= 20]
        self.rows = rows.to_numpy(numpy.float32)
        self.labels, self.time, self.split, self.groups, self.rule = labels, time, split, groups, rule

    def splits(self):
        """Splits with their seeds: indices of the training rows, oldest first, and of the test rows."""
        train, test = self.split
        for seed in range(RUNS):
            order = numpy.random.default_rng(seed).permutation(len(self.labels))
            order = order[numpy.argsort(self.time[order], kind="stable")]
            yield "by time", seed, order[train[order]], numpy.flatnonzero(test)
        for seed in range(RUNS // 5):
            folds = (StratifiedKFold if self.groups is None else GroupKFold)(5, shuffle=True, random_state=seed)
            for train, test in folds.split(self.labels, self.labels, self.groups):
                yield "five folds", seed, numpy.random.default_rng(seed).permutation(train), test


def sessions(log):
    true = lambda column: log.pop(column).astype(str).str.upper().eq("TRUE").to_numpy()
    labels, weekend = true("Revenue"), true("Weekend")
    month = log.pop("Month").map(MONTHS.index).to_numpy()
    rows = pandas.get_dummies(log, columns=CATEGORIES).assign(weekend=weekend)
    return Log(rows, labels, month, (month <= 7, month > 7))


def households(log):
    log = log.sample(min(len(log), ROWS_MAX), random_state=0).sort_values("at_ms")
    groups, at, labels = (log.pop(column).to_numpy() for column in ("user_id", "at_ms", "bought"))
    split = at.min() + 0.7 * (at.max() - at.min())
    return Log(log, labels == 1, at, (at + WEEK_MS <= split, at > split), groups)


def orders(log, countries):
    log["signup_time"], log["purchase_time"] = pandas.to_datetime(log.signup_time), pandas.to_datetime(log.purchase_time)
    log = log.sort_values("purchase_time", kind="stable").reset_index(drop=True)
    waited = (log.purchase_time - log.signup_time).dt.total_seconds()
    index = countries.lower_bound_ip_address.searchsorted(log.ip_address, "right") - 1
    inside = (index >= 0) & (log.ip_address <= countries.upper_bound_ip_address.to_numpy()[index])
    # Countries with at least 200 orders have a column.
    country = pandas.Series(numpy.where(inside, countries.country.to_numpy()[index], ""))
    country = country.where(country.map(country.value_counts()) >= 200, "other")
    rows = pandas.DataFrame({
        "value": log.purchase_value,
        "age": log.age,
        "waited": numpy.log1p(waited),
        # Earlier orders only: later ones were unknown at that time.
        "device": numpy.log1p(log.groupby("device_id").cumcount()),
        "address": numpy.log1p(log.groupby("ip_address").cumcount()),
    })
    for name, at in (("signed up", log.signup_time), ("bought", log.purchase_time)):
        for part, turn in ((at.dt.hour, 24), (at.dt.dayofweek, 7)):
            rows[f"{name} {turn} sin"], rows[f"{name} {turn} cos"] = (of(2 * numpy.pi * part / turn) for of in (numpy.sin, numpy.cos))
    named = pandas.get_dummies(log[["source", "browser", "sex"]].assign(country=country))
    labels, order = log["class"].to_numpy() == 1, numpy.arange(len(log))
    older = order < 0.7 * len(log)
    return Log(pandas.concat([rows, named], axis=1), labels, order, (older, ~older), rule=(waited <= 60).to_numpy())


def logs(examples, folder):
    read = lambda name: pandas.read_csv(f"{folder}/{name}.csv.gz")
    there = lambda name: os.path.exists(f"{folder}/{name}.csv.gz") or print(f"{name} is not in {folder}", file=sys.stderr)
    if there("uci_online_shoppers_intention"):
        yield "sessions", sessions(read("uci_online_shoppers_intention"))
    if os.path.exists(examples):
        yield "households", households(pandas.read_csv(examples))
    if there("ecommerce_fraud_A"):
        yield "orders", orders(read("ecommerce_fraud_A"), read("ecommerce_fraud_ip_to_country"))


def theirs(kind, seed):
    if kind == "tree":
        return DecisionTreeClassifier(max_depth=6, min_samples_leaf=20, random_state=seed)
    if kind == "network":
        network = MLPClassifier((64, 32), alpha=1e-3, early_stopping=True, max_iter=200, random_state=seed)
        return make_pipeline(StandardScaler(), network)
    return make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000))


def ours(program, rows, labels, others, kind, seed):
    with tempfile.TemporaryDirectory() as folder:
        rows.tofile(f"{folder}/rows")
        labels.astype(numpy.uint8).tofile(f"{folder}/labels")
        others.tofile(f"{folder}/others")
        words = [program, folder, str(rows.shape[1]), kind, str(seed)]
        learner, seconds = subprocess.check_output(words, text=True).split()
        return learner, float(seconds), numpy.fromfile(f"{folder}/shares", "<f8")


def by_rule(rule, labels, others):
    """Smoothed share of positives for each value of a boolean rule in the training rows."""
    shares = [(labels[rule == answer].sum() + 0.5) / ((rule == answer).sum() + 1) for answer in (False, True)]
    return numpy.array(shares)[others.astype(int)]


def figures(labels, shares):
    bins = numpy.minimum((shares * 10).astype(int), 9)
    apart = numpy.bincount(bins, shares - labels, 10)
    return roc_auc_score(labels, shares), log_loss(labels, numpy.clip(shares, 1e-6, 1 - 1e-6)), abs(apart).sum() / len(labels)


def measure(program, log):
    """Means of the figures by split, learner and side, and the number of runs that each learner won."""
    runs_by_key, champions = {}, {}
    rows, labels = log.rows, log.labels
    for split, seed, train, test in log.splits():
        for kind in (*KINDS, "champion"):
            learner, seconds, shares = ours(program, rows[train], labels[train], rows[test], kind, seed)
            runs_by_key.setdefault((split, kind, "ours"), []).append((*figures(labels[test], shares), seconds))
            if kind == "champion":
                counts = champions.setdefault(split, {})
                counts[learner] = counts.get(learner, 0) + 1
                continue
            begun = time.perf_counter()
            model = theirs(kind, seed).fit(rows[train], labels[train])
            seconds = time.perf_counter() - begun
            shares = model.predict_proba(rows[test])[:, 1]
            runs_by_key.setdefault((split, kind, "scikit-learn"), []).append((*figures(labels[test], shares), seconds))
        if log.rule is not None:
            shares = by_rule(log.rule[train], labels[train], log.rule[test])
            runs_by_key.setdefault((split, "one rule", "-"), []).append((*figures(labels[test], shares), 0.0))
    return {of: numpy.mean(runs, axis=0) for of, runs in runs_by_key.items()}, champions


def main():
    program, examples, folder = sys.argv[1:]
    report, differences = {}, []
    print("| rows | split | learner | side | AUC | log-loss | ECE, 10 bins | learning s |\n|---|---|---|---|---|---|---|---|")
    for name, log in logs(examples, folder):
        means, champions = measure(program, log)
        for (split, kind, side), (area, loss, error, seconds) in sorted(means.items(), key=lambda of: of[0][0]):
            print(f"| {name} | {split} | {kind} | {side} | {area:.4f} | {loss:.4f} | {error:.4f} | {seconds:.2f} |", flush=True)
        for split in ("by time", "five folds"):
            for kind in KINDS:
                apart = means[split, kind, "ours"] - means[split, kind, "scikit-learn"]
                differences.append(f"| {name} | {split} | {kind} | {apart[0]:+.4f} | {apart[1]:+.4f} | {apart[2]:+.4f} |")
        report[name] = {
            "rows, columns": log.rows.shape,
            "positives": float(log.labels.mean()),
            "test rows by time": [int(log.split[1].sum()), float(log.labels[log.split[1]].mean())],
            "champions": champions,
            "auc, log-loss, ece, seconds": {" / ".join(of): mean.round(4).tolist() for of, mean in means.items()},
        }
    print("\n| rows | split | learner | AUC, ours - theirs | log-loss | ECE |\n|---|---|---|---|---|---|")
    print("\n".join(differences))
    print()
    print(json.dumps(report))


main()
