"""The extensions: the same engine, one row per instruction set.

Cython translates it once. Each engine is that C, compiled with flags of its own under a
name of its own. What Python calls is one module for all of them; what all need of
Cython's code for buffers is another.
"""

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
# Arguments and checks, no loops over numbers: -O2 takes half as long again.
CALLS = ["-O1", "-g0"]
V4 = ["-march=x86-64-v4", "-mprefer-vector-width=512"]
INSTRUCTION_SETS = {
    "plain": [],
    "v3": ["-march=x86-64-v3"],
    "v4": V4,
    "amx": [*V4, "-mamx-tile", "-mamx-bf16"],
    "neon": ["-DFASTMLP_NEON"],
}
# Those worth trying on each kind of machine.
OF_X86_64 = ("plain", "v3", "v4", "amx")
OF_MACHINES = {
    "x86_64": OF_X86_64,
    "amd64": OF_X86_64,
    "aarch64": ("plain", "neon"),
    "arm64": ("plain", "neon"),
}
FOLDER = Path("fastmlp/_kernels")
ENGINE = "fastmlp._kernels.engine"
SHARED = "fastmlp._kernels._shared"
DIRECTIVES = {
    "language_level": 3,
    "boundscheck": False,
    "wraparound": False,
    "initializedcheck": False,
    "cdivision": True,
    "binding": True,
    "freethreading_compatible": True,
    # They are a third of the C, which is read once for each engine.
    "emit_code_comments": False,
}


def instruction_sets():
    """Those of this machine; or FASTMLP_BUILD=plain,v3 for development, where another
    machine's may stand if the compiler is for that.
    """
    wanted = os.environ.get("FASTMLP_BUILD")
    if wanted:
        return [name for name in INSTRUCTION_SETS if name in wanted.split(",")]
    if sys.maxsize < 2**32:
        return ("plain",)
    return OF_MACHINES.get(platform.machine().lower(), ("plain",))


def translate():
    """The C of all modules: what is no engine, and the engine itself."""
    return cythonize(
        [
            Extension(
                "fastmlp._kernels.cpu",
                [str(FOLDER / "cpu.pyx")],
                depends=[str(FOLDER / "cpu.h")],
            ),
            Extension(ENGINE, [str(FOLDER / "engine.pyx")]),
            Extension(
                "fastmlp._kernels.calls",
                [str(FOLDER / "calls.pyx")],
                depends=glob(f"{FOLDER}/*.h"),
                extra_compile_args=CALLS,
            ),
            Extension(SHARED, [str(FOLDER / "_shared.c")], extra_compile_args=CALLS),
        ],
        compiler_directives=DIRECTIVES,
        # There SciPy's BLAS is declared.
        include_path=[str(FOLDER)],
        # Two modules are long.
        nthreads=min(2, os.cpu_count()),
        shared_utility_qualified_name=SHARED,
    )


def engine(name):
    """The engine under that name, in a file of its own as every object needs one."""
    source = FOLDER / f"engine_{name}.c"
    text = f'#define PyInit_engine PyInit_engine_{name}\n#include "engine.c"\n'
    if not source.exists() or source.read_text() != text:
        source.write_text(text)
    return Extension(
        f"{ENGINE}_{name}",
        [str(source)],
        depends=[str(FOLDER / "engine.c"), *glob(f"{FOLDER}/*.h")],
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


# Asked, for where processes begin anew each imports this file.
if __name__ == "__main__":
    # The longest to compile come first, so that no core waits for the last of them.
    setup(
        ext_modules=[
            *map(engine, reversed(instruction_sets())),
            *(module for module in translate() if module.name != ENGINE),
        ],
        cmdclass={"build_ext": BuildExtensions},
        options={"build_ext": {"parallel": os.cpu_count()}},
    )
