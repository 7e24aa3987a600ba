"""Every study runs at a tiny size, and records only what it is asked to."""

from __future__ import annotations

import gzip
import importlib
import json
import os
import platform
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("numba")

STUDIES = Path(__file__).parents[2] / "benchmarks" / "studies"

CURVES = ["--sets", "digits", "--pool", 220, "--test", 100, "--seeds", 1]


def run(script, *args, out=None, env=None):
    command = [sys.executable, STUDIES / script, *args]
    command += [] if out is None else ["--out", out]
    done = subprocess.run(
        [str(word) for word in command],
        capture_output=True,
        text=True,
        timeout=120,
        env=os.environ | (env or {}),
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
@pytest.mark.parametrize(
    ("script", "args"),
    [
        ("answers.py", ["--sets", "digits", "--rows", 400, "--shares", 0.3, "--wrong", 0.15]),
        ("correlation_quality.py", ["--draws", 4]),
        ("few_labels.py", ["--splits", 1, "--labels", 20, "--rows", 400]),
        ("label_models.py", ["--draws", 1, "--samples", 200]),
        ("label_quality.py", ["--sets", "digits", "--rows", 500, "--draws", 3]),
        ("learning_curves.py", [*CURVES, "--strategies", "random", "margin", "TypiClust"]),
        ("novelty.py", ["--sets", "digits", "--rows", 600, "--draws", 1]),
        ("reject.py", ["--sets", "digits", "--rows", 600, "--draws", 1]),
        ("scale_clusterer.py", ["--rows", 500, "--features", 4, "--clusters", 3]),
        ("voters.py", ["--set", "digits", "--rows", 300]),
        ("worst_cases.py", ["--max-rows", 500, "--cases", 0, 5]),
    ],
)
def test_a_study_runs_and_records(script, args, tmp_path):
    out = tmp_path / "results.json"
    assert run(script, *args, out=out)
    recorded = json.loads(out.read_text())
    assert recorded["results"]
    assert recorded["command"].startswith(f"python benchmarks/studies/{script}")
    assert str(tmp_path) not in out.read_text()


def test_billion(tmp_path):
    out = tmp_path / "results.json"
    run("scale_billion.py", tmp_path, "--rows", 2000, out=out)
    results = json.loads(out.read_text())["results"]
    assert results["without_label"] + sum(results["sizes"]) == 2000


@pytest.mark.slow
def test_scale_dask(tmp_path):
    pytest.importorskip("labelquorum.dask")
    out = tmp_path / "results.json"
    args = ["--rows", 2000, "--rows-per-file", 500, "--workers", 1, "--max-table", 10**4]
    run("scale_dask.py", tmp_path, *args, "--without-groupby", out=out)
    results = json.loads(out.read_text())["results"]
    assert results["growth"]["rows"] == [1000]
    assert len(results["model"]) == 9


def write_ensembles(folder):
    (folder / "ensembles").mkdir()
    rng = np.random.default_rng(0)
    classes = rng.integers(3, size=200)
    members = np.where(rng.random((200, 100)) < 0.9, classes[:, None], 3).astype(np.uint8)
    np.savez(folder / "ensembles" / "made_up.npz", members=members, gt=classes)


def test_real_ensembles(tmp_path):
    write_ensembles(tmp_path)
    out = tmp_path / "results.json"
    run("real_ensembles.py", "--draws", 2, out=out, env={"LABELQUORUM_DATA": str(tmp_path)})
    first = json.loads(out.read_text())["results"][0]
    assert first["precision"] == 1
    assert first["n_found"] == 3


@pytest.mark.slow
def test_propagation_accuracy(tmp_path):
    out = tmp_path / "results.json"
    run("propagation_accuracy.py", *["--sets", "digits", "--draws", 2, "--rows", 300], out=out)
    results = json.loads(out.read_text())["results"]
    of = {(row["method"], row["per_class"]): row["mean"] for row in results}
    assert 0.5 < of["LabelSpreading", 1] < of["LabelSpreading", 10] <= 1


@pytest.mark.slow
def test_consensus_ensembles(tmp_path):
    write_ensembles(tmp_path)
    out = tmp_path / "results.json"
    args = ["--draws", 2, "--methods", "labelquorum", "LWEA", "LWGP", "EAC"]
    run("consensus_ensembles.py", *args, out=out, env={"LABELQUORUM_DATA": str(tmp_path)})
    rows = json.loads(out.read_text())["results"]["ensembles"]
    assert [row["method"] for row in rows] == ["labelquorum", "LWEA", "LWGP", "EAC"]
    assert all(row["nmi"] > 0.9 for row in rows)


@pytest.mark.slow
def test_s3vm(tmp_path):
    out = tmp_path / "results.json"
    args = ["--tasks", "gaussians", "moons", "digits", "--labels", 10, "--pairs", 2, "--draws", 2]
    run("s3vm.py", *args, out=out)
    results = json.loads(out.read_text())["results"]
    assert list(results) == ["gaussians", "moons", "digits pairs, 10 labels"]
    for task in results.values():
        assert task["S3VM"]["error"] < task["supervised"]["error"]
    assert results["digits pairs, 10 labels"]["losses"]["S3VM, safe"]["draws"] == 4


@pytest.mark.slow
def test_evaluate_takes_named_sets(tmp_path):
    out = tmp_path / "results.json"
    args = ["--set", "digits", "--rows", 300, "--seeds", 2, "--methods", "labelquorum", "HDBSCAN"]
    printed = json.loads(run("evaluate.py", *args, out=out).splitlines()[-1])
    assert list(printed) == ["labelquorum", "HDBSCAN"]
    for scores in printed.values():
        assert 0.2 < scores["acc"] < 1
        assert {"nmi", "ari", "seconds", "peak_bytes"} <= set(scores)
    assert [scores["runs"] for scores in printed.values()] == [2, 1]  # HDBSCAN has no seed
    assert printed["HDBSCAN"]["coverage"] < 1
    assert json.loads(out.read_text())["results"]["digits"] == printed


def documents(n):
    """Generate documents: in each sentence, Ann or Bob, then a pronoun."""
    rng = np.random.default_rng(0)
    for i in range(n):
        mentions, sentences = [], []
        for s in range(8):
            who = int(rng.integers(2))
            sentences.append(f"{('Ann', 'Bob')[who]} said {('she', 'he')[who]} saw it .")
            for place, kind, words in ((0, "PROP", ("Ann", "Bob")), (2, "PRON", ("she", "he"))):
                mentions.append(
                    {"text": words[who], "kind": kind, "category": "PER", "sentence": s}
                    | {"first_token": place, "last_token": place, "cluster": who}
                )
            place = {"text": "it", "kind": "PRON", "category": "LOC", "sentence": s, "cluster": 2}
            mentions.append(place | {"first_token": 4, "last_token": 4})
        yield {"document": str(i), "sentences": sentences, "mentions": mentions}


@pytest.mark.slow
@pytest.mark.deep
@pytest.mark.parametrize("with_test", [False, True])
def test_evaluate_sets(tmp_path, with_test):
    path = tmp_path / "documents.jsonl"
    path.write_text("".join(json.dumps(document) + "\n" for document in documents(6)))
    more = ["--test", path, "--methods", "PairwiseSetClusterer"] if with_test else ["--folds", 2]
    args = ["--train", path, *more]
    printed = run("evaluate_sets.py", *args, out=tmp_path / "results.json").splitlines()
    scores = json.loads(printed[-1])
    assert {"PairwiseSetClusterer", "exact match", "head match", "agglomerative"} <= set(scores)
    assert with_test or "SetClusterer" in scores
    for row in scores.values():
        assert list(row) == ["conll", "b3", "ceaf_e", "muc", "mixed", "seconds"]
    ours = scores.keys() & {"SetClusterer", "PairwiseSetClusterer"}
    assert all(scores[name]["mixed"] == 0 for name in ours)
    assert scores["PairwiseSetClusterer"]["conll"] > scores["exact match"]["conll"]


@pytest.mark.slow
@pytest.mark.deep
def test_hanging_out(tmp_path):
    out = tmp_path / "results.json"
    run("hanging_out.py", "--train", 20, "--test", 5, "--epochs", 2, out=out)
    assert len(json.loads(out.read_text())["results"]) == 4


@pytest.mark.slow
@pytest.mark.parametrize("form", ["npz", "npy beside jsonl.gz"])
def test_evaluate_takes_files(tmp_path, form):
    rng = np.random.default_rng(0)
    names = np.array(["bad", "good", "oos"])[np.arange(90) % 3]
    X = (rng.normal(size=(90, 4)) + 100 * (names == "good")[:, None]).astype(np.float16)
    if form == "npz":
        np.savez(tmp_path / "set.npz", X=X, y=names)
        args = ["--data", tmp_path / "set.npz"]
    else:
        np.save(tmp_path / "set.npy", X)
        with gzip.open(tmp_path / "set.jsonl.gz", "wt") as lines:
            lines.writelines(json.dumps({"label": str(name)}) + "\n" for name in names)
        args = ["--data", tmp_path / "set.npy", "--labels", tmp_path / "set.jsonl.gz"]
    args += ["--without", "oos", "--methods", "k-means", "--seeds", 1]
    printed = run("evaluate.py", *args, out=tmp_path / "results.json").splitlines()
    assert "60 x 4, 2 classes" in printed[1]
    assert json.loads(printed[-1])["k-means"]["acc"] == 1


@pytest.mark.slow
def test_evaluate_survives_a_method_that_fails(tmp_path):
    args = ["--set", "digits", "--rows", 300, "--seeds", 1, "--methods", "k-means"]
    printed = run("evaluate.py", *args, "--timeout", 0.01, out=tmp_path / "results.json")
    assert json.loads(printed.splitlines()[-1]) == {"k-means": {"error": "over 0.01 s"}}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("method", "modules"),
    [
        ("EVoC", ["evoc"]),
        ("PLSCAN", ["fast_hdbscan"]),
        ("BERTopic", ["umap", "hdbscan"]),
    ],
)
def test_evaluate_runs_peers_or_says_what_they_need(tmp_path, method, modules):
    args = ["--set", "digits", "--rows", 300, "--seeds", 1, "--methods", "k-means", method]
    printed = run("evaluate.py", *args, out=tmp_path / "results.json")
    missing = [module for module in modules if not find_spec(module)]
    if missing:
        assert f"skipped: {missing[0]} is not installed" in printed
    else:
        scores = json.loads(printed.splitlines()[-1])[method]
        assert 0 <= scores["acc"] <= scores["coverage"] <= 1
        assert "best_layer" not in scores or scores["best_layer"] >= scores["acc"]


@pytest.fixture
def study(monkeypatch):
    monkeypatch.syspath_prepend(STUDIES)
    return importlib.import_module


def test_the_sets_are_halved(study):
    data = study("_data")
    assert len(data.SETS) == 10
    assert sorted(data.DEVELOPED_ON + data.CHECKED_ON) == sorted(data.SETS)
    assert len(data.DEVELOPED_ON) == len(data.CHECKED_ON) == 5
    assert set(data.TEXTS) < set(data.SETS)


def test_noise_is_wrong_and_told_apart(study):
    classes = np.repeat([0, 1], 5)
    labels = np.array([3, 3, 3, 3, -1, 7, 7, 7, -1, 3])
    confidence = np.where(labels >= 0, 1.0, 0.0)
    fine, coarse = np.arange(10), classes.copy()
    result = study("_methods").with_noise(labels, confidence) | {"layers": [fine, labels, coarse]}
    of = study("evaluate").scores(classes, result, 10, 0)
    assert (of["acc"], of["coverage"], of["precision"]) == (0.7, 0.8, 7 / 8)
    assert of["precision_at_ours"] == 0.7  # noise stays wrong among the most certain labels
    assert (of["n_clusters"], of["n_classes"], of["best_layer"], of["n_layers"]) == (2, 2, 1.0, 3)
    nothing = study("_methods").with_noise(np.full(10, -1), np.zeros(10))
    of = study("evaluate").scores(classes, nothing, 4, 0)
    assert (of["acc"], of["coverage"], of["precision"], of["n_clusters"]) == (0, 0, None, 0)


def made_up_scores(acc, n_clusters=4, **more):
    return (
        {"acc": acc, "acc_sd": 0.002, "runs": 3, "n_classes": 4, "n_clusters": n_clusters}
        | {
            "nmi": acc,
            "ari": acc,
            "seconds": 2.0,
            "peak_bytes": 100,
        }
        | more
    )


def test_the_bars_are_printed(study, capsys):
    bars, data = study("_bars"), study("_data")
    results = {
        name: {
            bars.OURS: made_up_scores(0.80, acc_sd=0.02 if name == "20news" else 0.0),
            bars.UNKNOWN: made_up_scores(
                0.70, 9 if name == "20news" else 3, best_layer=0.78, n_layers=4
            ),
            "k-means": made_up_scores(0.75),
            "EVoC": made_up_scores(0.75 if name == "clinc150" else 0.5),
            bars.TIMED: made_up_scores(0.82 if name == "biomedical" else 0.74, seconds=3.0),
            "UMAP + GMM": {"error": "over 9 s"} if name == "mnist" else made_up_scores(0.1),
        }
        for name in data.SETS
    }
    bars.print_bars(results)
    printed = capsys.readouterr().out
    for line in (
        "number given, 5 sets of texts: 0.800; the best peer, UMAP 30-0-10 + k-means, 0.756: "
        "+0.044 (bar: +0.030)",
        "number given, beside the best peer of each: -0.020 on biomedical at worst (bar: -0.010)",
        "number given, mnist: 0.800 (bar: 0.97)",
        "number given, deviation over 3 seeds: at most 0.020, on 20news (bar: 0.015)",
        "labelquorum: 0.800 on the sets developed on",
        "number unknown: -0.100 beside the number given (bar: -0.060)",
        "number unknown, best of at most 4 layers: -0.020 (bar: -0.030, of 5)",
        "number unknown, above EVoC: 9 of 10 sets (bar: 9 of 10)",
        "number unknown, found / true: 0.75 (digits) to 2.25 (20news)",
        "seconds on 10 sets: labelquorum 20.0, UMAP 30-0-10 + k-means 30.0",
    ):
        assert line in printed
    bars.print_summary(results)
    assert "UMAP + GMM" in capsys.readouterr().out
    means = bars.means_over_sets(results)
    assert means["UMAP + GMM"]["acc"] == pytest.approx(0.1)
    assert means[bars.UNKNOWN]["best_layer"] == pytest.approx(0.78)


@pytest.mark.parametrize("names", [["labelquorum"], ["k-means"], ["EVoC", "k-means"]])
def test_the_bars_take_some_methods_on_a_set_of_the_user(study, capsys, names):
    bars = study("_bars")
    bars.print_bars({"mine": {name: made_up_scores(0.5) for name in names}})
    assert ("deviation" in capsys.readouterr().out) == ("labelquorum" in names)


@pytest.mark.slow
def test_known_categories(tmp_path):
    out = tmp_path / "results.json"
    methods = ["labelquorum", "k-means", "seeded k-means", "GCD k-means", "logistic regression"]
    args = ["--sets", "digits", "--rows", 600, "--draws", 2, "--known", 0.5, "--methods", *methods]
    run("known_categories.py", *args, out=out)
    rows = json.loads(out.read_text())["results"]
    of = {(row["method"], row["share_wrong"]): row for row in rows}
    assert 0.4 < of["GCD k-means", 0.0]["all"] < 1
    assert of["labelquorum", 0.1]["by_name"] <= of["labelquorum", 0.0]["by_name"] + 0.05
    assert ("GCD k-means", 0.1) not in of
    assert of["logistic regression", 0.0]["by_name"] > 0.7
    assert of["logistic regression", 0.0]["all"] is None
    assert of["labelquorum", 0.0]["purity"] > 0.8


def test_the_protocol_of_known_categories(monkeypatch):
    monkeypatch.syspath_prepend(STUDIES)
    import known_categories

    classes = np.repeat(np.arange(8), 50)
    drawn, y, n_known = known_categories.draw(classes, 0.5, 0.0, 3)
    assert n_known == 4
    assert np.bincount(y[y >= 0]).tolist() == [5] * 4
    np.testing.assert_array_equal(y[y >= 0], drawn[y >= 0])
    again, wrong, _ = known_categories.draw(classes, 0.5, 0.1, 3)
    np.testing.assert_array_equal(again, drawn)
    np.testing.assert_array_equal(wrong >= 0, y >= 0)
    assert (wrong != y).sum() == 2
    assert wrong.max() < n_known

    # Swapped clusters are right under the matching and wrong by name.
    swapped = np.where(drawn == 0, 1, np.where(drawn == 1, 0, drawn))
    of = known_categories.scores(drawn, swapped, n_known)
    assert (of["all"], of["known"], of["new"], of["by_name"]) == (1, 1, 1, 0.5)
    # One matching over all: new samples in the cluster of a known category do not take its name.
    half = (drawn == 7) & (np.arange(400) % 2 == 0)
    of = known_categories.scores(drawn, np.where(half, 0, drawn), n_known)
    assert (of["all"], of["known"], of["new"]) == (375 / 400, 1, 175 / 200)
    assert of["purity"] == 200 / 225
    unsure = np.where(drawn == 5, -1, drawn)
    assert known_categories.scores(drawn, unsure, n_known)["new"] == 3 / 4


def test_real_ensembles_says_what_is_missing(tmp_path):
    out = tmp_path / "results.json"
    env = {"LABELQUORUM_DATA": str(tmp_path)}
    assert run("real_ensembles.py", out=out, env=env).startswith("ensembles: skipped")
    assert not out.exists()


def test_data_is_the_same_in_any_chunks(monkeypatch):
    monkeypatch.syspath_prepend(STUDIES)
    import _data

    rows = _data.ensemble(1000, 12, abstain=0.2, seed=3)
    part = np.empty((400, 12), dtype=np.int8)
    _data.fill(part, first=600, abstain=0.2, seed=3)
    np.testing.assert_array_equal(part, rows[600:])
    assert 0.15 < (rows < 0).mean() < 0.25
    assert len(np.unique(_data.all_distinct(10_000, 4), axis=0)) == 10_000


@pytest.mark.slow
@pytest.mark.deep
def test_kingdra(tmp_path):
    out = tmp_path / "results.json"
    settings = {"hidden": [16], "n_networks": 3, "n_first_steps": 40, "n_rounds": 1, "n_steps": 5}
    args = ["--set", "digits", "--runs", 0, "--settings", json.dumps(settings), "--threads", 1]
    run("kingdra.py", *args, out=out)
    results = json.loads(out.read_text())["results"]["digits"]
    assert len(results["kingdra"]["runs"][0]["rounds"]) == 2
    assert len(results["vote"]["runs"][0]["rounds"]) == 1
    assert results["random"]["accuracy"]["mean"] != results["kingdra"]["accuracy"]["mean"]
    assert results["consensus"] > results["k-means"]
    assert out.with_suffix(".png").exists()


@pytest.mark.slow
def test_a_study_records_nothing_unasked(tmp_path):
    def recorded():
        return {path: path.read_bytes() for path in (STUDIES / "results").glob("*")}

    before = recorded()
    args = ["--splits", 1, "--labels", 20, "--rows", 400]
    assert "best way" in run("few_labels.py", *args)
    assert recorded() == before


@pytest.fixture
def recorder(monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(STUDIES)
    import _recorder

    monkeypatch.setattr(_recorder, "RESULTS", tmp_path)
    monkeypatch.setattr(sys, "argv", ["folder/study.py", "--rows", "3", str(tmp_path)])
    return _recorder


def test_record_writes_where_it_is_told(recorder, tmp_path):
    out = tmp_path / "some.json"
    recorder.record(recorder.parser("A study.").parse_args([]), {"seconds": 1.5})
    assert list(tmp_path.iterdir()) == []
    recorder.record(recorder.parser("A study.").parse_args(["--out", str(out)]), {"seconds": 1.5})
    assert list(tmp_path.iterdir()) == [out]
    recorder.record(recorder.parser("A study.").parse_args(["--record"]), {"seconds": 2.5})
    assert json.loads((tmp_path / "study.json").read_text())["results"] == {"seconds": 2.5}


def test_a_record_says_what_is_needed_to_repeat_it(recorder, tmp_path):
    out = tmp_path / "some.json"
    args = recorder.parser("A study.").parse_args(["--out", str(out), "--threads", "2"])
    recorder.record(args, [1, 2])
    content = json.loads(out.read_text())
    assert content["command"] == "python benchmarks/studies/study.py --rows 3 DIR"
    assert content["threads"] == 2
    assert set(content["machine"]) == {"cpu", "cores", "memory_gib", "system"}
    assert content["versions"]["labelquorum"]
    assert platform.node() not in out.read_text()


def test_results_go_to_a_file_in_a_folder(recorder, tmp_path, capsys):
    for target in (tmp_path, tmp_path / "missing" / "results.json"):
        with pytest.raises(SystemExit):
            recorder.parser("A study.").parse_args(["--out", str(target)])
        assert "must be a file in an existing folder" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        recorder.parser("A study.").parse_args(["--record", "--out", str(tmp_path / "a.json")])


def test_an_option_of_names_takes_all_of_them_by_default(recorder):
    options = recorder.parser("A study.")
    recorder.add_choices(options, "--sets", {"digits": 1, "mnist": 2}, "data sets")
    assert options.parse_args([]).sets == ["digits", "mnist"]
    assert options.parse_args(["--sets", "mnist"]).sets == ["mnist"]
    with pytest.raises(SystemExit):
        options.parse_args(["--sets", "letters"])
    assert "data sets: digits, mnist (default: all)" in " ".join(options.format_help().split())


def test_timed_returns_seconds_and_the_result(recorder):
    seconds, result = recorder.timed(lambda: time.sleep(0.02) or "result")
    assert result == "result"
    assert 0.02 <= seconds < 10


def test_within_stops_what_takes_longer(recorder):
    with pytest.raises(TimeoutError, match=r"over 0\.05 s"), recorder.within(0.05):
        time.sleep(10)
    with recorder.within(10):
        pass
    time.sleep(0.1)  # nothing fires later


def test_peak_memory_sees_what_a_block_takes(recorder):
    with recorder.PeakMemory() as peak:
        words = np.ones(2**24)
        time.sleep(0.05)
        del words
    assert 0.9 * 2**27 < peak.peak - peak.before < 2**28
