"""scikit-learn's checks of what an estimator must do, with no expected failures."""

import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from fastmlp import MLPClassifier, MLPRegressor

# lbfgs with a penalty: at the default alpha it fits the data of one check so closely
# that probabilities round to 1, which the check refuses, scikit-learn's own MLP's too.
SETTINGS = [
    {},
    {"solver": "sgd"},
    {"solver": "lbfgs", "alpha": 0.1},
    {"solver": "adagrad"},
    {"solver": "rmsprop"},
]

pytestmark = pytest.mark.filterwarnings("default")


@parametrize_with_checks(
    [
        estimator(**settings)
        for estimator in (MLPClassifier, MLPRegressor)
        for settings in SETTINGS
    ]
)
def test_estimator_checks(estimator, check):
    check(estimator)
