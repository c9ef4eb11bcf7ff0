"""scikit-learn's checks of what an estimator must do, with no expected failures."""

import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from fastmlp import MLPClassifier, MLPRegressor

SOLVERS = ["adam", "sgd", "lbfgs", "adagrad", "rmsprop"]

pytestmark = pytest.mark.filterwarnings("default")


@parametrize_with_checks(
    [
        estimator(solver=solver) if solver != "adam" else estimator()
        for estimator in (MLPClassifier, MLPRegressor)
        for solver in SOLVERS
    ]
)
def test_estimator_checks(estimator, check):
    check(estimator)
