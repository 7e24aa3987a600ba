"""The command fit: the labels of the estimator, clear errors, no half files."""

from __future__ import annotations

import csv
import re

import numpy as np
import pytest
from scipy import sparse
from sklearn.datasets import make_blobs

import labelquorum as lq
from labelquorum.cli.main import main


@pytest.fixture
def blobs():
    return make_blobs(400, 5, centers=4, cluster_std=0.5, random_state=0)


@pytest.fixture
def features(tmp_path, blobs):
    path = tmp_path / "X.npy"
    np.save(path, blobs[0])
    return path


def _rows_of(path):
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_fit_writes_what_the_estimator_says(features, blobs, capsys):
    options = ["--n-clusters", "4", "--seed", "3", "--n-jobs", "2"]
    assert main(["fit", str(features), *options]) == 0
    model = lq.ConsensusClusterer(4, random_state=3).fit(blobs[0])
    rows = _rows_of(features.with_name("X-labels.csv"))
    names = ["label", "origin", "confidence", "pseudo_label", "runner_up", "runner_up_share"]
    assert list(rows[0]) == names
    assert {row["origin"] for row in rows} == {"proposed"}
    assert [int(row["label"]) for row in rows] == model.labels_.tolist()
    assert [int(row["pseudo_label"]) for row in rows] == model.pseudo_labels_.tolist()
    np.testing.assert_array_equal(
        np.array([row["confidence"] for row in rows], np.float32), model.confidence_
    )
    output = capsys.readouterr()
    for category in range(4):
        size = np.count_nonzero(model.labels_ == category)
        mean = model.confidence_[model.labels_ == category].mean()
        assert re.search(rf"│ {category} +│ new +│ +{size} │ +{mean:.2f} │", output.out)
    assert "400 samples, 5 features" in output.out
    assert "X-labels.csv: written after" in output.out
    assert "base partitions" in output.err


@pytest.mark.parametrize("extension", [".npz", ".parquet", ".csv"])
def test_fit_keeps_known_categories_by_name(tmp_path, features, blobs, capsys, extension):
    if extension == ".parquet":
        pytest.importorskip("pyarrow")
    _, classes = blobs
    known = np.where((classes < 2) & (np.arange(400) % 5 == 0), classes, -1)
    words = ["[red]", "green, dark", ""]
    labels, out = tmp_path / "known.txt", tmp_path / f"found{extension}"
    labels.write_text("".join(f"{words[k]}\n" for k in known), encoding="utf-8")
    command = ["fit", str(features), "--labels", str(labels), "--n-clusters", "4"]
    assert main([*command, "--out", str(out)]) == 0
    if extension == ".npz":
        found = np.load(out)["label"].tolist()
    elif extension == ".parquet":
        found = pyarrow_column(out, "label")
    else:
        found = [row["label"] for row in _rows_of(out)]
    for k in (0, 1):
        assert {found[i] for i in np.flatnonzero(classes == k)} == {words[k]}
    assert {found[i] for i in np.flatnonzero(classes > 1)} == {"new 0", "new 1"}
    output = capsys.readouterr().out
    assert re.search(r"│ \[red\] +│ known", output)
    assert re.search(r"│ new 0 +│ new ", output)


def pyarrow_column(path, name):
    import pyarrow.parquet as pq

    return pq.read_table(path)[name].to_pylist()


def test_fit_reads_labels_from_a_column_and_keeps_to_known_categories(tmp_path, blobs, capsys):
    X, classes = blobs
    known = np.where((classes < 2) & (np.arange(400) % 5 == 0), classes + 5, -1)
    known[np.flatnonzero(known == 5)[0]] = 6  # wrong
    path = tmp_path / "table.csv"
    np.savetxt(path, np.column_stack([X, known]), delimiter=",", header="a,b,c,d,e,y", comments="")
    assert (
        main(["fit", str(path), "--label-column", "y", "--n-clusters", "4", "--no-discover"]) == 0
    )
    found = np.array([int(row["label"]) for row in _rows_of(tmp_path / "table-labels.csv")])
    wrong = np.flatnonzero((known == 6) & (classes == 0))
    others = np.setdiff1d(np.arange(400), wrong)
    np.testing.assert_array_equal(found[others], np.where(classes < 2, classes + 5, -1)[others])
    output = capsys.readouterr().out
    assert re.search(r"│ +│ none +│ +200 │", output)
    assert f"1 known labels look wrong, most suspect first: rows {wrong[0]} (from 0)" in output
    assert "5 features" in output


def test_last_weeks_table_is_read_as_known_labels(features, blobs, tmp_path):
    table = tmp_path / "week1.csv"
    assert main(["fit", str(features), "--n-clusters", "4", "--out", str(table), "--quiet"]) == 0
    before = [row["label"] for row in _rows_of(table)]
    out = tmp_path / "week2.csv"
    options = ["--labels", str(table), "--n-clusters", "4", "--seed", "9", "--out", str(out)]
    assert main(["fit", str(features), *options, "--quiet"]) == 0
    assert [row["label"] for row in _rows_of(out)] == before


def test_fit_continues_from_a_directory(features, tmp_path, capsys):
    folder = tmp_path / "partitions"
    command = ["fit", str(features), "--n-clusters", "4", "--directory", str(folder), "--quiet"]
    assert main(command) == 0
    labels = features.with_name("X-labels.csv").read_text()
    kept = {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}
    assert len(kept) > 1
    assert main(command) == 0
    assert {path.name: path.stat().st_mtime_ns for path in folder.iterdir()} == kept
    assert features.with_name("X-labels.csv").read_text() == labels
    assert capsys.readouterr() == ("", "")
    assert main([*command, "--seed", "1"]) == 1
    assert "whose call differs in random_state" in capsys.readouterr().err


def test_fit_shows_warnings_in_a_line(features, blobs, tmp_path, capsys):
    np.save(tmp_path / "y.npy", blobs[1])
    assert (
        main(["fit", str(features), "--labels", str(tmp_path / "y.npy"), "--n-clusters", "2"]) == 0
    )
    error = capsys.readouterr().err.splitlines()
    assert (
        "labelquorum: n_clusters is 2, but y and votes name 4 categories: all of them are kept"
        in error
    )


@pytest.mark.slow
def test_fit_prints_few_of_many_categories(tmp_path, capsys):
    np.save(tmp_path / "X.npy", np.repeat(np.eye(60), 30, axis=0) * 9)
    assert main(["fit", str(tmp_path / "X.npy"), "--n-clusters", "60"]) == 0
    output = capsys.readouterr().out
    assert output.count(" new ") == 40
    assert re.search(r"│ 20 more +│", output)


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (
            ["--n-clusters", "401"],
            2,
            "--n-clusters must be at most the number of samples in .*, 400, got 401",
        ),
        (["--n-clusters", "0"], 2, "must be an integer of at least 1, got '0'"),
        (["--min-cluster-size", "x"], 2, "must be an integer of at least 1, got 'x'"),
        (["--no-discover"], 2, "--no-discover needs known labels"),
        (["--labels", "SHORT", "--label-column", "y"], 1, "short.csv: no column 'y'; the"),
        (["--out", "SOURCE"], 1, "the extension must be .csv, .npz or .parquet, got '.npy'"),
        (["--out", "SHORT", "--labels", "SHORT"], 2, "--out must be another file than --labels"),
        (
            ["--labels", "SHORT"],
            1,
            "short.csv: 2 labels, but .*X.npy has 400 samples: they must be equal",
        ),
        (["--label-column", "y"], 1, "X.npy: .npy files have no named columns: 'y'"),
        (["--labels", "absent.npy"], 1, "absent.npy: No such file"),
    ],
)
def test_fit_refuses_what_does_not_fit_and_leaves_nothing(features, capsys, options, code, message):
    short = features.with_name("short.csv")
    short.write_text("label\n1\n2\n")
    paths = {"SOURCE": str(features), "SHORT": str(short)}
    options = [paths.get(option, option) for option in options]
    before = {path: path.read_bytes() for path in features.parent.iterdir()}
    try:
        found = main(["fit", str(features), *options, "--quiet"])
    except SystemExit as stop:  # how argparse ends
        found = stop.code
    assert found == code
    error = capsys.readouterr().err
    assert re.search(message, error)
    assert "Traceback" not in error
    assert {path: path.read_bytes() for path in features.parent.iterdir()} == before


def test_fit_does_not_overwrite_what_it_reads(tmp_path, capsys):
    source = tmp_path / "X.csv"
    source.write_text("a,b\n1,2\n3,4\n5,6\n")
    assert main(["fit", str(source), "--out", str(source)]) == 2
    assert "--out must be another file than FILE" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("a,b\n1,2\n3,x\n", "'x' in row 1 .*, column 'b', is not a number"),
        ("a,b\n1,2\n3,nan\n", "must be finite, got NaN at row 1, column 1"),
        ("a,b\n1,2\n3,4\n", "minimum of 3 is required"),
    ],
)
def test_fit_says_what_is_wrong_with_the_data_in_a_line(tmp_path, capsys, rows, message):
    source = tmp_path / "X.csv"
    source.write_text(rows)
    assert main(["fit", str(source), "--quiet"]) == 1
    output = capsys.readouterr()
    assert output.out == ""
    (line,) = output.err.splitlines()
    assert line.startswith(f"labelquorum: {source}")
    assert re.search(message, line)
    assert list(tmp_path.iterdir()) == [source]


@pytest.mark.parametrize("extension", [".jsonl", ".tsv", ".csv.gz", ".parquet"])
def test_fit_reads_the_same_from_tables_of_other_kinds(tmp_path, features, blobs, extension):
    pd = pytest.importorskip("pandas")
    assert main(["fit", str(features), "--n-clusters", "4", "--quiet"]) == 0
    expected = [row["label"] for row in _rows_of(features.with_name("X-labels.csv"))]
    frame = pd.DataFrame(blobs[0], columns=list("abcde"))
    frame.insert(0, "id", [f"q{i}" for i in range(len(frame))])
    source = tmp_path / f"table{extension}"
    options = ["--columns", "a,b,c,d,e"]
    if extension == ".jsonl":
        frame.to_json(source, orient="records", lines=True, double_precision=15)
    elif extension == ".parquet":
        frame = pd.DataFrame({"id": frame["id"], "embedding": list(blobs[0])})
        frame.to_parquet(source)
        options = ["--columns", "embedding"]
    else:
        frame.to_csv(source, index=False, sep="\t" if extension == ".tsv" else ",")
    assert main(["fit", str(source), "--n-clusters", "4", "--quiet", *options]) == 0
    labels = [row["label"] for row in _rows_of(tmp_path / "table-labels.csv")]
    assert labels == expected


def test_fit_says_which_columns_are_not_numbers(tmp_path, capsys):
    (tmp_path / "x.csv").write_text("id,a\nq0,1\nq1,2\nq2,3\n")
    assert main(["fit", str(tmp_path / "x.csv"), "--quiet"]) == 1
    error = capsys.readouterr().err
    assert "'q0' in row 0 (from 0), column 'id', is not a number" in error
    assert "Choose the columns of numbers with --columns" in error


def test_labels_come_from_a_named_column_of_another_file(features, blobs, capsys):
    names = np.array(["=card", "cash", "loan", "other"])[blobs[1]]
    labels = features.with_name("y.csv")
    labels.write_text("id,intent\n" + "".join(f"{i},{name}\n" for i, name in enumerate(names)))
    call = ["fit", str(features), "--labels", str(labels), "--quiet"]
    assert main(call) == 1
    assert "name the column of the labels with --label-column" in capsys.readouterr().err
    assert main([*call, "--label-column", "intent"]) == 0
    rows = _rows_of(features.with_name("X-labels.csv"))
    assert {row["label"] for row in rows} == {"'=card", "cash", "loan", "other"}
    # The written table is read back: the mark of a formula is no part of the name.
    out = features.with_name("again.npz")
    table = str(features.with_name("X-labels.csv"))
    assert main(["fit", str(features), "--labels", table, "--quiet", "--out", str(out)]) == 0
    assert set(np.load(out)["label"]) == set(names)


def test_one_column_of_another_name_hints_at_the_option(features, blobs, capsys):
    labels = features.with_name("y.csv")
    labels.write_text("intent\n" + "".join(f"c{label}\n" for label in blobs[1]))
    call = ["fit", str(features), "--labels", str(labels), "--quiet"]
    assert main(call) == 1
    assert "'label' or be given with --label-column" in capsys.readouterr().err
    assert main([*call, "--label-column", "intent"]) == 0
    labels.write_text("".join(f"c{label}\n" for label in blobs[1]) + "\n\n")
    assert main(call) == 1
    assert "The last line is empty: delete empty lines at the end" in capsys.readouterr().err


@pytest.mark.parametrize("kind", ["csr", "csc", "coo", "bsr", "dia"])
@pytest.mark.parametrize("container", ["array", "matrix"])
def test_fit_reads_what_save_npz_writes(tmp_path, capsys, kind, container):
    rng = np.random.default_rng(0)
    X = rng.random((60, 8))
    X[:30, :4] = X[30:, 4:] = 0
    path = tmp_path / "tfidf.npz"
    sparse.save_npz(path, getattr(sparse, f"csr_{container}")(X).asformat(kind))
    assert main(["fit", str(path), "--n-clusters", "2", "--quiet"]) == 0
    rows = _rows_of(tmp_path / "tfidf-labels.csv")
    labels = lq.ConsensusClusterer(2, random_state=0).fit_predict(sparse.csr_array(X))
    assert [int(row["label"]) for row in rows] == labels.tolist()
    if kind == "csc":  # a report reads its file as a fit does
        assert main(["report", str(path), "--n-clusters", "2", "--quiet"]) == 0
        assert main(["report", str(path), "--n-clusters", "2", "--image-shape", "2x4"]) == 2
        assert "is sparse" in capsys.readouterr().err


@pytest.mark.parametrize("change", ["index", "negative", "pointer", "cut"])
def test_damaged_sparse_files_are_refused(tmp_path, capsys, change):
    X = sparse.csr_array(np.eye(30))
    parts = {"indices": X.indices, "indptr": X.indptr, "data": X.data}
    if change == "index":
        parts["indices"][3] = 2**30
    elif change == "negative":
        parts["indices"][3] = -1
    elif change == "pointer":
        parts["indptr"][3] = 2**30
    else:
        parts["data"] = parts["data"][:-5]
    path = tmp_path / "tfidf.npz"
    np.savez(path, **parts, shape=np.array(X.shape), format=b"csr")
    assert main(["fit", str(path), "--n-clusters", "2", "--quiet"]) == 1
    assert "damaged or not a .npz file" in capsys.readouterr().err


def _written(path, columns):
    """Write columns to a .csv or .parquet file; None is left empty."""
    if path.suffix == ".parquet":
        import pyarrow as pa
        import pyarrow.parquet as pq

        pq.write_table(pa.table(columns), path)
        return path
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows(zip(*columns.values(), strict=True))
    return path


def _last_week(blobs, tmp_path, extension=".csv"):
    """A result of last week, of which a person accepted and corrected some rows."""
    X, classes = blobs
    y = np.full(400, None, dtype=object)
    y[np.flatnonzero(classes == 0)[:10]] = "billing"
    model = lq.ConsensusClusterer(4, random_state=0).fit(X, y)
    labels, origins = model.labels_.astype(object), model.label_origins_.astype(object)
    origins[np.flatnonzero(classes == 1)[:10]] = "accepted"
    corrected = np.flatnonzero(classes == 2)[:10]
    labels[corrected], origins[corrected] = "refund", "given"
    wrong = np.flatnonzero(classes == 3)[::40]
    labels[wrong] = "billing"  # the model errs
    columns = {
        "label": labels.tolist(),
        "origin": origins.tolist(),
        "confidence": model.confidence_.tolist(),
        "pseudo_label": model.pseudo_labels_.tolist(),
    }
    return _written(tmp_path / f"week1{extension}", columns), labels, origins


@pytest.mark.parametrize("extension", [".csv", ".parquet"])
def test_proposals_of_a_result_vote_and_are_not_taken_as_known(
    features, blobs, tmp_path, capsys, extension
):
    table, labels, origins = _last_week(blobs, tmp_path, extension)
    out = tmp_path / "week2.csv"
    options = ["--labels", str(table), "--n-clusters", "4", "--seed", "5", "--out", str(out)]
    assert main(["fit", str(features), *options]) == 0
    said = "30 labels are known; 370 are proposals of a model"
    assert said in " ".join(capsys.readouterr().err.split())
    rows = _rows_of(out)
    assert list(rows[0])[:4] == ["label", "origin", "confidence", "pseudo_label"]
    assert [row["origin"] for row in rows] == origins.tolist()
    for row, label, origin in zip(rows, labels, origins, strict=True):
        assert origin == "proposed" or row["label"] == label
    _, classes = blobs
    assert "billing" not in {rows[i]["label"] for i in np.flatnonzero(classes == 3)}
    # The result goes in again, and nothing changes.
    again = tmp_path / "week3.csv"
    options = ["--labels", str(out), "--n-clusters", "4", "--seed", "6", "--out", str(again)]
    assert main(["fit", str(features), *options, "--quiet"]) == 0
    assert capsys.readouterr().err == ""
    for before, after in zip(rows, _rows_of(again), strict=True):
        assert (before["label"], before["origin"]) == (after["label"], after["origin"])


def test_labels_without_a_word_about_their_origin_are_given(features, blobs, tmp_path):
    words = ["", "given", " Accepted ", "proposed", "none"]
    columns = {
        "label": [f"c{k}" if i < 100 else "" for i, k in enumerate(blobs[1])],
        "origin": [words[i % 5] for i in range(400)],
    }
    table, out = _written(tmp_path / "y.csv", columns), tmp_path / "out.csv"
    options = ["--labels", str(table), "--n-clusters", "4", "--out", str(out), "--quiet"]
    assert main(["fit", str(features), *options]) == 0
    wanted = ["given", "given", "accepted", "proposed", "given"]
    found = [row["origin"] for row in _rows_of(out)]
    assert found == [wanted[i % 5] if i < 100 else "proposed" for i in range(400)]


@pytest.mark.parametrize(
    ("columns", "options", "code", "message"),
    [
        (
            {"label": ["a"] * 400, "origin": ["given", "human"] * 200},
            [],
            1,
            r"y.csv: the column 'origin' must hold 'given', 'accepted' or 'proposed', or nothing "
            r"for labels that people gave, got 'human' at position 1 \(from 0\): rename the column "
            "if it says something else",
        ),
        (
            {"label": ["a"] * 400, "origin": [0.5] * 400},
            [],
            1,
            "the column 'origin' must hold 'given'.* got '0.5' at position 0",
        ),
        (
            {"label": ["a"] * 400, "confidence": [1] * 400, "pseudo_label": ["a"] * 400},
            [],
            1,
            "y.csv: a result without the column 'origin', .* take all labels as known with "
            "--label-column label",
        ),
        (
            {
                "row": range(400),
                "label": ["a"] * 400,
                "source": ["you"] * 400,
                "confidence": [1] * 400,
            },
            [],
            1,
            "y.csv: a result without the column 'origin'",
        ),
        (
            {"label": ["a"] * 400, "origin": ["proposed"] * 400},
            ["--no-discover"],
            1,
            "y.csv: --no-discover needs known labels, but all 400 are proposals of a model",
        ),
    ],
)
def test_wrong_origins_in_a_file_are_named(
    features, tmp_path, capsys, columns, options, code, message
):
    table = _written(tmp_path / "y.csv", columns)
    assert main(["fit", str(features), "--labels", str(table), *options, "--quiet"]) == code
    assert re.search(message, capsys.readouterr().err)


def test_all_labels_of_an_old_result_are_known_if_one_says_so(features, blobs, tmp_path):
    columns = {"label": [f"c{k}" for k in blobs[1]], "confidence": [1] * 400}
    table = _written(tmp_path / "y.csv", columns | {"pseudo_label": [""] * 400})
    out = tmp_path / "out.csv"
    options = ["--labels", str(table), "--label-column", "label", "--quiet", "--out", str(out)]
    assert main(["fit", str(features), *options]) == 0
    assert {row["origin"] for row in _rows_of(out)} == {"given"}


@pytest.mark.parametrize("extension", [".csv", ".parquet"])
@pytest.mark.parametrize("names_columns", [False, True])
def test_labels_beside_features_have_origins_too(tmp_path, blobs, capsys, extension, names_columns):
    X, classes = blobs
    is_accepted = np.arange(400) % 4 == 0
    columns = {name: X[:, j].tolist() for j, name in enumerate("abcde")}
    columns["label"] = [f"c{k}" for k in classes]
    columns["origin"] = np.where(is_accepted, "accepted", "proposed").tolist()
    path = _written(tmp_path / f"table{extension}", columns)
    options = ["--label-column", "label", "--n-clusters", "4"]
    options += ["--columns", "a,b,c,d,e"] if names_columns else []
    assert main(["fit", str(path), *options]) == 0
    assert "5 features" in capsys.readouterr().out
    rows = _rows_of(tmp_path / "table-labels.csv")
    assert [row["origin"] for row in rows] == columns["origin"]


@pytest.mark.parametrize("options", [[], ["--columns", "a,origin"]])
def test_a_feature_may_be_called_origin(tmp_path, blobs, capsys, options):
    X, classes = blobs
    columns = {"a": X[:, 0].tolist(), "origin": X[:, 1].tolist(), "y": classes.tolist()}
    path = _written(tmp_path / "table.csv", columns)
    assert main(["fit", str(path), "--label-column", "y", *options]) == 0
    assert "2 features" in capsys.readouterr().out
    assert {row["origin"] for row in _rows_of(tmp_path / "table-labels.csv")} == {"given"}


def _answers(classes, share_wrong=0.1):
    rng = np.random.default_rng(0)
    names = np.array(["red", "green", "blue", "gray"])
    answers = names[classes].astype(object)
    wrong = rng.random(len(answers)) < share_wrong
    answers[wrong] = rng.choice(names, wrong.sum())
    answers[rng.random(len(answers)) < 0.5] = None
    return names[classes], answers


@pytest.mark.parametrize("place", ["table of features", ".csv", ".parquet", ".txt", ".npy"])
def test_votes_name_categories_and_may_be_wrong(tmp_path, blobs, features, place):
    X, classes = blobs
    truth, answers = _answers(classes)
    columns = {"answer": answers.tolist(), "rule": np.where(classes < 2, truth, None).tolist()}
    options = ["--n-clusters", "4", "--quiet", "--out", str(tmp_path / "out.csv")]
    voters = [columns["answer"]]
    if place in (".csv", ".parquet"):
        votes = _written(tmp_path / f"votes{place}", {"id": [*range(400)]} | columns)
        options += ["--votes", str(votes), "--vote-column", "answer", "--vote-column", "rule"]
        voters = list(columns.values())
    elif place == ".txt":
        (tmp_path / "votes.txt").write_text("".join(f"{x or ''}\n" for x in answers))
        options += ["--votes", str(tmp_path / "votes.txt")]
    elif place == ".npy":
        np.save(tmp_path / "votes.npy", np.array([x or "" for x in answers]))
        options += ["--votes", str(tmp_path / "votes.npy")]
    else:
        table = {name: X[:, j].tolist() for j, name in enumerate("abcde")}
        features = _written(tmp_path / "table.csv", table | columns)
        X = np.array([[float(x) for x in row] for row in X.tolist()])
        options += ["--vote-column", "answer", "--vote-column", "rule"]
        voters = list(columns.values())
    assert main(["fit", str(features), *options]) == 0
    rows = _rows_of(tmp_path / "out.csv")
    assert {row["origin"] for row in rows} == {"proposed"}
    assert np.mean([row["label"] for row in rows] == truth) > 0.99
    model = lq.ConsensusClusterer(4, random_state=0).fit(X, votes=voters)
    assert [row["label"] for row in rows] == model.labels_.tolist()


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (
            ["--vote-column", "answers"],
            1,
            "no column 'answers'; the columns are a, b, answer, none",
        ),
        (["--vote-column", "none"], 1, "column 'none': a voter must vote on a sample at least"),
        (
            ["--vote-column", "answer", "--vote-column", "answer"],
            2,
            "--vote-column must name different columns, got answer, answer",
        ),
        (
            ["--vote-column", "answer", "--label-column", "answer"],
            2,
            "--vote-column and --label-column must differ, got 'answer' in both",
        ),
        (
            ["--vote-column", "a", "--columns", "a,b"],
            2,
            "--vote-column and --columns must differ, got 'a' in both",
        ),
        (["--votes", "absent.csv"], 1, "absent.csv: No such file"),
        (["--votes", "SHORT"], 1, "short.txt: 2 votes, but .* has 400 samples: they must be equal"),
        (["--votes", "SHORT", "--vote-column", "x"], 1, ".txt files have no named columns: 'x'"),
        (["--votes", "SOURCE"], 1, "must have one column, or one named label, .*--vote-column"),
        (["--votes", "OUT"], 2, "--out must be another file than --votes"),
    ],
)
def test_wrong_votes_are_named(tmp_path, blobs, capsys, options, code, message):
    X, classes = blobs
    columns = {"a": X[:, 0].tolist(), "b": X[:, 1].tolist(), "answer": _answers(classes)[1]}
    source = _written(tmp_path / "table.csv", columns | {"none": [""] * 400})
    (tmp_path / "short.txt").write_text("a\nb\n")
    out = tmp_path / "out.csv"
    out.write_text("label\n")
    paths = {"SOURCE": str(source), "SHORT": str(tmp_path / "short.txt"), "OUT": str(out)}
    options = ["--columns", "a,b", *(paths.get(option, option) for option in options)]
    assert main(["fit", str(source), *options, "--out", str(out), "--quiet"]) == code
    assert re.search(message, capsys.readouterr().err)
    assert out.read_text() == "label\n"


def test_origins_of_a_folder_of_tables_are_read(tmp_path, blobs, capsys):
    X, classes = blobs
    (tmp_path / "tables").mkdir()
    origins = np.where(np.arange(400) % 4 == 0, "accepted", "proposed")
    for i, part in enumerate([slice(0, 150), slice(150, 400)]):
        columns = {name: X[part, j].tolist() for j, name in enumerate("abcde")}
        columns |= {"y": classes[part].tolist(), "origin": origins[part].tolist()}
        _written(tmp_path / "tables" / f"{i}.csv", columns)
    for place in (tmp_path / "tables", tmp_path / "tables" / "*.csv"):
        out = tmp_path / "out.csv"
        options = ["--label-column", "y", "--n-clusters", "4", "--out", str(out)]
        assert main(["fit", str(place), *options]) == 0
        assert "100 labels are known; 300 are proposals" in capsys.readouterr().err
        assert [row["origin"] for row in _rows_of(out)] == origins.tolist()
