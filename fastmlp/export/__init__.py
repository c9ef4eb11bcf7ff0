"""A trained model leaves: as ONNX, as C source, as a PyTorch module.

One file a target. Each reads the estimator through :mod:`fastmlp.export._model` only,
and imports its library when it is called.
"""

from fastmlp.export.c import CExport, to_c
from fastmlp.export.onnx import register_onnx, to_onnx
from fastmlp.export.torch import to_torch

__all__ = ["CExport", "register_onnx", "to_c", "to_onnx", "to_torch"]
