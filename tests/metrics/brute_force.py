"""The official urban sound tagging metric as plain loops over clips, tags and thresholds.

Written from the description of the metric, independent of metrics/; slow and simple. A
category is (scores of its complete tags, their truth, scores of X, truth of X), row by row.
"""

import numpy as np


def count(category, threshold):
    tp = fp = fn = 0
    for scores, truth, unsure_score, unsure in zip(*category, strict=True):
        predicted = [score >= threshold for score in scores]
        unsure_predicted = unsure_score >= threshold
        hit = False
        for positive, true in zip(predicted, truth, strict=True):
            if positive and true:
                tp += 1
                hit = True
            elif positive and not true and not unsure:
                fp += 1
            elif true and not positive:
                fn += 1
        anything = any(predicted) or unsure_predicted
        if unsure and anything and not hit:
            tp += 1
        if unsure and not anything and not any(truth):
            fn += 1
        if not unsure and not any(truth) and unsure_predicted and not all(predicted):
            fp += 1
    return tp, fp, fn


def thresholds_of(category):
    found = {float(score) for row in category[0] for score in row if score >= 0.01}
    return sorted(found | {1.0}, reverse=True)


def precision_recall(tp, fp, fn):
    return tp / max(tp + fp, 0.5), tp / max(tp + fn, 0.5)


def area(points, tie_order):
    recalls = np.array([recall for _, recall in points])
    order = np.argsort(recalls) if tie_order == "numpy" else np.argsort(recalls, kind="stable")
    curve = [(0.0, 1.0), *((recalls[i], points[i][0]) for i in order), (1.0, 0.0)]
    total = 0.0
    for (r0, p0), (r1, p1) in zip(curve, curve[1:], strict=False):
        total += (r1 - r0) * (p0 + p1) / 2
    return total


def official(categories, tie_order):
    """{name: category} -> (micro AUPRC, macro AUPRC, micro F1, {name: AUPRC})."""
    rows = {
        name: [(threshold, count(category, threshold)) for threshold in thresholds_of(category)]
        for name, category in categories.items()
    }
    classwise = {}
    for name, (_, truth, _, unsure) in categories.items():
        absent = not any(any(row) for row in truth) and not any(unsure)
        points = [precision_recall(*counts) for _, counts in rows[name]]
        classwise[name] = float("nan") if absent else area(points, tie_order)
    defined = [value for value in classwise.values() if value == value]
    macro = sum(defined) / len(defined) if defined else float("nan")

    points, f1 = [], None
    for threshold in sorted({threshold for part in rows.values() for threshold, _ in part}):
        tp = fp = fn = 0
        for part in rows.values():
            own = [counts for at, counts in part if at >= threshold][-1]
            tp, fp, fn = tp + own[0], fp + own[1], fn + own[2]
        precision, recall = precision_recall(tp, fp, fn)
        points.append((precision, recall))
        if threshold >= 0.5 and f1 is None:
            f1 = 2 / (1 / precision + 1 / recall) if precision and recall else 0.0
    return area(points, tie_order), macro, f1, classwise


def coarse(scores, targets, classes):
    """Every class is a category of one complete tag."""
    none = [0] * len(scores)
    return {
        name: ([[s] for s in scores[:, k]], [[t] for t in targets[:, k]], none, none)
        for k, name in enumerate(classes)
    }


def fine(scores, targets, classes):
    """Categories by the part of a name before "-"; "X" after it is the incomplete tag."""
    grouped = {}
    for name in classes:
        grouped.setdefault(name.split("-")[0], [])
    for category in grouped:
        own = [k for k, name in enumerate(classes) if name.split("-")[0] == category]
        complete = [k for k in own if not classes[k].split("-")[1].startswith("X_")]
        incomplete = [k for k in own if k not in complete]
        nothing = np.zeros(len(scores))
        grouped[category] = (
            scores[:, complete],
            targets[:, complete],
            scores[:, incomplete[0]] if incomplete else nothing,
            targets[:, incomplete[0]] if incomplete else nothing,
        )
    return grouped
