"""What of a step differs from layer to layer: the groups of a plan."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from fastmlp import _kernels
from fastmlp._kernels import GROUP
from fastmlp.settings import check_range


def check_factors(
    what: str, factors: Sequence[float] | None, n_layers: int
) -> list[float] | None:
    """Numbers that are finite and not negative, one a layer; or None.

    Raises
    ------
    ValueError
        If they are others, or of another count. It calls them by that name.
    """
    if factors is None:
        return None
    values = list(factors) if np.ndim(factors) == 1 else []
    if len(values) != n_layers:
        raise ValueError(
            f"{what} must have one entry for each of {n_layers} layers, the output "
            f"layer's last, got {factors!r}"
        )
    return [check_range(what, value, 0, np.inf) for value in values]


def group_by_layer(
    plan: Any, rate_factors: Sequence[float], decay_factors: Sequence[float]
) -> Any:
    """The plan with the rate and the decay of each layer multiplied.

    Parameters
    ----------
    plan : Plan
        Whose groups know no layers.
    rate_factors, decay_factors : sequence of float
        One a layer.

    Raises
    ------
    ValueError
        If there would be more different groups than the kernels take.
    """
    tensors, groups = plan.tensors.copy(), []
    trained = plan.layers[plan.layers["n_tensors"] > 0]
    for layer, rate, decay in zip(trained, rate_factors, decay_factors, strict=True):
        first = int(layer["tensors"])
        for number in range(first, first + int(layer["n_tensors"])):
            group = plan.groups[tensors["group"][number]]
            factors = (
                float(group["rate_factor"] * rate),
                float(group["decay_factor"] * decay),
                float(group["penalty_factor"]),
            )
            if factors not in groups:
                groups.append(factors)
            tensors["group"][number] = groups.index(factors)
    return _kernels.Plan(plan.layers, tensors, np.array(groups, GROUP))
