"""The other side of scripts/bench_learners: scikit-learn's learners on the same rows as the program's.

    learners_bench.py PROGRAM CASES DATA

Three things to foretell: whether a session of a shop ends in a purchase (UCI), whether a household buys within seven days (CASES is what
`portrait cases` makes of Complete Journey's log; of more rows 12,000 are drawn), and whether a first purchase is fraud. What is absent is
left out.

Two ways to part the rows, ten runs each. By time: learned from the older rows, asked of the newer. Sessions: February to October, then
November and December; the file has no order within a month, so that each seed draws one. Households: 70% of the time, without the moments whose
seven days were not over by then. Orders: the first 70%. In five folds, drawn anew for each of two seeds; of a household all rows are in one.
One rule: fraud is what was bought within a minute of signing up, with the shares that it has in the rows that are learned from. Prints
a Markdown table of means, another of how far ours are behind, and a line of JSON.
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
    """Rows and what came of them; when they were; how they are parted by time; whose they are, if anybody has several."""

    def __init__(self, rows, labels, time, parted, whose=None, rule=None):
        # What hardly ever is there tells nothing.
        rows = rows.loc[:, (rows != 0).sum() >= 20]
        self.rows = rows.to_numpy(numpy.float32)
        self.labels, self.time, self.parted, self.whose, self.rule = labels, time, parted, whose, rule

    def parts(self):
        """Ways to part the rows, each with a seed: which are learned from, oldest first, and which are asked."""
        known, asked = self.parted
        for seed in range(RUNS):
            order = numpy.random.default_rng(seed).permutation(len(self.labels))
            order = order[numpy.argsort(self.time[order], kind="stable")]
            yield "by time", seed, order[known[order]], numpy.flatnonzero(asked)
        for seed in range(RUNS // 5):
            folds = (StratifiedKFold if self.whose is None else GroupKFold)(5, shuffle=True, random_state=seed)
            for known, asked in folds.split(self.labels, self.labels, self.whose):
                yield "five folds", seed, numpy.random.default_rng(seed).permutation(known), asked


def sessions(log):
    true = lambda column: log.pop(column).astype(str).str.upper().eq("TRUE").to_numpy()
    labels, weekend = true("Revenue"), true("Weekend")
    month = log.pop("Month").map(MONTHS.index).to_numpy()
    rows = pandas.get_dummies(log, columns=CATEGORIES).assign(weekend=weekend)
    return Log(rows, labels, month, (month <= 7, month > 7))


def households(log):
    log = log.sample(min(len(log), ROWS_MAX), random_state=0).sort_values("at_ms")
    whose, at, labels = (log.pop(column).to_numpy() for column in ("user_id", "at_ms", "bought"))
    split = at.min() + 0.7 * (at.max() - at.min())
    return Log(log, labels == 1, at, (at + WEEK_MS <= split, at > split), whose)


def orders(log, countries):
    log["signup_time"], log["purchase_time"] = pandas.to_datetime(log.signup_time), pandas.to_datetime(log.purchase_time)
    log = log.sort_values("purchase_time", kind="stable").reset_index(drop=True)
    waited = (log.purchase_time - log.signup_time).dt.total_seconds()
    place = countries.lower_bound_ip_address.searchsorted(log.ip_address, "right") - 1
    inside = (place >= 0) & (log.ip_address <= countries.upper_bound_ip_address.to_numpy()[place])
    # Only countries that many come from have a column.
    country = pandas.Series(numpy.where(inside, countries.country.to_numpy()[place], ""))
    country = country.where(country.map(country.value_counts()) >= 200, "other")
    rows = pandas.DataFrame({
        "value": log.purchase_value,
        "age": log.age,
        "waited": numpy.log1p(waited),
        # Only what was known then: earlier orders from there.
        "device": numpy.log1p(log.groupby("device_id").cumcount()),
        "address": numpy.log1p(log.groupby("ip_address").cumcount()),
    })
    for name, moment in (("signed up", log.signup_time), ("bought", log.purchase_time)):
        for part, turn in ((moment.dt.hour, 24), (moment.dt.dayofweek, 7)):
            rows[f"{name} {turn} sin"], rows[f"{name} {turn} cos"] = (of(2 * numpy.pi * part / turn) for of in (numpy.sin, numpy.cos))
    named = pandas.get_dummies(log[["source", "browser", "sex"]].assign(country=country))
    labels, order = log["class"].to_numpy() == 1, numpy.arange(len(log))
    older = order < 0.7 * len(log)
    return Log(pandas.concat([rows, named], axis=1), labels, order, (older, ~older), rule=(waited <= 60).to_numpy())


def logs(cases, folder):
    read = lambda name: pandas.read_csv(f"{folder}/{name}.csv.gz")
    there = lambda name: os.path.exists(f"{folder}/{name}.csv.gz") or print(f"{name} is not in {folder}", file=sys.stderr)
    if there("uci_online_shoppers_intention"):
        yield "sessions", sessions(read("uci_online_shoppers_intention"))
    if os.path.exists(cases):
        yield "households", households(pandas.read_csv(cases))
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
    """The share of each answer to a yes or no, as it is in the rows that are learned from."""
    shares = [(labels[rule == answer].sum() + 0.5) / ((rule == answer).sum() + 1) for answer in (False, True)]
    return numpy.array(shares)[others.astype(int)]


def figures(labels, shares):
    bins = numpy.minimum((shares * 10).astype(int), 9)
    apart = numpy.bincount(bins, shares - labels, 10)
    return roc_auc_score(labels, shares), log_loss(labels, numpy.clip(shares, 1e-6, 1 - 1e-6)), abs(apart).sum() / len(labels)


def measure(program, log):
    """Of each way to part, learner and side the figures of every run, and which learner was champion how often."""
    found, champions = {}, {}
    rows, labels = log.rows, log.labels
    for split, seed, known, asked in log.parts():
        for kind in (*KINDS, "champion"):
            learner, seconds, shares = ours(program, rows[known], labels[known], rows[asked], kind, seed)
            found.setdefault((split, kind, "ours"), []).append((*figures(labels[asked], shares), seconds))
            if kind == "champion":
                counts = champions.setdefault(split, {})
                counts[learner] = counts.get(learner, 0) + 1
                continue
            begun = time.perf_counter()
            model = theirs(kind, seed).fit(rows[known], labels[known])
            seconds = time.perf_counter() - begun
            shares = model.predict_proba(rows[asked])[:, 1]
            found.setdefault((split, kind, "scikit-learn"), []).append((*figures(labels[asked], shares), seconds))
        if log.rule is not None:
            shares = by_rule(log.rule[known], labels[known], log.rule[asked])
            found.setdefault((split, "one rule", "-"), []).append((*figures(labels[asked], shares), 0.0))
    return {of: numpy.mean(runs, axis=0) for of, runs in found.items()}, champions


def main():
    program, cases, folder = sys.argv[1:]
    told, behind = {}, []
    print("| rows | parted | learner | side | AUC | log-loss | ECE, 10 bins | learning s |\n|---|---|---|---|---|---|---|---|")
    for name, log in logs(cases, folder):
        means, champions = measure(program, log)
        for (split, kind, side), (area, loss, error, seconds) in sorted(means.items(), key=lambda of: of[0][0]):
            print(f"| {name} | {split} | {kind} | {side} | {area:.4f} | {loss:.4f} | {error:.4f} | {seconds:.2f} |", flush=True)
        for split in ("by time", "five folds"):
            for kind in KINDS:
                apart = means[split, kind, "ours"] - means[split, kind, "scikit-learn"]
                behind.append(f"| {name} | {split} | {kind} | {apart[0]:+.4f} | {apart[1]:+.4f} | {apart[2]:+.4f} |")
        told[name] = {
            "rows, columns": log.rows.shape,
            "happened": float(log.labels.mean()),
            "asked by time": [int(log.parted[1].sum()), float(log.labels[log.parted[1]].mean())],
            "champions": champions,
            "auc, log-loss, ece, seconds": {" / ".join(of): mean.round(4).tolist() for of, mean in means.items()},
        }
    print("\n| rows | parted | learner | AUC, ours - theirs | log-loss | ECE |\n|---|---|---|---|---|---|")
    print("\n".join(behind))
    print()
    print(json.dumps(told))


main()
