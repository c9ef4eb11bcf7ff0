"""The extensions: the same engine, one row per instruction set."""

import os
import platform
import sys
import tempfile
import warnings
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

COMMON = ["-O3", "-fno-math-errno", "-fno-trapping-math"]
INSTRUCTION_SETS = {
    "plain": [],
    "v2": ["-march=x86-64-v2"],
    "v3": ["-march=x86-64-v3"],
    "v4": ["-march=x86-64-v4", "-mprefer-vector-width=512"],
}
DIRECTIVES = {
    "language_level": 3,
    "boundscheck": False,
    "wraparound": False,
    "initializedcheck": False,
    "cdivision": True,
    "binding": True,
}


def is_x86_64():
    return platform.machine().lower() in ("x86_64", "amd64") and sys.maxsize > 2**32


def instruction_sets():
    """Those worth trying here; FASTMLP_BUILD=plain,v3 narrows them for development."""
    names = list(INSTRUCTION_SETS) if is_x86_64() else ["plain"]
    wanted = os.environ.get("FASTMLP_BUILD")
    return [name for name in names if not wanted or name in wanted.split(",")]


def engine(name):
    return Extension(
        f"fastmlp._kernels.engine_{name}",
        [f"fastmlp/_kernels/engine_{name}.pyx"],
        extra_compile_args=COMMON + INSTRUCTION_SETS[name],
    )


class BuildExtensions(build_ext):
    """Leaves out what the compiler cannot build: a slower engine, never no install."""

    def build_extensions(self):
        for extension in self.extensions:
            extension.extra_compile_args = [
                flag for flag in extension.extra_compile_args if self.accepts([flag])
            ]
        self.extensions = [e for e in self.extensions if self.has_its_flags(e)]
        super().build_extensions()

    def has_its_flags(self, extension):
        name = extension.name.rpartition("_")[2]
        wanted = [flag for flag in INSTRUCTION_SETS.get(name, []) if "march" in flag]
        missing = [flag for flag in wanted if flag not in extension.extra_compile_args]
        if missing:
            warnings.warn(
                f"this compiler lacks {' '.join(missing)}: fastmlp is built without "
                f"its {name} engine and will be slower on processors that have it",
                stacklevel=2,
            )
        return not missing

    def accepts(self, flags):
        with tempfile.TemporaryDirectory() as folder:
            source = Path(folder, "probe.c")
            source.write_text("int probe(int x) { return x + 1; }\n")
            strict = [] if self.compiler.compiler_type == "msvc" else ["-Werror"]
            try:
                self.compiler.compile(
                    [str(source)], output_dir=folder, extra_postargs=flags + strict
                )
            except Exception:  # each compiler class raises errors of its own
                return False
        return True


setup(
    ext_modules=cythonize(
        [
            Extension("fastmlp._kernels.cpu", ["fastmlp/_kernels/cpu.pyx"]),
            *map(engine, instruction_sets()),
        ],
        compiler_directives=DIRECTIVES,
        nthreads=os.cpu_count() or 1,
    ),
    cmdclass={"build_ext": BuildExtensions},
    options={"build_ext": {"parallel": os.cpu_count()}},
)
