"""The switch: scikit-learn's classes replaced, and programs that do not notice."""

import logging
import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import sklearn.base
import sklearn.neural_network
from fits import unconverged
from sklearn.neural_network import MLPClassifier as TheirClassifier
from sklearn.neural_network import MLPRegressor as TheirRegressor

import fastmlp
from fastmlp import patching
from fastmlp.__main__ import COMMANDS, find_command
from fastmlp.estimators import _substitutes


@pytest.fixture
def patched():
    fastmlp.patch_sklearn()
    yield sklearn.neural_network
    fastmlp.unpatch_sklearn()


@pytest.fixture
def data():
    X = np.random.RandomState(0).standard_normal((60, 3))
    return X, (X[:, 0] > 0).astype(int)


def test_patch_and_back():
    fastmlp.patch_sklearn()
    fastmlp.patch_sklearn()
    assert issubclass(sklearn.neural_network.MLPClassifier, fastmlp.MLPClassifier)
    assert issubclass(sklearn.neural_network.MLPRegressor, fastmlp.MLPRegressor)
    fastmlp.unpatch_sklearn()
    assert sklearn.neural_network.MLPClassifier is TheirClassifier
    assert sklearn.neural_network.MLPRegressor is TheirRegressor
    fastmlp.unpatch_sklearn()
    assert sklearn.neural_network.MLPClassifier is TheirClassifier


def test_ipythons_extension():
    fastmlp.load_ipython_extension(None)
    assert sklearn.neural_network.MLPClassifier is not TheirClassifier
    fastmlp.unload_ipython_extension(None)
    assert sklearn.neural_network.MLPClassifier is TheirClassifier


@pytest.mark.slow
def test_load_ext_in_ipython():
    pytest.importorskip("IPython")
    code = (
        "%load_ext fastmlp\n"
        "from sklearn.neural_network import MLPClassifier as C\n"
        "print(C.__module__)\n"
        "%unload_ext fastmlp\n"
        "from sklearn.neural_network import MLPClassifier as C\n"
        "print(C.__module__)\n"
    )
    done = python("-m", "IPython", "--quick", "--colors=nocolor", "-c", code)
    assert "fastmlp.estimators._substitutes" in done.stdout, done.stdout + done.stderr
    assert "sklearn.neural_network._multilayer_perceptron" in done.stdout


def test_the_same_model(patched, data):
    """Numbers, parameters, copies and pickles are those of fastmlp's own class."""
    settings = {"max_iter": 20, "random_state": 0}
    with unconverged():
        ours = fastmlp.MLPClassifier(**settings).fit(*data)
        model = patched.MLPClassifier(**settings).fit(*data)
    assert model.get_params() == ours.get_params()
    assert type(sklearn.base.clone(model)) is type(model)
    loaded = pickle.loads(pickle.dumps(model))
    assert type(loaded) is type(model)
    for each in (model, loaded):
        assert np.array_equal(each.predict_proba(data[0]), ours.predict_proba(data[0]))


def test_their_pickles_stay_theirs(data):
    with unconverged():
        model = TheirClassifier(max_iter=20, random_state=0).fit(*data)
    saved = pickle.dumps(model)
    fastmlp.patch_sklearn()
    try:
        loaded = pickle.loads(saved)
    finally:
        fastmlp.unpatch_sklearn()
    assert type(loaded) is TheirClassifier
    assert np.array_equal(loaded.predict(data[0]), model.predict(data[0]))


def test_a_warning_is_about_the_callers_line(patched, data):
    with pytest.warns(sklearn.exceptions.ConvergenceWarning) as found:
        patched.MLPClassifier(max_iter=2).fit(*data)
    assert found[0].filename == __file__


def test_a_subclass_runs_on_fastmlp(patched, data):
    class Mine(patched.MLPClassifier):
        def fit(self, X, y):
            self.seen_ = len(X)
            return super().fit(X, y)

    with unconverged():
        model = Mine(max_iter=2).fit(*data)
    assert isinstance(model, fastmlp.MLPClassifier)
    assert model.seen_ == 60


def test_a_subclass_with_private_hooks_runs_on_scikit_learn(patched, data, caplog):
    """Its numbers are those that it has without the switch, and the log says why."""
    calls = []

    def define(base):
        class Hooked(base):
            def _backprop(self, *args):
                calls.append(base)
                return super()._backprop(*args)

        return Hooked

    with caplog.at_level(logging.INFO, "fastmlp"):
        hooked = define(patched.MLPClassifier)
    assert "overrides scikit-learn's _backprop" in caplog.text
    assert issubclass(hooked, TheirClassifier)
    assert fastmlp.MLPClassifier not in hooked.__mro__
    with unconverged():
        found = hooked(max_iter=3, random_state=0).fit(*data)
        expected = define(TheirClassifier)(max_iter=3, random_state=0).fit(*data)
    assert patched.MLPClassifier in calls
    assert np.array_equal(found.coefs_[0], expected.coefs_[0])


def test_hooks_further_up_and_beside_are_found(patched):
    class Mixin:
        def _init_coef(self, *args):
            return super()._init_coef(*args)

    class Mixed(Mixin, patched.MLPRegressor):
        pass

    class Plain(patched.MLPRegressor):
        pass

    assert issubclass(Mixed, TheirRegressor)
    assert issubclass(Plain, fastmlp.MLPRegressor)

    class Below(Plain):
        def _forward_pass(self, *args):
            return super()._forward_pass(*args)

    # One class cannot have both: its parent goes with it.
    assert issubclass(Below, TheirRegressor)
    assert issubclass(Plain, TheirRegressor)
    assert fastmlp.MLPRegressor not in Plain.__mro__


def test_the_summary_counts(patched, data, monkeypatch):
    monkeypatch.setattr(_substitutes, "records", [])

    class Hooked(patched.MLPClassifier):
        def _validate_input(self, *args, **kwargs):
            return super()._validate_input(*args, **kwargs)

    with unconverged():
        patched.MLPClassifier(max_iter=2).fit(*data).partial_fit(*data)
        Hooked(max_iter=2).fit(*data)
    with pytest.raises(ValueError, match="NaN"):
        patched.MLPClassifier().fit(data[0] * np.nan, data[1])
    assert [record.where for record in _substitutes.records] == [
        "fastmlp",
        "fastmlp",
        "scikit-learn",
        "fastmlp",
    ]
    text = _substitutes.summarize()
    assert text.startswith("3 fits by fastmlp in ")
    assert "; 1 fit by scikit-learn in " in text


def test_an_unknown_level_of_the_log_is_refused(monkeypatch):
    monkeypatch.setenv("FASTMLP_LOG", "loud")
    with pytest.raises(ValueError, match="FASTMLP_LOG='loud' is not one of"):
        fastmlp.patch_sklearn()
    assert not patching._originals


# -- python -m fastmlp


def python(*arguments, cwd=None, **environment):
    here = str(Path(fastmlp.__file__).parents[1])
    environment = {**os.environ, "PYTHONPATH": here, **environment}
    return subprocess.run(
        [sys.executable, *arguments],
        capture_output=True,
        text=True,
        env=environment,
        cwd=cwd,
        check=False,
    )


PROGRAM = """
import atexit, pickle, sys
print(__name__, __file__, sys.argv, sys.path[0], __package__, sorted(globals()))
print(type(__loader__).__name__, type(__builtins__).__name__, "numpy" in sys.modules)
class Mine:
    pass
print(sys.modules["__main__"].__dict__ is globals(), len(pickle.dumps(Mine())))
atexit.register(lambda: print("at exit", type(pickle.loads(pickle.dumps(Mine())))))
def divide(n):
    return 1 / n
what = sys.argv[1:]
if what == ["exit"]:
    sys.exit(7)
if what == ["words"]:
    sys.exit("bad")
if what == ["interrupt"]:
    raise KeyboardInterrupt
if what == ["hook"]:
    sys.excepthook = lambda kind, error, trace: print(trace.tb_frame.f_code.co_name)
if what:
    try:
        divide(0)
    except ZeroDivisionError as error:
        raise KeyError("x") from error
"""
CALLS = [
    "script.py",
    "script.py exit",
    "script.py words",
    "script.py interrupt",
    "script.py hook",
    "script.py error -m x",
    "wrong.py",
    "folder error",
    "missing.py",
    "-m script",
    "-m script error",
    "-m folder error",
    "-m folder.inside exit",
    "-m missing",
    "-m folder.missing",
]


@pytest.fixture(scope="module")
def programs(tmp_path_factory):
    root = tmp_path_factory.mktemp("programs")
    (root / "folder").mkdir()
    (root / "wrong.py").write_text("x = 1\ny = (\n")
    (root / "folder/__init__.py").write_text("")
    for name in ("script.py", "folder/__main__.py", "folder/inside.py"):
        (root / name).write_text(PROGRAM)
    return root


@pytest.mark.parametrize("call", CALLS)
def test_a_program_runs_as_without_us(call, programs):
    """What it prints, its traceback, its arguments, its __main__ and its exit code."""
    expected = python(*call.split(), cwd=programs)
    found = python("-m", "fastmlp", *call.split(), cwd=programs)
    assert found.stdout == expected.stdout
    assert found.stderr == expected.stderr
    assert found.returncode == expected.returncode


FIT = """
import sys
import numpy as np
from sklearn.neural_network import MLPRegressor
class Hooked(MLPRegressor):
    def _backprop(self, *args):
        return super()._backprop(*args)
X = np.random.RandomState(0).standard_normal((50, 2))
for kind in (MLPRegressor, MLPRegressor, Hooked):
    model = kind(max_iter=300, tol=1, random_state=0).fit(X, X[:, 0])
    print(type(model).__mro__[-2].__name__, model.n_iter_, f"{model.loss_:.10f}")
"""


@pytest.mark.slow
def test_the_same_numbers_and_a_summary(tmp_path):
    (tmp_path / "fit.py").write_text(FIT)
    expected = python("fit.py", cwd=tmp_path)
    found = python(
        *("-m", "fastmlp", "--summary", "fit.py"), cwd=tmp_path, FASTMLP_LOG="info"
    )
    assert found.stdout == expected.stdout != ""
    log = found.stderr.splitlines()
    assert log[:2] == [
        f"fastmlp: sklearn.neural_network.{name} is fastmlp's from now on"
        for name in ("MLPClassifier", "MLPRegressor")
    ]
    assert log[2].startswith("fastmlp: Hooked overrides scikit-learn's _backprop")
    assert log[3].startswith("fastmlp: 2 fits by fastmlp in ")
    assert "; 1 fit by scikit-learn in " in log[3]
    assert len(log) == 4


@pytest.mark.parametrize("arguments", [[], ["--summary"], ["-m"], ["--unknown"]])
def test_usage(arguments):
    done = python("-m", "fastmlp", *arguments)
    assert done.returncode == 2
    assert done.stderr.startswith("usage: python -m fastmlp")
    assert python("-m", "fastmlp", "--help").stdout == done.stderr


@pytest.mark.parametrize("name", COMMANDS)
def test_commands_are_there(name):
    assert callable(find_command(name))
