"""``python -m fastmlp export``: what it writes is what to_onnx and to_c write."""

import numpy as np
import pytest

import fastmlp
from fastmlp.__main__ import main

pytest.importorskip("safetensors")
X = np.random.RandomState(0).normal(size=(60, 4))


@pytest.fixture
def model(tmp_path, monkeypatch):
    """A classifier, saved as model.safetensors in the working directory."""
    monkeypatch.chdir(tmp_path)
    est = fastmlp.MLPClassifier((5,), "tanh", solver="lbfgs", random_state=0)
    est.fit(X, np.where(X[:, 0] * X[:, 1] > 0, "same", "other"))
    est.save("model.safetensors")
    return est


def export(*arguments):
    return main(["export", *arguments])


def test_onnx(model, capsys):
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnx")
    assert export("model.safetensors", "--onnx", "model.onnx") == 0
    assert capsys.readouterr().out.startswith("written: model.onnx (")
    session = onnxruntime.InferenceSession("model.onnx")
    label, probabilities = session.run(None, {"X": X})
    assert label.tolist() == model.predict(X).tolist()
    np.testing.assert_allclose(probabilities, model.predict_proba(X), atol=1e-6)


def test_c(model, tmp_path, capsys):
    assert export("model.safetensors", "--c", "net.c") == 0
    folder = tmp_path / "direct"
    folder.mkdir()
    report = fastmlp.to_c(model, folder / "net.c")
    for name in ("net.c", "net.h"):
        assert (tmp_path / name).read_text() == (folder / name).read_text()
    assert capsys.readouterr().out == (
        f"written: net.c and net.h ({report.n_bytes} bytes of constants)\n"
    )


def test_onnx_of_a_table(tmp_path, capsys):
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnx")
    table = fastmlp.TabularRegressor(n_members=1, max_iter=1, random_state=0)
    table.fit(X, X[:, 0]).save(tmp_path / "table.safetensors")
    path = str(tmp_path / "table.onnx")
    assert export(str(tmp_path / "table.safetensors"), "--onnx", path) == 0
    (found,) = onnxruntime.InferenceSession(path).run(None, {"X": X})
    np.testing.assert_allclose(found, table.predict(X), atol=1e-5)


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        (["missing.safetensors", "--c", "net.c"], "missing.safetensors"),
        (["text", "--c", "net.c"], "it is not a model file"),
        (["model.safetensors", "--c", "no/net.c"], "is not a folder"),
        (["model.safetensors", "--onnx", "."], "it is a folder"),
        (["model.safetensors", "--c", "a-b.c"], "a name that is valid in C"),
        (["table.safetensors", "--c", "net.c"], "as ONNX"),
    ],
)
def test_faults_are_one_line(model, tmp_path, capsys, arguments, match):
    (tmp_path / "text").write_text("no model")
    if "table.safetensors" in arguments:
        table = fastmlp.TabularRegressor(n_members=1, max_iter=1, random_state=0)
        table.fit(X, X[:, 0]).save("table.safetensors")
    before = sorted(tmp_path.iterdir())
    assert export(*arguments) == 2
    error = capsys.readouterr().err
    assert error.startswith("fastmlp export: ")
    assert match in error
    assert error.count("\n") == 1
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize("targets", [[], ["--onnx", "m.onnx", "--c", "m.c"]])
def test_one_target_must_be_given(targets):
    with pytest.raises(SystemExit) as ended:
        export("model.safetensors", *targets)
    assert ended.value.code == 2
