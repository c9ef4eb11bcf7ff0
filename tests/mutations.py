"""Break one formula or one step of logic at a time, and see some test go red.

``python -m tests.mutations [--jobs N] [--only NAME]`` copies the tree to a temporary
folder, breaks one thing there, builds what it touches and runs the fast tests. It ends
with an error if a mutation survives: then a test is missing.

``--since REV [--sample N]`` tries mechanical mutations of the lines that have changed
since a revision, in place of those that are kept: N of them, drawn at random;
``--quick`` runs no test that is marked slow. The mechanical ones come
from universalmutator, which must be installed: its rules are of text, and so it mutates
Cython and C, which mutmut and cosmic-ray, of Python's syntax trees, do not. Some of
these mutations change nothing that matters; look at those that survive.
"""

import argparse
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]

# The first failure ends a run: the broken file's own tests come first, then those that
# find most, then all others.
NATIVE_FIRST = (
    "test_kernels.py",
    "test_math.py",
    "test_network.py",
    "test_second_order.py",
    "test_sparse.py",
    "test_torch.py",
    "test_threads.py",
    "test_allocation.py",
    "test_parity.py",
)
PYTHON_FIRST = (
    "test_network.py",
    "test_methods.py",
    "test_estimators.py",
    "test_stopping.py",
    "test_schedules.py",
    "test_fitting.py",
    "test_state.py",
    "test_attributes.py",
    "test_inputs.py",
    "test_conversion.py",
    "test_initialization.py",
    "test_second_order.py",
    "test_torch.py",
    "test_sparse.py",
    "test_parity.py",
)
NATIVE_ONLY = ("test_kernels.py", "test_math.py", "test_allocation.py")
# The last two look at what is not copied.
LEFT_OUT = (
    "test_mutations.py",
    "test_import.py",
    "test_reference.py",
    "test_house.py",
    "test_site.py",
)
SLOW_TESTS = (
    "test_parity.py::test_lbfgs[digits-(10,)]",
    "test_parity.py::test_lbfgs[digits-()]",
    "test_parity.py::test_all_digits_with_one_hidden_layer_of_100",
)

BUILD_SECONDS = 600
TEST_SECONDS = 900

NOT_COPIED = (".*", "build", "dist", "*.egg-info", "__pycache__", "*.so", "*.pyd")

# One file of mutations for each file that they break, under its name. In it, * name,
# - old text, + new text. The old text stands once in what is broken; it begins and ends
# anywhere in a line. Without new text it is taken out. What follows === v3 is built and
# tried as that engine, where plain would not run it: our own tiles, and the threads.
MUTANTS = ROOT / "tests" / "mutants"


class Mutation(NamedTuple):
    """One thing that is broken."""

    name: str
    file: str
    engine: str
    old: str
    new: str

    @property
    def is_native(self) -> bool:
        """Whether the engine must be built again to see it."""
        return not self.file.endswith(".py")

    def apply(self, folder: Path) -> None:
        """Break the copy in that folder."""
        path = folder / self.file
        path.write_text(path.read_text().replace(self.old, self.new))


class Result(NamedTuple):
    """What became of one mutation: caught, SURVIVED, TOO SLOW or BROKEN."""

    name: str
    outcome: str
    detail: str
    seconds: float


def read_mutations(folder: Path = MUTANTS) -> list[Mutation]:
    """All that are kept."""
    return [
        mutation
        for path in sorted(folder.rglob("*.txt"))
        for mutation in read_file(path, folder)
    ]


def read_file(path: Path, folder: Path) -> Iterator[Mutation]:
    """Those of one file."""
    file = f"fastmlp/{path.relative_to(folder).with_suffix('')}"
    for section in re.split(r"^(?==== )", path.read_text(), flags=re.MULTILINE):
        heading, *entries = re.split(r"^\* ", section, flags=re.MULTILINE)
        engine = heading.removeprefix("=== ").strip() or "plain"
        for entry in entries:
            name, *lines = entry.splitlines()
            old, new = (
                "\n".join(line[2:] for line in lines if line.startswith(mark))
                for mark in "-+"
            )
            yield Mutation(name, file, engine, old, new)


def generate(revision: str, n_mutations: int) -> list[Mutation]:
    """Mechanical mutations of lines that have changed since a revision, one a line."""
    draw = random.Random(0)
    places = [(f, n) for f, lines in changed_lines(revision).items() for n in lines]
    draw.shuffle(places)
    mutations: list[Mutation] = []
    for file, line in places:
        if len(mutations) == n_mutations:
            break
        texts = mutate_line(ROOT / file, line)
        if texts:
            engine = "v3" if file.endswith(".h") else "plain"
            old = (ROOT / file).read_text()
            name = f"{Path(file).name}:{line}"
            mutations.append(Mutation(name, file, engine, old, draw.choice(texts)))
    return mutations


def mutate_line(source: Path, line: int) -> list[str]:
    """What universalmutator makes of a file by changing that line."""
    with tempfile.TemporaryDirectory() as folder:
        lines, mutants = Path(folder, "lines"), Path(folder, "mutants")
        lines.write_text(f"{line}\n")
        mutants.mkdir()
        rules = "c" if source.suffix == ".h" else "python"
        command = ["mutate", str(source), rules, "--noCheck", "--lines", str(lines)]
        command += ["--mutantDir", str(mutants)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        return [path.read_text() for path in sorted(mutants.iterdir())]


def changed_lines(revision: str) -> dict[str, list[int]]:
    """Numbers of changed lines of each file of the package."""
    diff = subprocess.run(
        ["git", "diff", "--unified=0", revision, "--", "fastmlp"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    changed: dict[str, list[int]] = {}
    file = ""
    for line in diff.splitlines():
        if line.startswith("+++ "):
            file = line.removeprefix("+++ b/")
        elif found := re.match(r"@@ \S+ \+(\d+)(?:,(\d+))? @@", line):
            begin, n = int(found[1]), int(found[2] or 1)
            changed.setdefault(file, []).extend(range(begin, begin + n))
    changed.pop("/dev/null", None)
    return {file: lines for file, lines in changed.items() if lines}


def find_faults(mutations: list[Mutation], root: Path = ROOT) -> list[str]:
    """Why the list cannot be run as it stands; empty if it can."""
    faults = []
    for name, times in Counter(m.name for m in mutations).items():
        if times > 1:
            faults.append(f"{name}: {times} mutations of that name")
    for name, file, _, old, new in mutations:
        path = root / file
        times = path.read_text().count(old) if path.exists() else 0
        if times != 1 or not old:
            faults.append(f"{name}: its text occurs {times} times in {file}")
        if old == new:
            faults.append(f"{name}: changes nothing")
    return faults


def choose_tests(folder: Path, file: str) -> list[str]:
    """The test files to run where that file is broken, the likeliest to fail first."""
    is_python = file.endswith(".py")
    own = f"test_{Path(file).stem.lstrip('_')}.py"
    first = dict.fromkeys((own, *(PYTHON_FIRST if is_python else NATIVE_FIRST)))
    left_out = LEFT_OUT + NATIVE_ONLY if is_python else LEFT_OUT
    found = {path.name for path in (folder / "tests").glob("test_*.py")} - {*left_out}
    return [name for name in first if name in found] + sorted(found - {*first})


def child_environment(folder: Path, engine: str) -> dict[str, str]:
    """The copy is imported, one thread each, BLAS as it finds itself."""
    chosen = ("FASTMLP_", "OPENBLAS_")
    kept = {k: v for k, v in os.environ.items() if not k.startswith(chosen)}
    return {
        **kept,
        "PYTHONPATH": str(folder),
        "PYTHONDONTWRITEBYTECODE": "1",
        "FASTMLP_ISA": engine,
        "OPENBLAS_NUM_THREADS": "1",
    }


def run_python(
    folder: Path, engine: str, arguments: list[str], seconds: float, **environment: str
) -> subprocess.CompletedProcess:
    """Python in that folder, its output in one text."""
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env={**child_environment(folder, engine), **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        timeout=seconds,
        check=False,
    )


def build(folder: Path, engines: list[str]) -> None:
    """Build those engines in place, anew.

    Raises
    ------
    RuntimeError
        If one does not compile.
    """
    for name in ("engine", "calls", *(f"engine_{engine}" for engine in engines)):
        for path in (folder / "fastmlp/_kernels").glob(f"{name}.*"):
            if path.suffix not in (".pyx", ".pxi", ".pxd"):
                path.unlink()
    command = ["setup.py", "-q", "build_ext", "--inplace"]
    chosen = ",".join(engines)
    done = run_python(folder, "", command, BUILD_SECONDS, FASTMLP_BUILD=chosen)
    if done.returncode:
        raise RuntimeError(f"does not build: {last_line(done.stdout)}")


def check_import(folder: Path, engine: str) -> None:
    """Raise RuntimeError unless the copy is what the tests would import."""
    code = "import fastmlp, fastmlp._kernels as k; print(fastmlp.__file__, k.__file__)"
    code = f"{code}; print(k.engine.__file__)"
    done = run_python(folder, engine, ["-c", code], TEST_SECONDS)
    files = done.stdout.split()
    inside = all(Path(file).is_relative_to(folder) for file in files)
    if done.returncode or len(files) != 3 or not inside:
        raise RuntimeError(f"the copy is not imported: {last_line(done.stdout)}")


def run_tests(
    folder: Path, engine: str, tests: list[str], quick: bool
) -> tuple[str, str]:
    """Outcome, and the first test that failed; quick: of those that are not slow."""
    command = ["-m", "pytest", "-x", "-q", "--tb=no", "--color=no"]
    command += ["-p", "no:cacheprovider", *(f"tests/{test}" for test in tests)]
    if quick:
        command += ["-m", "not slow and not soak"]
    command += [f"--deselect=tests/{test}" for test in SLOW_TESTS]
    try:
        done = run_python(folder, engine, command, TEST_SECONDS)
    except subprocess.TimeoutExpired:
        return "TOO SLOW", f"still running after {TEST_SECONDS} s"
    if done.returncode < 0:
        return "caught", f"killed by signal {-done.returncode}"
    if done.returncode == 0:
        return "SURVIVED", last_line(done.stdout)
    failed = re.search(r"^(?:FAILED|ERROR) (.+?)(?: - |$)", done.stdout, re.MULTILINE)
    if failed is None:
        return "BROKEN", last_line(done.stdout)
    return "caught", failed[1]


def last_line(text: str) -> str:
    """The last line that says anything."""
    return next((line for line in reversed(text.splitlines()) if line.strip()), "")


def make_baseline(folder: Path, engines: list[str]) -> None:
    """A copy of the tree, built; quicker to compile, the results the same."""
    shutil.copytree(ROOT, folder, ignore=shutil.ignore_patterns(*NOT_COPIED))
    for path in (folder / "fastmlp/_kernels").glob("*.c"):
        path.unlink()
    setup = folder / "setup.py"
    setup.write_text(setup.read_text().replace('"-O3"', '"-O1"'))
    build(folder, engines)
    for engine in engines:
        check_import(folder, engine)


def check_baseline(folder: Path, engine: str, quick: bool) -> Result:
    """What the tests say of an engine that nobody broke."""
    began = time.perf_counter()
    tests = choose_tests(folder, "engine.pxi")
    outcome, detail = run_tests(folder, engine, tests, quick)
    outcome = "passes" if outcome == "SURVIVED" else "FAILS"
    seconds = time.perf_counter() - began
    return Result(f"unbroken, {engine} engine", outcome, detail, seconds)


def try_mutation(mutation: Mutation, baseline: Path, quick: bool) -> Result:
    """Break a copy of the baseline and run the tests on it."""
    began = time.perf_counter()
    engine = mutation.engine
    with tempfile.TemporaryDirectory(dir=baseline.parent) as parent:
        folder = Path(parent, "tree")
        shutil.copytree(baseline, folder)
        mutation.apply(folder)
        try:
            if mutation.is_native:
                build(folder, [engine])
            check_import(folder, engine)
            tests = choose_tests(folder, mutation.file)
            outcome, detail = run_tests(folder, engine, tests, quick)
        except (RuntimeError, subprocess.TimeoutExpired) as error:
            outcome, detail = "BROKEN", str(error)
    return Result(mutation.name, outcome, detail, time.perf_counter() - began)


def try_all(
    mutations: list[Mutation], baseline: Path, jobs: int, quick: bool
) -> Iterator[Result]:
    """Results as they come. Threads suffice: the work is done in child processes."""
    with ThreadPoolExecutor(jobs) as pool:
        tasks = [pool.submit(try_mutation, m, baseline, quick) for m in mutations]
        try:
            for task in as_completed(tasks):
                yield task.result()
        finally:
            pool.shutdown(cancel_futures=True)


def report(count: str, result: Result) -> None:
    """One line."""
    name, outcome, detail, seconds = result
    print(f"{count:>9} {outcome:8} {seconds:5.1f} s  {name}: {detail}", flush=True)


def run(
    mutations: list[Mutation], jobs: int, folder: Path, quick: bool
) -> list[Result]:
    """Those that were not caught; the unbroken tree if its tests fail."""
    baseline = folder / "baseline"
    engines = sorted({m.engine for m in mutations})
    make_baseline(baseline, engines)
    with ThreadPoolExecutor(jobs) as pool:
        unbroken = list(pool.map(lambda e: check_baseline(baseline, e, quick), engines))
    for result in unbroken:
        report("", result)
    failures = [result for result in unbroken if result.outcome != "passes"]
    if failures:
        return failures
    for n, result in enumerate(try_all(mutations, baseline, jobs, quick), 1):
        report(f"[{n}/{len(mutations)}]", result)
        if result.outcome != "caught":
            failures.append(result)
    return failures


def parse_arguments() -> argparse.Namespace:
    """What the command line asks for."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.mutations", description=__doc__.partition("\n")[0]
    )
    parser.add_argument("--jobs", type=int, default=2, help="mutations at a time")
    parser.add_argument("--only", action="append", metavar="NAME", help="just these")
    parser.add_argument("--since", metavar="REV", help="mechanical ones of the changes")
    parser.add_argument("--quick", action="store_true", help="no test that is slow")
    parser.add_argument("--sample", type=int, default=50, metavar="N", help="so many")
    return parser.parse_args()


def main() -> int:
    """Run the list; 1 if anything but caught mutations came out."""
    arguments = parse_arguments()
    if arguments.since:
        mutations = generate(arguments.since, arguments.sample)
    else:
        mutations = read_mutations()
    chosen = [m for m in mutations if not arguments.only or m.name in arguments.only]
    faults = find_faults(mutations)
    if faults or not chosen:
        print("\n".join(faults) or "no mutation of that name")
        return 1
    began = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="mutations-") as folder:
        given = arguments.jobs, Path(folder).resolve(), arguments.quick
        failures = run(chosen, *given)
    seconds = time.perf_counter() - began
    n_broken = sum(result.outcome == "BROKEN" for result in failures)
    n_caught, n_built = len(chosen) - len(failures), len(chosen) - n_broken
    print(f"{n_caught} of {n_built} mutations caught, {n_broken} do not build", end="")
    print(f"; {seconds:.0f} s")
    for result in failures:
        report("", result)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
