"""The how-to pages' code, run as it stands there."""

import re
import shutil
import subprocess
import sys
import types
from pathlib import Path

import joblib
import pytest
from numpy.testing import assert_allclose
from sklearn.datasets import load_iris
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import fastmlp
from fastmlp import MLPClassifier

HOWTO = Path(__file__).parents[1] / "docs" / "howto"

pytestmark = pytest.mark.skipif(not HOWTO.exists(), reason="there are no pages here")


def blocks(page, language):
    return re.findall(rf"```{language}\n(.*?)```", (HOWTO / page).read_text(), re.S)


def test_export(tmp_path, monkeypatch):
    for library in ("onnxruntime", "skl2onnx", "torch"):
        pytest.importorskip(library, reason=f"{library} is not installed")
    monkeypatch.chdir(tmp_path)
    names: dict = {}
    reports = []
    for block in blocks("export.md", "python"):
        exec(block, names)
        reports.append(names.get("report"))
    promised = re.search(r"n_bytes  # (\d+)", (HOWTO / "export.md").read_text())
    assert next(filter(None, reports)).n_bytes == int(promised[1])
    (main,) = blocks("export.md", "c")
    (command,) = (b for b in blocks("export.md", "sh") if "gcc" in b)
    if not shutil.which("gcc"):
        pytest.skip("there is no gcc")
    Path("main.c").write_text(main)
    done = subprocess.run(command, shell=True, capture_output=True, check=True)
    assert done.stdout.startswith(b"class 0, p = ")


@pytest.fixture(scope="module")
def pipeline():
    X, y = load_iris(return_X_y=True)
    network = MLPClassifier((8,), solver="lbfgs", random_state=0)
    return make_pipeline(StandardScaler(), network).fit(X, y)


@pytest.mark.parametrize("number", [0, 1])
def test_serve(number, pipeline, tmp_path, monkeypatch):
    fastapi = pytest.importorskip("fastapi", reason="FastAPI is not installed")
    monkeypatch.chdir(tmp_path)
    joblib.dump(pipeline, "model.joblib")
    skl2onnx = pytest.importorskip("skl2onnx", reason="skl2onnx is not installed")
    pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    fastmlp.register_onnx()
    X = load_iris().data
    proto = skl2onnx.to_onnx(pipeline, X[:1])
    Path("model.onnx").write_bytes(proto.SerializeToString())
    server = types.ModuleType("server")
    monkeypatch.setitem(sys.modules, "server", server)
    exec(blocks("serve.md", "python")[number], server.__dict__)
    answer = server.predict(server.Rows(rows=X[::50].tolist()))
    assert answer["labels"] == pipeline.predict(X[::50]).tolist()
    expected = pipeline.predict_proba(X[::50])
    assert_allclose(answer["probabilities"], expected, atol=1e-6)
    with pytest.raises(fastapi.HTTPException):
        server.predict(server.Rows(rows=[[1.0, 2.0]]))
