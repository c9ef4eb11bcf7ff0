"""Subclasses: other parameters, and scikit-learn's methods that are never called."""

import numpy as np
import pytest
import sklearn.neural_network
from fits import fit, iris
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from sklearn.neural_network._multilayer_perceptron import BaseMultilayerPerceptron
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import fastmlp
from fastmlp import MLPClassifier, MLPRegressor
from fastmlp.sklearn_private import HOOKS

pytestmark = pytest.mark.usefixtures("one_blas_thread")

SMALL = {"hidden_layer_sizes": (4,), "max_iter": 3, "random_state": 0}


def with_keywords(base):
    class Subclass(base):
        def __init__(self, threshold=0.5, **kwargs):
            super().__init__(**kwargs)
            self.threshold = threshold

    return Subclass(0.7, **SMALL)


def with_other_names(base):
    class Subclass(base):
        def __init__(self, units=4, epochs=3, seed=0):
            super().__init__(
                hidden_layer_sizes=(units,), max_iter=epochs, random_state=seed
            )
            self.units, self.epochs, self.seed = units, epochs, seed

    return Subclass(epochs=3)


def with_another_order(base):
    class Subclass(base):
        def __init__(self, random_state, max_iter=3, hidden_layer_sizes=(4,)):
            super().__init__(
                hidden_layer_sizes=hidden_layer_sizes,
                max_iter=max_iter,
                random_state=random_state,
            )

    return Subclass(0)


def with_only_keywords(base):
    class Subclass(base):
        def __init__(self, **params):
            super().__init__(**{**SMALL, **params})

    return Subclass()


def with_no_parameter(base):
    class Subclass(base):
        def __init__(self):
            super().__init__(**SMALL)

    return Subclass()


MAKERS = [
    with_keywords,
    with_other_names,
    with_another_order,
    with_only_keywords,
    with_no_parameter,
]


@pytest.mark.parametrize("name", ["MLPClassifier", "MLPRegressor"])
@pytest.mark.parametrize("make", MAKERS)
def test_a_subclass_is_trained_as_its_base(make, name):
    base = getattr(fastmlp, name)
    model, theirs = make(base), make(getattr(sklearn.neural_network, name))
    assert model.get_params() == theirs.get_params()
    fit(model, *iris())
    expected = fit(base(**SMALL), *iris())
    np.testing.assert_array_equal(model.coefs_[0], expected.coefs_[0])
    model.partial_fit(*iris())
    expected.partial_fit(*iris())
    np.testing.assert_array_equal(model.coefs_[0], expected.coefs_[0])
    assert clone(model).get_params() == model.get_params()


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize(
    ("name", "value"), [("solver", "newton"), ("alpha", -1.0), ("beta_1", "a")]
)
def test_a_subclass_cannot_hide_a_parameter_from_validation(name, value, make):
    model = make(MLPRegressor)
    setattr(model, name, value)
    with pytest.raises(ValueError, match=f"The '{name}' parameter of Subclass"):
        model.fit(*iris())


def test_variable_positional_parameters_are_scikit_learns_error():
    class Subclass(MLPClassifier):
        def __init__(self, *units):
            super().__init__(units)

    with pytest.raises(RuntimeError, match="no varargs"):
        Subclass(4).get_params()


def test_a_subclass_is_searched():
    class Wider(MLPClassifier):
        def __init__(self, units=2, **kwargs):
            super().__init__((units,), max_iter=3, random_state=0, **kwargs)
            self.units = units

    search = GridSearchCV(
        make_pipeline(StandardScaler(), Wider()), {"wider__units": [2, 3]}, cv=2
    )
    fit(search, *iris())
    widths = {len(search.best_estimator_[-1].intercepts_[0])}
    assert widths == {search.best_params_["wider__units"]}


# -- methods that scikit-learn calls


@pytest.mark.parametrize("base", [MLPClassifier, MLPRegressor])
@pytest.mark.parametrize("name", HOOKS)
def test_a_method_that_is_never_called_is_refused(name, base):
    with pytest.raises(TypeError, match=rf"Mine defines {name}: .* would never call"):
        type("Mine", (base,), {name: lambda self, *arguments: None})


def test_hooks_that_are_inherited_are_refused():
    class Initialised:
        def _init_coef(self, fan_in, fan_out, dtype):
            return np.zeros((fan_in, fan_out), dtype), np.zeros(fan_out, dtype)

        def _backprop(self, *arguments):
            pass

    with pytest.raises(TypeError, match="_backprop, _init_coef: scikit-learn's"):
        type("Mine", (Initialised, MLPRegressor), {})
    with pytest.raises(TypeError, match="_forward_pass"):
        type("Both", (MLPClassifier, sklearn.neural_network.MLPClassifier), {})


def test_every_private_method_of_scikit_learn_is_known():
    """``_check_solver`` is called here too; new versions may bring new ones."""
    private = {
        name
        for base in (
            BaseMultilayerPerceptron,
            sklearn.neural_network.MLPClassifier,
            sklearn.neural_network.MLPRegressor,
        )
        for name, value in vars(base).items()
        if name[0] == "_" != name[1] and callable(value)
    }
    assert private - {"_check_solver"} <= set(HOOKS)
    for ours in (MLPClassifier, MLPRegressor):
        defined = {name for base in ours.__mro__ for name in vars(base)}
        assert defined & set(HOOKS) == {"_loss_grad_lbfgs"}


def test_methods_of_a_subclass_are_its_own():
    class Mine(MLPClassifier):
        def _my_score(self, X, y):
            return self.score(X, y)

        def fit(self, X, y):
            return super().fit(X, y)

        def predict(self, X):
            return super().predict(X)

    model = fit(Mine(**SMALL), *iris())
    assert model._my_score(*iris()) == model.score(*iris())
