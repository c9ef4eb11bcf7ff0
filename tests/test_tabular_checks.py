"""scikit-learn's checks of the estimators of tables."""

import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from fastmlp import TabularClassifier, TabularRegressor

# Small and short, but that some checks want the data learnt.
SMALL = {
    "n_members": 2,
    "hidden_layer_sizes": (32,),
    "max_iter": 40,
    "n_threads": 1,
}
# A row of weight 2 is in as many batches as one of weight 1: as in scikit-learn's MLP.
WEIGHTS = "check_sample_weight_equivalence_on_dense_data"

pytestmark = pytest.mark.filterwarnings("default")


@parametrize_with_checks(
    [TabularClassifier(**SMALL), TabularRegressor(**SMALL)],
    expected_failed_checks=lambda estimator: {
        WEIGHTS: "a row that stands there twice takes part in two steps"
    },
)
def test_estimator_checks(estimator, check):
    check(estimator)
