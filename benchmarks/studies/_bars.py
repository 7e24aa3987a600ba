"""Print the results of `evaluate.py` over all sets, beside the library's goals."""

from __future__ import annotations

import numpy as np

import _data
from _methods import FIND_NUMBER, OURS, UNKNOWN

BAR_ABOVE, BAR_BELOW, BAR_DEVIATION = 0.03, 0.01, 0.015
BAR_UNKNOWN, BAR_LAYER, BAR_WON, BAR_TIMES = 0.06, 0.03, 9, 3
RECORDED = {"digits": 0.930, "pendigits": 0.875, "mnist": 0.97, "statlog": 0.82, "coil20": 0.857}
TIMED = "UMAP 30-0-10 + k-means"


def by_method(results):
    """Turn {set: {method: scores}} into {method: {set: scores}}, without errors."""
    methods = dict.fromkeys(method for of in results.values() for method in of)
    return {
        method: {name: of[method] for name, of in results.items() if "acc" in of.get(method, {})}
        for method in methods
    }


def mean_of(key, sets):
    values = [of[key] for of in sets if of.get(key) is not None]
    return float(np.mean(values)) if values else None


def mean_acc(sets, names):
    """Return the mean accuracy over the named sets; None if there are none, or one is missing."""
    return mean_of("acc", [sets[name] for name in names]) if set(names) <= set(sets) else None


def means_over_sets(results):
    """Return {method: scores}; with several sets, means, and the scores of each under "sets"."""
    if len(results) == 1:
        return next(iter(results.values()))
    keys = ("acc", "nmi", "ari", "best_layer", "seconds", "peak_bytes")
    return {
        method: {"sets": {name: of.get(method) for name, of in results.items()}}
        | {key: mean_of(key, sets.values()) for key in keys}
        for method, sets in by_method(results).items()
    }


def print_summary(results):
    names = list(results)
    print("accuracy " + " " * 23 + " ".join(f"{name:>15}" for name in [*names, "mean", "seconds"]))
    for method, sets in by_method(results).items():
        row = [f"{sets[name]['acc']:.3f}" if name in sets else "-" for name in names]
        row.append(f"{mean_acc(sets, names):.3f}" if len(sets) == len(names) else "-")
        row.append(f"{sum(of['seconds'] for of in sets.values()):.1f}")
        print(f"  {method:30} " + " ".join(f"{word:>15}" for word in row))


def print_bars(results):
    runs = by_method(results)
    if runs.get(OURS):
        print_known(runs[OURS], {name: runs[name] for name in runs if name not in (OURS, UNKNOWN)})
        print_halves(runs)
    if runs.get(UNKNOWN):
        print_unknown(runs)
    print_seconds(runs)


def print_known(ours, peers):
    """Compare with every peer, also with those that find the number themselves."""
    texts = [name for name in _data.TEXTS if name in ours]
    means = {peer: mean_acc(sets, texts) for peer, sets in peers.items()}
    means = {peer: mean for peer, mean in means.items() if mean is not None}
    if means:
        best = max(means, key=means.get)
        mean = mean_acc(ours, texts)
        print(
            f"number given, {len(texts)} sets of texts: {mean:.3f}; the best peer, {best}, "
            f"{means[best]:.3f}: {mean - means[best]:+.3f} (bar: {BAR_ABOVE:+.3f})"
        )
        gaps = {
            name: ours[name]["acc"] - max(of[name]["acc"] for of in peers.values() if name in of)
            for name in texts
        }
        worst = min(gaps, key=gaps.get)
        print(
            f"number given, beside the best peer of each: {gaps[worst]:+.3f} on {worst} at worst "
            f"(bar: {-BAR_BELOW:+.3f})"
        )
    for name in [name for name in RECORDED if name in ours]:
        print(f"number given, {name}: {ours[name]['acc']:.3f} (bar: {RECORDED[name]})")
    least_sure = max(ours, key=lambda name: ours[name]["acc_sd"])
    of = ours[least_sure]
    print(
        f"number given, deviation over {of['runs']} seeds: at most {of['acc_sd']:.3f}, on "
        f"{least_sure} (bar: {BAR_DEVIATION})"
    )


def print_halves(runs):
    for method in [method for method in (OURS, UNKNOWN) if runs.get(method)]:
        for half, names in (
            ("developed on", _data.DEVELOPED_ON),
            ("checked on", _data.CHECKED_ON),
        ):
            mean = mean_acc(runs[method], names)
            if mean is not None:
                print(f"{method}: {mean:.3f} on the sets {half}")


def print_unknown(runs):
    ours = runs[UNKNOWN]
    both = [name for name in ours if name in runs.get(OURS, {})]
    if both:
        given, unknown = mean_acc(runs[OURS], both), mean_acc(ours, both)
        layer = mean_of("best_layer", [ours[name] for name in both])
        print(
            f"number unknown: {unknown - given:+.3f} beside the number given (bar: "
            f"{-BAR_UNKNOWN:+.3f})"
        )
        if layer is not None:
            most = max(ours[name]["n_layers"] for name in both)
            print(
                f"number unknown, best of at most {most:g} layers: {layer - given:+.3f} "
                f"(bar: {-BAR_LAYER:+.3f}, of 5)"
            )
    for peer in [peer for peer in FIND_NUMBER if runs.get(peer)]:
        shared = [name for name in ours if name in runs[peer]]
        won = sum(ours[name]["acc"] > runs[peer][name]["acc"] for name in shared)
        print(f"number unknown, above {peer}: {won} of {len(shared)} sets (bar: {BAR_WON} of 10)")
    times = {name: of["n_clusters"] / of["n_classes"] for name, of in ours.items()}
    least, most = min(times, key=times.get), max(times, key=times.get)
    print(
        f"number unknown, found / true: {times[least]:.2f} ({least}) to {times[most]:.2f} ({most}) "
        f"(bar: 1/{BAR_TIMES} to {BAR_TIMES}, never one category)"
    )


def print_seconds(runs):
    for method in (OURS, UNKNOWN):
        shared = [name for name in runs.get(method, {}) if name in runs.get(TIMED, {})]
        if shared:
            own, peer = (sum(runs[name][s]["seconds"] for s in shared) for name in (method, TIMED))
            print(f"seconds on {len(shared)} sets: {method} {own:.1f}, {TIMED} {peer:.1f}")
