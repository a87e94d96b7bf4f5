"""The other side of scripts/bench_learners: scikit-learn's learners on the same rows as the program's.

    learners_bench.py PROGRAM DATA

Two ways to part the sessions: by time (learned from February to October, asked of November and December; the file has no order within
a month, so that each seed draws one) and in five folds, drawn anew for each of two seeds. Categories are a column each. Prints a
Markdown table of means over ten runs, and a line of JSON.
"""

import json
import subprocess
import sys
import tempfile
import time

import numpy
import pandas
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss, roc_auc_score
from sklearn.model_selection import StratifiedKFold
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier

MONTHS = ["Feb", "Mar", "May", "June", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
CATEGORIES = ["OperatingSystems", "Browser", "Region", "TrafficType", "VisitorType"]
RUNS = 10


def sessions(folder):
    log = pandas.read_csv(f"{folder}/uci_online_shoppers_intention.csv.gz")
    true = lambda column: log.pop(column).astype(str).str.upper().eq("TRUE").to_numpy()
    labels, weekend = true("Revenue"), true("Weekend")
    month = log.pop("Month").map(MONTHS.index).to_numpy()
    rows = pandas.get_dummies(log, columns=CATEGORIES).assign(weekend=weekend)
    # What hardly ever is there tells nothing.
    rows = rows.loc[:, (rows != 0).sum() >= 20]
    return rows.to_numpy(numpy.float32), labels, month


def parts(labels, month):
    """Ways to part the rows, each with a seed: which are learned from, oldest first, and which are asked."""
    for seed in range(RUNS):
        order = numpy.random.default_rng(seed).permutation(len(labels))
        order = order[numpy.argsort(month[order], kind="stable")]
        yield "by time", seed, order[month[order] <= 7], numpy.flatnonzero(month > 7)
    for seed in range(RUNS // 5):
        for known, asked in StratifiedKFold(5, shuffle=True, random_state=seed).split(labels, labels):
            yield "five folds", seed, numpy.random.default_rng(seed).permutation(known), asked


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


def figures(labels, shares):
    bins = numpy.minimum((shares * 10).astype(int), 9)
    apart = numpy.bincount(bins, shares - labels, 10)
    return roc_auc_score(labels, shares), log_loss(labels, numpy.clip(shares, 1e-6, 1 - 1e-6)), abs(apart).sum() / len(labels)


def main():
    program, folder = sys.argv[1:]
    rows, labels, month = sessions(folder)
    found, champions = {}, {}
    for split, seed, known, asked in parts(labels, month):
        for kind in ("tree", "network", "logistic", "champion"):
            learner, seconds, shares = ours(program, rows[known], labels[known], rows[asked], kind, seed)
            found.setdefault((split, kind, "ours"), []).append((*figures(labels[asked], shares), seconds))
            if kind == "champion":
                champions.setdefault(split, []).append(learner)
                continue
            begun = time.perf_counter()
            model = theirs(kind, seed).fit(rows[known], labels[known])
            seconds = time.perf_counter() - begun
            shares = model.predict_proba(rows[asked])[:, 1]
            found.setdefault((split, kind, "scikit-learn"), []).append((*figures(labels[asked], shares), seconds))
    print("| parted | learner | side | AUC | log-loss | ECE, 10 bins | learning s |\n|---|---|---|---|---|---|---|")
    means = {" / ".join(of): numpy.mean(figures, axis=0).round(4).tolist() for of, figures in found.items()}
    for of, (area, loss, error, seconds) in means.items():
        print(f"| {' | '.join(of.split(' / '))} | {area:.4f} | {loss:.4f} | {error:.4f} | {seconds:.2f} |")
    print()
    counts = {split: {learner: of.count(learner) for learner in set(of)} for split, of in champions.items()}
    print(json.dumps({"auc, log-loss, ece, seconds": means, "champions": counts, "rows": rows.shape}))


main()
