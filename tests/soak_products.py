"""How exact products of float32 are, the engine's and those of NumPy's BLAS.

``python tests/soak_products.py`` prints errors of products of normal numbers, in units
of what float32 rounds off a sum of terms as large: root mean square, largest, and mean.
``FASTMLP_ISA`` chooses the engine.
"""

import numpy as np
from comparison import rounding_errors

from fastmlp import _kernels

ROWS, COLUMNS = 256, 256
DEPTHS = (32, 64, 256, 1024, 4096)


def multiply(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The engine's product."""
    c = np.empty((len(a), b.shape[1]), a.dtype)
    _kernels.multiply(c, a, b, False)
    return c


def main() -> None:
    """Print the table."""
    random = np.random.default_rng(0)
    print("terms       depth  product       rms     max    mean")
    for sign, terms in ((np.positive, "either sign"), (np.abs, "one sign")):
        for depth in DEPTHS:
            a = sign(random.standard_normal((ROWS, depth), dtype=np.float32))
            b = sign(random.standard_normal((depth, COLUMNS), dtype=np.float32))
            for name, c in ((_kernels.isa, multiply(a, b)), ("NumPy", a @ b)):
                errors = rounding_errors(c, a, b)
                figures = np.sqrt(np.mean(errors**2)), abs(errors).max(), errors.mean()
                row = "".join(f"{figure:8.3f}" for figure in figures)
                print(f"{terms:12}{depth:5}  {name:8}{row}")


if __name__ == "__main__":
    main()
