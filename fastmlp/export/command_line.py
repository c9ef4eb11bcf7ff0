"""``python -m fastmlp export``: a model file becomes an ONNX file or C source."""

from __future__ import annotations

import argparse
import os

from fastmlp.commands import check_place, reporting
from fastmlp.export.c import to_c
from fastmlp.export.onnx import to_onnx
from fastmlp.model_files import load


def export(arguments: list[str]) -> int:
    """Write the estimator of a model file in another form."""
    parser = argparse.ArgumentParser(
        prog="python -m fastmlp export",
        description="Write the network of a model file as an ONNX file or as C source.",
    )
    parser.add_argument("model", help="the model file, as written by save")
    target = parser.add_mutually_exclusive_group(required=True)
    target.add_argument("--onnx", metavar="FILE", help="the ONNX file")
    target.add_argument(
        "--c", metavar="FILE", help="the C file; its header is written beside it"
    )
    return reporting("export", _export, parser.parse_args(arguments))


def _export(options: argparse.Namespace) -> None:
    check_place(options.onnx or options.c, options.model)
    est = load(options.model)
    if options.onnx:
        to_onnx(est, options.onnx)
        print(f"written: {options.onnx} ({os.path.getsize(options.onnx)} bytes)")
    else:
        report = to_c(est, options.c)
        constants = f"{report.n_bytes} bytes of constants"
        print(f"written: {report.source} and {report.header} ({constants})")
