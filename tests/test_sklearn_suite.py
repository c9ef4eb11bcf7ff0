"""scikit-learn's own tests that meet its MLP, run on ours.

They come from the installed scikit-learn and run in a process of their own, with its
conftest, where the classes are replaced for every module (``sklearn_on_fastmlp.py``).
"""

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

HERE = Path(__file__).parent
THEIRS = Path(importlib.util.find_spec("sklearn").origin).parent
# Arguments of pytest below scikit-learn's folder, and how many tests there are at
# least: a silent subset would pass, too.
SUITES = {
    "neural_network": (["neural_network/tests"], 60),
    "stacking": (["ensemble/tests/test_stacking.py"], 60),
    "common": (["tests/test_common.py", "-k", "MLP"], 100),
}


REPLACED = """
import sklearn_on_fastmlp
sklearn_on_fastmlp.pytest_load_initial_conftests()
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.utils import all_estimators
estimators = all_estimators()
for estimator in MLPClassifier, MLPRegressor:
    assert estimator.__module__.startswith("fastmlp.")
    assert [c for n, c in estimators if n == estimator.__name__] == [estimator]
"""


def run_python(folder, *arguments):
    """Python in that folder, with the plugin on its path."""
    paths = [HERE, HERE.parent, os.environ.get("PYTHONPATH", "")]
    return subprocess.run(
        [sys.executable, *arguments],
        capture_output=True,
        text=True,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, paths))},
        check=False,
    )


@pytest.mark.parametrize("name", SUITES)
def test_their_suite_passes(name, tmp_path):
    (path, *options), least = SUITES[name]
    configuration = tmp_path / "pytest.ini"
    configuration.write_text("[pytest]\n")
    pytest_on_ours = ["-m", "pytest", "-q", "-p", "no:cacheprovider"]
    pytest_on_ours += ["-p", "sklearn_on_fastmlp", "-c", configuration]
    done = run_python(
        tmp_path, *pytest_on_ours, f"--rootdir={THEIRS}", THEIRS / path, *options
    )
    assert done.returncode == 0, done.stdout[-10_000:] + done.stderr[-5_000:]
    assert int(re.search(r"(\d+) passed", done.stdout)[1]) >= least


def test_every_module_finds_the_replaced_classes(tmp_path):
    done = run_python(tmp_path, "-c", REPLACED)
    assert done.returncode == 0, done.stderr
