"""scikit-learn's own tests of its MLP, run on ours.

The source comes from the installed scikit-learn; only the import is replaced.
"""

import importlib.util
from pathlib import Path

import pytest

THEIRS = "from sklearn.neural_network import MLPClassifier, MLPRegressor"
OURS = "from fastmlp import MLPClassifier, MLPRegressor"

pytestmark = pytest.mark.filterwarnings("default")


def load_their_tests():
    """Run their module, with our estimators, in this module's namespace."""
    package = importlib.util.find_spec("sklearn.neural_network")
    path = Path(package.origin).parent / "tests" / "test_mlp.py"
    source = path.read_text(encoding="utf-8")
    assert source.count(THEIRS) == 1
    code = compile(source.replace(THEIRS, OURS), str(path), "exec")
    exec(code, globals())


load_their_tests()


@pytest.fixture
def global_random_seed():
    """The seed that scikit-learn's own run takes by default."""
    return 42


def test_their_suite_is_whole():
    """Not a silent subset: as many tests as scikit-learn 1.6 had, or more."""
    theirs = [name for name in globals() if name.startswith("test_")]
    assert len(theirs) >= 37
