"""Reference results of scikit-learn and numpy for the rows that the tests of portrait-learning write.

    learning_reference.py FOLDER scaler SHAPE,SHAPE,...
    learning_reference.py FOLDER kmeans COLUMNS ITERATIONS TOLERANCE
    learning_reference.py FOLDER weights FACET,FACET,...
    learning_reference.py FOLDER agreement
    learning_reference.py FOLDER factors WIDTH EPOCHS UNOBSERVED REGULARISATION FREQUENCY SLOPE SCALE
    learning_reference.py FOLDER around WIDTH
    learning_reference.py FOLDER figures
    learning_reference.py FOLDER logistic COLUMNS
    learning_reference.py FOLDER markov SYMBOLS OWN HABIT SEGMENT GLOBAL UNIFORM

Rows and starts are raw f32, labels raw u32, all little-endian. Prints one JSON object.
"""

import json
import sys
import warnings

import numpy
import scipy.sparse
from sklearn.cluster import KMeans
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import adjusted_rand_score, log_loss, roc_auc_score
from sklearn.preprocessing import StandardScaler


def read_rows(folder, name, columns):
    return numpy.fromfile(f"{folder}/{name}", dtype="<f4").reshape(-1, columns)


def read_labels(folder, name):
    return numpy.fromfile(f"{folder}/{name}", dtype="<u4")


def scaler(folder, shapes):
    shapes = shapes.split(",")
    rows = read_rows(folder, "rows", len(shapes)).astype(numpy.float64)
    for column, shape in enumerate(shapes):
        if shape == "log1p":
            rows[:, column] = numpy.sign(rows[:, column]) * numpy.log1p(numpy.abs(rows[:, column]))
    rows = numpy.clip(rows, *numpy.quantile(rows, [0.005, 0.995], axis=0))
    fitted = StandardScaler().fit(rows)
    scaled = numpy.clip(fitted.transform(rows), -5, 5)
    return {"mean": list(fitted.mean_), "scale": list(fitted.scale_), "scaled": list(scaled.ravel())}


def weights(folder, facets):
    facets = facets.split(",")
    rows = read_rows(folder, "rows", len(facets)).astype(numpy.float64)
    weights = numpy.zeros(len(facets))
    for facet in set(facets) - {"none"}:
        columns = [column for column, name in enumerate(facets) if name == facet]
        covariance = numpy.atleast_2d(numpy.cov(rows[:, columns].T, bias=True))
        weights[columns] = 1 / numpy.sqrt(numpy.linalg.eigvalsh(covariance)[-1])
    return {"weights": list(weights)}


def kmeans(folder, columns, iterations, tolerance):
    start = read_rows(folder, "start", int(columns))
    fitted = KMeans(
        n_clusters=len(start),
        init=start,
        n_init=1,
        algorithm="lloyd",
        max_iter=int(iterations),
        tol=float(tolerance),
    ).fit(read_rows(folder, "rows", int(columns)))
    agreement = adjusted_rand_score(read_labels(folder, "one"), fitted.labels_)
    return {"inertia": float(fitted.inertia_), "agreement": agreement, "iterations": fitted.n_iter_}


def agreement(folder):
    return {"agreement": adjusted_rand_score(read_labels(folder, "one"), read_labels(folder, "other"))}


def factors(folder, width, *numbers):
    width, (epochs, unobserved, regularisation, frequency, slope, scale) = int(width), map(float, numbers)
    start = read_rows(folder, "start", width).astype(numpy.float64)
    items = read_rows(folder, "items", width).astype(numpy.float64)
    confidence = lambda weights: slope * numpy.log1p(weights.astype(numpy.float64) / scale)

    def solve(rows, others):
        found = numpy.zeros((len(rows), width))
        for row, into in zip(rows, found):
            ridge = regularisation * (numpy.count_nonzero(row) + unobserved * len(others)) ** frequency
            left = unobserved * others.T @ others + (others.T * row) @ others + ridge * numpy.eye(width)
            into[:] = numpy.linalg.solve(left, others.T @ row)
        return found

    rows = confidence(read_rows(folder, "rows", len(start)))
    found = start
    for _ in range(int(epochs)):
        users = solve(rows, found)
        found = solve(rows.T, users)
    own = confidence(read_rows(folder, "own", len(start)))
    folded = solve(own, items)

    # An item with few users is solved again with average users instead of its own, which moves it towards the additional user.
    known = read_rows(folder, "users", width).astype(numpy.float64)
    entries = numpy.count_nonzero(rows, axis=0)
    spread, moved = known.T @ known, items.copy()
    vector = folded[0]
    for _ in range(2):
        for item in numpy.flatnonzero((own[0] > 0) & (entries < 10)):
            ridge = regularisation * (entries[item] + 1 + unobserved * (len(known) + 1)) ** frequency
            held = (unobserved + entries[item] / len(known)) * spread + ridge * numpy.eye(width)
            towards, weight = numpy.linalg.solve(held, vector), own[0, item] + unobserved
            missing = own[0, item] - weight * vector @ items[item]
            moved[item] = items[item] + missing / (1 + weight * vector @ towards) * towards
        ridge = regularisation * (numpy.count_nonzero(own[0]) + unobserved * len(items)) ** frequency
        left = unobserved * items.T @ items + (moved.T * own[0]) @ moved + ridge * numpy.eye(width)
        vector = numpy.linalg.solve(left, moved.T @ own[0])
    return {"scores": list((users @ found.T).ravel()), "folded": list(folded.ravel()), "moved": list(vector)}


def markov(folder, symbols, *pseudo_counts):
    symbols, (of_own, of_habit, of_segment, of_global, of_uniform) = int(symbols), map(float, pseudo_counts)

    def table(rows):
        counts = numpy.zeros((symbols, symbols))
        numpy.add.at(counts, (rows[:, 1].astype(int), rows[:, 2].astype(int)), rows[:, 3])
        return counts

    def blend(counts, shares, pseudo_count):
        return (counts + pseudo_count * shares) / (counts.sum(axis=-1, keepdims=True) + pseudo_count)

    rows, own = (read_rows(folder, name, 4).astype(numpy.float64) for name in ("rows", "own"))
    everybody, own = table(rows), table(own)
    answers = []
    for segment in (None, 3, 9, 77):
        marginal = blend(everybody.sum(axis=0), numpy.full(symbols, 1 / symbols), of_uniform)
        after = blend(everybody, marginal, of_global)
        counts = table(rows[rows[:, 0] == segment]) if segment else numpy.zeros((symbols, symbols))
        # One row per last symbol, and one for an empty history.
        shares = numpy.vstack([after, marginal])
        shares = blend(numpy.vstack([counts, counts.sum(axis=0)]), shares, of_segment)
        shares = blend(numpy.broadcast_to(own.sum(axis=0), shares.shape), shares, of_habit)
        answers.append(blend(numpy.vstack([own, numpy.zeros(symbols)]), shares, of_own).tolist())
    return {"shares": answers}


def figures(folder):
    labels = read_labels(folder, "one")
    shares = read_rows(folder, "rows", 1).ravel().astype(numpy.float64)
    apart = shares - labels
    bins = numpy.minimum((shares * 10).astype(int), 9)
    errors = [abs(apart[bins == place].mean()) * (bins == place).mean() for place in set(bins)]
    return {
        "auc": roc_auc_score(labels, shares),
        "log_loss": log_loss(labels, numpy.clip(shares, 1e-6, 1 - 1e-6)),
        "calibration_error": sum(errors),
    }


def logistic(folder, columns):
    rows = StandardScaler().fit_transform(read_rows(folder, "rows", int(columns)).astype(numpy.float64))
    answers = []
    for penalty in (1, 10, 100, 1000):
        fitted = LogisticRegression(C=1 / penalty, tol=1e-10, max_iter=10_000).fit(rows, read_labels(folder, "one"))
        answers.append(fitted.decision_function(rows).tolist())
    return {"log_odds": answers}


def around(folder, width):
    vectors, ties = read_rows(folder, "rows", int(width)).astype(numpy.float64), read_rows(folder, "ties", 3)
    places = ties[:, 0].astype(int), ties[:, 1].astype(int)
    matrix = scipy.sparse.csr_matrix((ties[:, 2].astype(numpy.float64), places), (len(vectors), len(vectors)))
    sums = numpy.asarray(matrix.sum(axis=1)).ravel()
    means = scipy.sparse.diags(1 / numpy.where(sums > 0, sums, 1)) @ matrix @ vectors
    return {"means": list(means.ravel())}


def main():
    folder, command, *words = sys.argv[1:]
    warnings.simplefilter("ignore", ConvergenceWarning)
    commands = {
        "scaler": scaler,
        "weights": weights,
        "kmeans": kmeans,
        "agreement": agreement,
        "factors": factors,
        "markov": markov,
        "around": around,
        "figures": figures,
        "logistic": logistic,
    }
    json.dump(commands[command](folder, *words), sys.stdout)


main()
