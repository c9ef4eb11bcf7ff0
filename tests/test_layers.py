"""Kinds of layers: the shapes that follow, what is refused, and their facts in JSON."""

import itertools
import json
import math

import numpy as np
import pytest

from fastmlp import Network, load
from fastmlp.layers import (
    KINDS,
    AveragePool,
    CategoryEmbedding,
    Conv,
    GlobalAveragePool,
    MaxPool,
    PeriodicEmbedding,
    Scale,
    check_architecture,
    from_facts,
    geometries,
    to_facts,
)

SIZES = range(1, 10)
KERNELS = range(1, 6)
STRIDES = range(1, 4)


def count_windows(size, kernel, stride, before=0, behind=0):
    """Windows that fit, one after the other, into a side with so many zeros around."""
    begins = range(-before, size + behind, stride)
    return sum(begin + kernel <= size + behind for begin in begins)


@pytest.mark.parametrize("padding", ["same", "valid"])
def test_a_convolution_has_an_output_for_every_window_that_fits(padding):
    """'same' pads (k − 1)//2 before and k//2 behind."""
    for n, k, s in itertools.product(SIZES, KERNELS, STRIDES):
        before, behind = ((k - 1) // 2, k // 2) if padding == "same" else (0, 0)
        expected = count_windows(n, k, s, before, behind)
        for shape, kernel, stride, out_shape, pads in [
            ((n, 9, 2), (k, 2), (s, 9), (expected, 1, 3), (before, 0)),
            ((9, n, 2), (2, k), (9, s), (1, expected, 3), (0, before)),
            ((n, 2), k, s, (1, expected, 3), (0, before)),
        ]:
            layer = Conv(3, kernel, stride, padding)
            if expected == 0:
                with pytest.raises(ValueError, match="larger than what it is given"):
                    layer.on(shape)
                continue
            geometry = layer.on(shape)
            assert geometry.out_shape == out_shape, (layer, shape)
            assert geometry.pads == pads, (layer, shape)


@pytest.mark.parametrize("kernel", KERNELS)
def test_same_with_stride_1_has_an_output_for_every_pixel(kernel):
    for shape in [(1, 1, 1), (4, 7, 2), (9, 1)]:
        assert Conv(5, kernel).on(shape).outputs_shape == (*shape[:-1], 5)


@pytest.mark.parametrize("kind", [MaxPool, AveragePool])
def test_windows_that_do_not_fit_are_dropped(kind):
    for n, k, s in itertools.product(SIZES, KERNELS, (None, *STRIDES)):
        expected = count_windows(n, k, s or k)
        if expected == 0:
            with pytest.raises(ValueError, match="larger than what it is given"):
                kind(k, s).on((n, 2))
            continue
        assert kind(k, s).on((n, 2)).outputs_shape == (expected, 2)
        stride = None if s is None else (s, 1)
        geometry = kind((k, 1), stride).on((n, 4, 2))
        assert geometry.outputs_shape == (expected, 4, 2)
        assert geometry.pads == (0, 0)


def test_the_global_mean_is_of_the_whole_image():
    assert GlobalAveragePool().on((5, 6, 3)).outputs_shape == (1, 1, 3)
    assert GlobalAveragePool().on((20, 3)).outputs_shape == (1, 3)
    assert GlobalAveragePool().on((5, 6, 3)).kernel == (5, 6)


def test_numbers_of_a_convolution():
    geometry = Conv(16, (3, 5), padding="valid").on((9, 8, 4))
    assert geometry.weights_shape == (3, 5, 4, 16)
    assert geometry.n_in == 9 * 8 * 4
    assert geometry.n_out == 7 * 4 * 16
    assert geometry.n_terms == 3 * 5 * 4
    assert geometry.fans == (3 * 5 * 4, 3 * 5 * 16)
    assert geometry.is_trained
    assert Conv(16, 5).on((20, 4)).weights_shape == (5, 4, 16)
    assert not MaxPool().on((20, 4)).is_trained


def test_units_see_a_flat_image():
    flat, last = geometries(((2, 3, 4), 7, 5))
    assert (flat.n_in, flat.n_out, flat.weights_shape) == (24, 7, (24, 7))
    assert (last.fans, last.outputs_shape) == ((7, 5), (5,))


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (Conv(0, 3), "filters of Conv.* must be a positive integer"),
        (Conv(2.0, 3), "filters"),
        (Conv(True, 3), "filters"),
        (Conv(None, 3), "filters"),
        (Conv("3", 3), "filters"),
        (Conv(2, 0), "kernel of Conv.* positive integer, or 2 of them, for images"),
        (Conv(2, -1), "kernel"),
        (Conv(2, 2.5), "kernel"),
        (Conv(2, (3,)), "kernel"),
        (Conv(2, (3, 3, 3)), "kernel"),
        (Conv(2, (3, 0)), "kernel"),
        (Conv(2, ((3, 3), 3)), "kernel"),
        (Conv(2, None), "kernel"),
        (Conv(2, "33"), "kernel"),
        (Conv(2, 3, 0), "stride"),
        (Conv(2, 3, None), "stride"),
        (Conv(2, 3, (1, -1)), "stride"),
        (Conv(2, 3, padding="SAME"), "padding must be 'same' or 'valid'"),
        (Conv(2, 3, padding=None), "padding"),
        (Conv(2, 3, padding=["same"]), "padding"),
        (Conv(2, 9, padding="valid"), r"is larger than .* of shape \(8, 6, 1\)"),
        (Conv(2, (1, 7), padding="valid"), "larger"),
        (MaxPool(0), "size of MaxPool"),
        (MaxPool((2, 2, 2)), "size"),
        (MaxPool(2, 0), "stride of MaxPool"),
        (AveragePool(7), "larger"),
        (AveragePool(None), "size of AveragePool"),
    ],
    ids=str,
)
def test_layers_that_are_refused(layer, message):
    for make in (lambda: layer.on((8, 6, 1)), lambda: Network([(8, 6, 1), layer, 2])):
        with pytest.raises(ValueError, match=message):
            make()


@pytest.mark.parametrize(
    "layers",
    [
        [],
        [(8, 8, 1)],
        [(8, 8, 1), "conv", 2],
        [(8, 8, 1), Conv, 2],
        [(8, 8, 1), 0],
        [(8, 8, 1), 2.0],
        [(8, 8, 1), True],
        [(8, 8, 1), None],
        [(8, 8, 0), 2],
        [(8, 8.0, 1), 2],
        [(8, -8, 1), 2],
        [(8,), 2],
        [(8, 8, 8, 1), 2],
        [(), 2],
        ["881", 2],
        [64, (8, 8, 1), 2],
        [64, Conv(3, 3), 2],
        [Conv(3, 3), 2],
        [(8, 8, 1), Conv(3, 3)],
        [(8, 8, 1), 5, MaxPool()],
        [3, 0],
        [3],
    ],
    ids=str,
)
def test_architectures_that_are_refused(layers):
    with pytest.raises(ValueError, match="layer_sizes must be two or more positive"):
        check_architecture(layers)
    with pytest.raises(ValueError, match="layer_sizes"):
        Network(layers)


def test_what_equals_an_integer_is_none():
    """Networks of the same layers are remembered."""
    Network([(8, 6, 1), Conv(1, 2), MaxPool(2), 2])
    for layer, name in [
        (Conv(1.0, 2), "filters"),
        (Conv(True, 2), "filters"),
        (Conv(1, 2.0), "kernel"),
        (Conv(1, (2.0, 2)), "kernel"),
    ]:
        with pytest.raises(ValueError, match=f"{name} of .* positive integer"):
            Network([(8, 6, 1), layer, MaxPool(2), 2])


def test_no_image_comes_behind_units():
    with pytest.raises(ValueError, match=r"layer 1, MaxPool.* needs an image"):
        Network([(8, 8, 1), 5, MaxPool(), 2])


# What no image in memory is made of, by one side, by all, or by what is made of it.
EXTREME = [
    [(2**31, 1, 1), GlobalAveragePool(), 2],
    [(2**40, 2**40, 2**40), GlobalAveragePool(), 2],
    [(10**30, 1), Conv(1, 1), GlobalAveragePool(), 2],
    [(8, 8, 1), Conv(10**30, 3), 2],
    [(8, 8, 1), Conv(2**31 - 1, 3), 2],
    [(8, 8, 1), Conv(1, 10**30), 2],
    [(8, 8, 1), Conv(1, 2**31 - 1), 2],
    [(8, 8, 1), Conv(1, 3, 10**30), 2],
    [(2**15, 2**15, 1), Conv(64, 3), GlobalAveragePool(), 2],
    [(8, 8, 1), MaxPool(1, 10**30), 2],
]


@pytest.mark.parametrize("architecture", EXTREME, ids=str)
def test_extreme_sizes_are_refused_before_anything_is_allocated(architecture):
    with pytest.raises(ValueError, match=r"more than .* numbers"):
        Network(architecture)


def test_numbers_of_any_type_and_lists_are_taken():
    """They become Python's own, which hash, compare and are written as JSON."""
    integer = np.int64
    mine = [(8, 8, 1), Conv(3, (3, 2), 1), MaxPool((2, 2)), 4, 2]
    others = [
        [integer(8), 8, integer(1)],
        Conv(integer(3), [integer(3), 2], integer(1)),
        MaxPool(np.array([2, 2])),
        integer(4),
        np.int32(2),
    ]
    assert check_architecture(others) == tuple(mine)
    network, other = Network(mine, random_state=0), Network(others, random_state=0)
    np.testing.assert_array_equal(network.params, other.params)
    assert json.dumps(to_facts(other.architecture))


ARCHITECTURES = [
    (5, 4, 2),
    ((8, 7, 3), Conv(4, 3), MaxPool(), 5, 2),
    ((8, 7, 3), Conv(4, (3, 2), (2, 1), "valid"), AveragePool((2, 1), 1), 2),
    ((20, 3), Conv(4, 5), MaxPool(3, 2), Conv(2, 1), GlobalAveragePool(), 2),
    ((3, 3), 2),
    (7, CategoryEmbedding(2, 9), PeriodicEmbedding(3, 5, 2), Scale(), 4, 2),
]


@pytest.mark.parametrize("architecture", ARCHITECTURES, ids=str)
def test_facts_come_back(architecture):
    facts = json.loads(json.dumps(to_facts(architecture)))
    assert from_facts(facts) == architecture


@pytest.mark.parametrize("architecture", ARCHITECTURES, ids=str)
def test_a_network_comes_back(architecture, tmp_path):
    network = Network(architecture, batch_norm=True, dropout=0.1, random_state=0)
    network.stats[...] = np.arange(1, len(network.stats) + 1)
    network.save(tmp_path / "network")
    again = load(tmp_path / "network")
    assert again.architecture == architecture
    X = np.random.RandomState(0).normal(size=(5, network.layer_sizes[0]))
    np.testing.assert_array_equal(again.predict(X), network.predict(X))
    assert [W.shape for W in again.weights] == [W.shape for W in network.weights]


def test_every_kind_has_facts():
    used = {type(layer).__name__ for layers in ARCHITECTURES for layer in layers}
    assert used - {"int", "tuple"} == set(KINDS)


@pytest.mark.parametrize(
    "facts",
    [
        None,
        {},
        "5",
        [],
        [5],
        [[8, 8, 1], {}, 2],
        [[8, 8, 1], {"Dense": {}}, 2],
        [[8, 8, 1], {"Conv": {}}, 2],
        [[8, 8, 1], {"Conv": None}, 2],
        [[8, 8, 1], {"Conv": [3, 3]}, 2],
        [[8, 8, 1], {"Conv": {"filters": 3, "kernel": 3, "dilation": 2}}, 2],
        [[8, 8, 1], {"Conv": {"filters": 3, "kernel": 3}, "MaxPool": {}}, 2],
        [[8, 8, 1], {"GlobalAveragePool": {"size": 2}}, 2],
        [[8, 8, [1]], 2],
        [[8, 8, None], 2],
        [{"MaxPool": {}}, 2],
    ],
    ids=str,
)
def test_facts_that_are_refused(facts):
    with pytest.raises(ValueError, match="layer_sizes"):
        from_facts(facts)


@pytest.mark.parametrize("value", [None, "3", [3, "3"], [[3], 3], {}, -1, 1.5, 10**30])
@pytest.mark.parametrize("name", ["filters", "kernel", "stride"])
def test_settings_of_a_made_up_file_are_looked_at(name, value):
    settings = {"filters": 3, "kernel": 3, "stride": 1, name: value}
    with pytest.raises(ValueError, match=r"Conv|numbers"):
        geometries(from_facts([[8, 8, 1], {"Conv": settings}, 2]))


def test_initial_weights_are_drawn_by_what_an_output_sees():
    """He: variance 2/(kernel × channels)."""
    network = Network(
        [(6, 6, 64), Conv(128, 3), 1], init="he_normal", random_state=0, dtype="float64"
    )
    n, expected = network.weights[0].size, 2 / (9 * 64)
    error = expected * math.sqrt(2 / n)
    assert abs(network.weights[0].var() - expected) < 4 * error
