"""scikit-learn's checks of what an estimator must do, with no expected failures."""

import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from fastmlp import CNNClassifier, CNNRegressor, MLPClassifier, MLPRegressor

SOLVERS = ["adam", "adamw", "sgd", "lbfgs", "adagrad", "rmsprop", "nadam", "lion"]
# At its default alpha lbfgs fits the data of one check so closely that probabilities
# round to 1, which the check refuses, from scikit-learn's own classifier too.
PENALISED = {("MLPClassifier", "lbfgs"): {"alpha": 0.1}}


def build(estimator, solver):
    """The estimator, every parameter left alone that can be."""
    if solver == "adam":
        return estimator()
    return estimator(solver=solver, **PENALISED.get((estimator.__name__, solver), {}))


pytestmark = [
    pytest.mark.filterwarnings("default"),
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
]


@parametrize_with_checks(
    [
        build(estimator, solver)
        for estimator in (MLPClassifier, MLPRegressor)
        for solver in SOLVERS
    ]
    + [CNNClassifier(), CNNRegressor()]
)
def test_estimator_checks(estimator, check):
    check(estimator)
