"""Bytes that a fuzzer makes up, behind a valid digest, given to the loader.

``python tests/fuzz_loader.py [-runs=N]``, after ``pip install atheris``: coverage of
the loader's own lines guides the bytes. It begins with files of every kind. Each must
be a ModelFileError, or a model that can be used; else the run ends with its bytes.
"""

import contextlib
import sys
import tempfile
import warnings
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["fastmlp"]):
    from fastmlp import model_files, state_check
    from fastmlp.estimators import _model_file

from fuzz import PLAIN, files
from test_model_files import put_together, sign

INSTRUMENTED = model_files, state_check, _model_file


def load(data):
    """What the loader makes of the bytes, signed."""
    with contextlib.suppress(model_files.ModelFileError):
        with model_files.refusing("made up"):
            model = model_files.build_model(*model_files.from_bytes(sign(data)))
        if hasattr(model, "coefs_"):
            with contextlib.suppress(ValueError, TypeError):
                model.predict(PLAIN)


def main():
    """Fuzz, from a folder of good files on."""
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as folder:
        for number, parts in enumerate(files()):
            content = put_together(*parts)[:-32]
            Path(folder, str(number)).write_bytes(content)
        atheris.Setup([sys.argv[0], "-runs=100000", *sys.argv[1:], folder], load)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
