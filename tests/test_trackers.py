"""The how-to page of trackers: its code is run, and what was logged is read back."""

import re
import warnings
from pathlib import Path

import pytest
from numpy.testing import assert_array_equal
from sklearn.exceptions import ConvergenceWarning

PAGE = Path(__file__).parents[1] / "docs" / "howto" / "trackers.md"
COLUMNS = {
    *("loss", "learning_rate", "gradient_norm", "seconds"),
    *("validation_score", "validation_loss"),
}

pytestmark = [
    pytest.mark.skipif(not PAGE.exists(), reason="there are no pages here"),
    # What the trackers and what they import warn of is not ours.
    pytest.mark.filterwarnings("ignore"),
]


BLOCKS = re.compile(r"```python\n(.*?)```", re.DOTALL)


def run_page(library, monkeypatch, folder):
    """The names of the page's first block and of those that use a library."""
    monkeypatch.chdir(folder)
    first, *others = BLOCKS.findall(PAGE.read_text("utf-8"))
    blocks = [block for block in others if library and library in block]
    names = {"__name__": "__main__"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        for block in (first, *blocks):
            exec(compile(block, PAGE.name, "exec"), names)
    return names


def test_a_callback_is_given_every_column(monkeypatch, tmp_path):
    names = run_page(None, monkeypatch, tmp_path)
    assert set(names["model"].history_) == COLUMNS
    for epoch, row in enumerate(names["logged"]):
        expected = {
            name: values[epoch] for name, values in names["model"].history_.items()
        }
        assert row == {"epoch": epoch, **expected}


@pytest.mark.slow
def test_tensorboard(monkeypatch, tmp_path):
    for library in ("torch", "tensorboard"):
        pytest.importorskip(library, reason=f"{library} is not installed")
    names = run_page("torch", monkeypatch, tmp_path)
    from tensorboard.backend.event_processing import event_accumulator

    written = event_accumulator.EventAccumulator(str(tmp_path / "runs" / "digits"))
    written.Reload()
    assert set(written.Tags()["scalars"]) == COLUMNS
    for name, values in names["model"].history_.items():
        scalars = written.Scalars(name)
        assert [scalar.step for scalar in scalars] == list(range(len(values)))
        assert [s.value for s in scalars] == pytest.approx(values, rel=1e-6)  # float32


@pytest.mark.slow
def test_mlflow(monkeypatch, tmp_path):
    mlflow = pytest.importorskip("mlflow", reason="MLflow is not installed")
    names = run_page("mlflow", monkeypatch, tmp_path)

    (run,) = mlflow.search_runs(output_format="list")
    assert run.data.params["max_iter"] == "20"
    client = mlflow.MlflowClient()
    for name, values in names["model"].history_.items():
        logged = client.get_metric_history(run.info.run_id, name)
        assert [metric.step for metric in logged] == list(range(len(values)))
        assert [metric.value for metric in logged] == list(values)
    X = names["X"] / 16
    assert_array_equal(
        names["loaded"].predict_proba(X), names["model"].predict_proba(X)
    )


@pytest.mark.slow
def test_wandb(monkeypatch, tmp_path):
    wandb = pytest.importorskip("wandb", reason="wandb is not installed")
    logged, log = [], wandb.Run.log

    def spy(run, figures, step=None):
        logged.append((step, figures))
        log(run, figures, step=step)

    monkeypatch.setattr(wandb.Run, "log", spy)
    names = run_page("wandb", monkeypatch, tmp_path)
    model = names["model"]
    assert [step for step, _ in logged] == list(range(model.n_iter_))
    for name, values in model.history_.items():
        assert [figures[name] for _, figures in logged] == list(values)
    assert list(tmp_path.glob("wandb/offline-run-*/*.wandb"))
