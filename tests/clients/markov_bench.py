"""Driver of scripts/bench_markov: makes streams of events from real logs, has the program predict them, and summarises the losses.

    markov_bench.py PROGRAM DATA

Online: each event after 70% of the period is predicted from the earlier ones, then learned. Pseudo-counts are tuned on the events
between 50% and 70%; the crate chooses its own once, from the first 70%. The order within a day (tmall) and within a basket is the
file's, or random where stated. Groups are by the user's number of earlier events; intervals are 95%, bootstrapped over users. Prints a Markdown table and a line of JSON.
"""

import itertools
import json
import os
import subprocess
import sys
import tempfile

import numpy
import pandas

# Effectively disables a level.
NEVER = 1e12
LEVELS = ("uniform", "global", "segment", "habit", "own")
# Defaults of the crate without data to choose from.
DEFAULT = {"uniform": 10, "global": 300, "segment": 1e6, "habit": 300, "own": 100}


def tmall(folder):
    log = pandas.read_csv(f"{folder}/tmall2013_events_A.csv.gz")
    day = pandas.to_datetime("2013-" + log.visit_datetime, format="%Y-%m-%d").values.astype("int64")
    file, shuffled = numpy.arange(len(log)), numpy.random.default_rng(3).permutation(len(log))
    yield "tmall, next action, file's order", log.user_id, day, log.type, file
    yield "tmall, next action, random order", log.user_id, day, log.type, shuffled


def groceries(folder):
    columns = ["household_id", "basket_id", "product_id", "transaction_timestamp"]
    log = pandas.read_csv(f"{folder}/completejourney_transactions_A.csv.gz", usecols=columns)
    products = pandas.read_csv(f"{folder}/completejourney_products.csv.gz").set_index("product_id")
    log["time"] = pandas.to_datetime(log.transaction_timestamp).values.astype("int64")
    of_product = lambda column: log.product_id.map(products[column]).fillna("?")
    log["department"], log["category"] = of_product("department"), of_product("product_category")
    baskets = log.groupby(["household_id", "basket_id"])
    main = baskets.agg(time=("time", "first"), main=("department", lambda of: of.mode().iat[0])).reset_index()
    yield "groceries, next basket's main department", main.household_id, main.time, main.main, numpy.arange(len(main))
    shuffled = numpy.random.default_rng(3).permutation(len(log))
    yield "groceries, next line's category, random order in a basket", log.household_id, log.time, log.category, shuffled


class Stream:
    """Events in order of time, in files that the program reads."""

    def __init__(self, program, users, time, done, tie):
        self.program, self.folder = program, tempfile.TemporaryDirectory()
        order = numpy.lexsort((tie, time))
        self.users = pandas.factorize(users)[0][order].astype("<u4")
        done, names = pandas.factorize(done)
        self.done, self.symbols = done[order].astype("<u2"), len(names)

    def some(self, third):
        """Mask of every third user, for tuning on long logs, or of all users."""
        return numpy.isin(self.users, numpy.unique(self.users)[::3]) if third else numpy.ones(len(self.users), bool)

    def losses(self, start, end, counts, third=False):
        some = self.some(third)
        self.users[some].tofile(f"{self.folder.name}/users")
        self.done[some].tofile(f"{self.folder.name}/symbols")
        counts = [counts.get(level, "chosen") for level in LEVELS]
        words = [self.program, self.folder.name, self.symbols, start, end, *counts]
        output = subprocess.run([str(word) for word in words], check=True, capture_output=True, text=True).stdout
        if output:
            self.chosen = dict(zip(LEVELS, map(float, output.split())))
        return numpy.fromfile(f"{self.folder.name}/losses", "<f8").reshape(-1, 3)

    def tuned(self, levels):
        """Best pseudo-counts on the tuning window: the global chain first, then habit and own together, then the segment."""
        counts = dict.fromkeys(DEFAULT, NEVER) | {"uniform": self.symbols}
        counts = self.best(counts, 1, {"global": [1, 10, 100, 300, 1000]})
        tried = {"habit": [2, 10, 50, 300, 1500, NEVER], "own": [5, 20, 50, 100, 300, 1000]}
        counts = self.best(counts, 2, {level: tried[level] for level in tried if level in levels})
        return self.best(counts, 2, {"segment": [300, 1000, 3000, NEVER]}) if "segment" in levels else counts

    def best(self, counts, column, tried):
        third = len(self.users) > 300_000
        grid = [counts | dict(zip(tried, some)) for some in itertools.product(*tried.values())]
        return min(grid, key=lambda counts: self.losses(0.5, 0.7, counts, third)[:, column].mean())


def gain(users, losses):
    """Percentage by which the user's loss is below the global one, with its interval."""
    sums = [numpy.bincount(users, losses[:, column]) for column in (1, 2)]
    sums = [of[numpy.unique(users)] for of in sums]
    chance, drawn = numpy.random.default_rng(5), []
    for _ in range(500):
        some = chance.integers(0, len(sums[0]), len(sums[0]))
        drawn.append(100 * (1 - sums[1][some].sum() / sums[0][some].sum()))
    point = 100 * (1 - sums[1].sum() / sums[0].sum())
    return [round(float(value), 2) for value in (point, *numpy.percentile(drawn, [2.5, 97.5]))]


def measure(name, stream):
    variants = {
        "segment, own": ["segment", "own"],
        "habit, own": ["habit", "own"],
        "segment, habit, own": ["segment", "habit", "own"],
        "as the crate chooses": {},
        "as the crate has them": DEFAULT,
    }
    results = {}
    for variant, levels in variants.items():
        counts = stream.tuned(levels) if isinstance(levels, list) else levels
        losses = stream.losses(0.7, 1.0, counts)
        counts = counts or stream.chosen
        users = stream.users[int(0.7 * len(stream.users)) :]
        found = {"counts": counts, "loss global": losses[:, 1].mean(), "loss own": losses[:, 2].mean()}
        groups = {">= 20": losses[:, 0] >= 20, "< 5": losses[:, 0] < 5, "all": losses[:, 0] >= 0}
        for group, some in groups.items():
            found[group] = gain(users[some], losses[some]) + [int(some.sum())]
        results[variant] = found
        shown = ["never" if counts[level] == NEVER else f"{counts[level]:g}" for level in LEVELS[:0:-1]]
        cells = [f"{low:.2f} ({lower:.2f} to {upper:.2f})" for low, lower, upper, _ in (found[group] for group in groups)]
        print(f"| {name} | {variant} | {' / '.join(shown)} | {found['loss global']:.4f} | {found['loss own']:.4f} | {' | '.join(cells)} |", flush=True)
    return results


def main():
    program, folder = sys.argv[1:]
    print("| log | levels | own / habit / segment / global | loss, global | loss, own | gain %, >= 20 events | < 5 events | all |")
    print("|---|---|---|---|---|---|---|---|")
    results = {}
    for file, read in (("tmall2013_events_A.csv.gz", tmall), ("completejourney_transactions_A.csv.gz", groceries)):
        if not os.path.exists(f"{folder}/{file}"):
            print(f"{file} is not in {folder}", file=sys.stderr)
            continue
        for name, *log in read(folder):
            results[name] = measure(name, Stream(program, *log))
    print()
    print(json.dumps(results))


main()
