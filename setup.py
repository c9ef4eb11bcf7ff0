"""The extensions: the same engine, one row per instruction set."""

import os
import platform
import sys
import tempfile
import warnings
from glob import glob
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

# An engine is one large unit. GCC stops inlining where such a one has grown by half,
# and a loop whose formula is called is not vectorised. It also threads jumps: where an
# argument is cut off at a constant it makes a branch, and a vector takes all branches.
COMMON = [
    "-O3",
    "-g0",
    "-fno-math-errno",
    "-fno-trapping-math",
    "--param=inline-unit-growth=200",
    "-fno-thread-jumps",
]
V4 = ["-march=x86-64-v4", "-mprefer-vector-width=512"]
INSTRUCTION_SETS = {
    "plain": [],
    "v2": ["-march=x86-64-v2"],
    "v3": ["-march=x86-64-v3"],
    "v4": V4,
    "amx": [*V4, "-mamx-tile", "-mamx-bf16"],
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
        depends=glob("fastmlp/_kernels/*.h"),
        extra_compile_args=COMMON + INSTRUCTION_SETS[name],
    )


class BuildExtensions(build_ext):
    """Leaves out what the compiler cannot build: a slower engine, never no install."""

    def build_extensions(self):
        known = {flag for e in self.extensions for flag in e.extra_compile_args}
        accepted = {flag for flag in known if self.accepts(flag)}
        self.extensions = [e for e in self.extensions if self.can_build(e, accepted)]
        for extension in self.extensions:
            flags = extension.extra_compile_args
            extension.extra_compile_args = [f for f in flags if f in accepted]
        super().build_extensions()

    def can_build(self, extension, accepted):
        needed = ("-march", "-mamx")
        flags = [f for f in extension.extra_compile_args if f.startswith(needed)]
        if set(flags) <= accepted:
            return True
        warnings.warn(
            f"this compiler lacks {' '.join(flags)}: {extension.name} is left out, and "
            "fastmlp will be slower on processors that could run it",
            stacklevel=2,
        )
        return False

    def accepts(self, flag):
        with tempfile.TemporaryDirectory() as folder:
            source = Path(folder, "probe.c")
            source.write_text("int probe(int x) { return x + 1; }\n")
            strict = [] if self.compiler.compiler_type == "msvc" else ["-Werror"]
            try:
                self.compiler.compile(
                    [str(source)], output_dir=folder, extra_postargs=[flag, *strict]
                )
            except Exception:  # each compiler class raises errors of its own
                return False
        return True


setup(
    ext_modules=cythonize(
        [
            Extension(
                "fastmlp._kernels.cpu",
                ["fastmlp/_kernels/cpu.pyx"],
                depends=["fastmlp/_kernels/cpu.h"],
            ),
            *map(engine, instruction_sets()),
        ],
        compiler_directives=DIRECTIVES,
        nthreads=os.cpu_count() or 1,
    ),
    cmdclass={"build_ext": BuildExtensions},
    options={"build_ext": {"parallel": os.cpu_count()}},
)
