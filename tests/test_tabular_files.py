"""The command line: tables in files, from training to predictions."""

import csv

import numpy as np
import pandas as pd
import pytest

import fastmlp
from fastmlp.__main__ import main
from fastmlp.tabular.files import read_file

pytest.importorskip("safetensors")
QUICK = ["--epochs", "3", "--members", "2"]


def make_table(n=120):
    rng = np.random.default_rng(0)
    number = rng.normal(size=n).round(3)
    colour = rng.choice(["red", "green"], n)
    frame = pd.DataFrame({"number": number, "colour": colour})
    frame["class"] = np.where(number > 0, "yes", "no")
    frame["cost"] = (2 * number + (colour == "red")).round(3) + 0.5
    frame.loc[::11, "number"] = np.nan
    frame.loc[::13, "colour"] = None
    return frame


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make_table().to_csv("data.csv", index=False)
    return tmp_path


def run(*arguments, match=None, capsys=None):
    """Exit status of a command; its one line on stderr has what is matched."""
    status = main([str(argument) for argument in arguments])
    if match is not None:
        error = capsys.readouterr().err
        assert error.count("\n") == 1
        assert match in error
    return status


def test_no_file_of_the_users_is_overwritten(folder, capsys):
    before = (folder / "data.csv").read_bytes()
    train = ["train", "data.csv", "--target", "class", *QUICK]
    for output in "data.csv", "./data.csv", "model.png":
        assert run(*train, "-o", output, match="cannot", capsys=capsys) == 2
    assert run(*train, "-o", "m", "--checkpoint", "m", match="m", capsys=capsys) == 2
    assert run(*train, "-o", "m") == 0
    model = (folder / "m").read_bytes()
    capsys.readouterr()
    for output in "m", "data.csv":
        predict = ["predict", "m", "data.csv", "-o", output]
        assert run(*predict, match="a file of this command", capsys=capsys) == 2
    export = ["export", "m", "--onnx", "m"]
    assert run(*export, match="a file of this command", capsys=capsys) == 2
    assert (folder / "data.csv").read_bytes() == before
    assert (folder / "m").read_bytes() == model


def test_a_metric_for_another_task_is_one_line(folder, capsys):
    train = ["train", "data.csv", "--target", "cost", "--drop", "class", *QUICK]
    train += ["-o", "m", "--metric", "roc_auc"]
    assert run(*train, match="not for this task", capsys=capsys) == 2


def test_whole_numbers_beyond_64_bits(folder):
    rows = [f"{2**63 + k},{k % 2}" for k in range(40)]
    (folder / "wide.csv").write_text("\n".join(["id,y", *rows]))
    assert run("train", "wide.csv", "--target", "y", "-o", "m", *QUICK) == 0
    encoder = fastmlp.load("m").preprocessor_.encoders[0]
    assert 2**63 <= encoder.origin < 2**63 + 40


@pytest.mark.parametrize("target", ["class", "cost"])
def test_from_a_table_to_predictions(folder, capsys, target):
    others = {"class": "cost", "cost": "class"}[target]
    train = ["train", "data.csv", "--target", target, "-o", "m.safetensors", *QUICK]
    assert run(*train, "--drop", others) == 0
    out = capsys.readouterr().out
    task = "classification" if target == "class" else "regression"
    assert f"{task} of {target!r}: 96 rows, 2 columns" in out
    assert "on 24 rows that were not trained on" in out
    assert (folder / "m.png").read_bytes()[:4] == b"\x89PNG"

    new = make_table(7)[["cost", "colour", "class", "number"]]
    new.to_csv("new.csv", index=False)
    assert run("predict", "m.safetensors", "new.csv", "-o", "out.csv") == 0
    written = pd.read_csv("out.csv")
    model = fastmlp.load("m.safetensors")
    table = read_file("new.csv").table(["number", "colour"])
    if target == "class":
        assert written["prediction"].tolist() == model.predict(table).tolist()
        columns = [f"probability of {name}" for name in model.classes_]
        np.testing.assert_allclose(written[columns], model.predict_proba(table))
    else:
        np.testing.assert_allclose(written["prediction"], model.predict(table))
        interval = model.predict_interval(table)
        np.testing.assert_allclose(written[["low", "high"]], interval)

    assert run("inspect", "m.safetensors") == 0
    out = capsys.readouterr().out
    assert "category, 2 levels" in out
    assert "number, median" in out


def test_the_same_columns_from_parquet_and_arrow(folder):
    pytest.importorskip("pyarrow")
    from_csv = read_file("data.csv").table(["number", "colour", "class"])
    frame = make_table()
    frame.to_parquet("data.parquet")
    frame.to_feather("data.feather")
    for name in "data.parquet", "data.feather":
        table = read_file(name).table(["number", "colour", "class"])
        numbers = [t.columns[0].values for t in (table, from_csv)]
        np.testing.assert_array_equal(*numbers)
        for j in 1, 2:
            pair = [t.columns[j] for t in (table, from_csv)]
            assert pair[0].levels == pair[1].levels
            np.testing.assert_array_equal(pair[0].codes, pair[1].codes)


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_fields_of_a_csv_file(tmp_path, delimiter):
    rows = [
        ["a", "b", "c", "d", "e"],
        ["1", "", "true", "x, y; z", "9007199254740993"],
        ["NA", "2.5", "False", 'say "no"', "-1"],
        ["?", "-1e3", "", "1_0", "null"],
    ]
    path = tmp_path / "t.csv"
    with path.open("w", newline="", encoding="utf-8-sig") as file:
        csv.writer(file, delimiter=delimiter, quoting=csv.QUOTE_ALL).writerows(rows)
    columns = read_file(path).columns
    assert columns == {
        "a": [1, None, None],
        "b": [None, 2.5, -1000.0],
        "c": [True, False, None],
        "d": ["x, y; z", 'say "no"', "1_0"],
        "e": [9007199254740993, -1, None],
    }


BAD_FILES = {
    "empty": (b"", "is empty"),
    "header only": (b"a,b\n", "no rows"),
    "ragged": (b"a,b\n1,2\n1,2,3\n", "row 3: 3 fields"),
    "twins": (b"a,a\n1,2\n", "more than one column called 'a'"),
    "quotes": (b'a,b\n"1,2\n', "line"),
    "no text": (b"a,b\n\xff\xfe,2\n", "not text in UTF-8"),
    "zeros": (b"a,b\n1,\x002\n", "zero bytes"),
    "dates": (b"a,b\n2020-01-01,2\n2020-01-02,3\n", "holds dates"),
    "no target": (b"x,y\n1,2\n", "has no column 'b'"),
    "only target": (b"b\n1\n2\n", "no column beside the target"),
    "infinite": (b"a,b\ninf,no\n1,yes\n2,no\n", "infinity"),
    "nothing known": (b"a,b\n1,\n2,\n", "no row has a value of 'b'"),
}


@pytest.mark.parametrize("case", BAD_FILES)
def test_a_bad_file_is_one_line_and_nothing_is_overwritten(tmp_path, capsys, case):
    content, match = BAD_FILES[case]
    (tmp_path / "bad.csv").write_bytes(content)
    (tmp_path / "m").write_bytes(b"old")
    command = ["train", tmp_path / "bad.csv", "--target", "b", "-o", tmp_path / "m"]
    assert run(*command, *QUICK, match=match, capsys=capsys) == 2
    assert (tmp_path / "m").read_bytes() == b"old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bad.csv", "m"]


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        (["train", "none.csv", "--target", "class", "-o", "m"], "none.csv"),
        (["train", "data.csv", "--target", "class", "-o", "no/m"], "is not a folder"),
        (["train", "data.csv", "--target", "class", "-o", "."], "it is a folder"),
        (["train", "data.csv", "--target", "class", "-o", "m", "--drop", "q"], "'q'"),
        (
            ["train", "data.csv", "--target", "class", "-o", "m", "--metric", "best"],
            "metric",
        ),
        (
            ["train", "data.csv", "--target=class", "-om", "--task=regression"],
            "numbers",
        ),
        (["predict", "data.csv", "data.csv", "-o", "out.csv"], "cannot be loaded"),
        (["inspect", "none"], "none"),
    ],
)
def test_faults_are_one_line(folder, capsys, arguments, match):
    assert run(*arguments, match=match, capsys=capsys) == 2
    assert [path.name for path in folder.iterdir()] == ["data.csv"]


def test_columns_that_are_missing_are_named(folder, capsys):
    run("train", "data.csv", "--target", "class", "-o", "m", *QUICK)
    make_table()[["colour"]].to_csv("new.csv", index=False)
    capsys.readouterr()
    command = ["predict", "m", "new.csv", "-o", "out.csv"]
    match = "lacks 2 of the model's columns: 'number', 'cost'"
    assert run(*command, match=match, capsys=capsys) == 2
    assert not (folder / "out.csv").exists()


def test_an_unknown_option_is_exit_status_2(capsys):
    with pytest.raises(SystemExit) as raised:
        main(["train", "data.csv", "--colour"])
    assert raised.value.code == 2
    assert "usage" in capsys.readouterr().err
