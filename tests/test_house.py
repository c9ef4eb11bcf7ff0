"""What stands around the code: versions, workflows and commands that must agree."""

import re
import tomllib
from pathlib import Path

import pytest

import fastmlp
from fastmlp import _kernels

ROOT = Path(__file__).resolve().parents[1]
WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))


def read(name):
    return (ROOT / name).read_text(encoding="utf-8")


@pytest.fixture
def project():
    return tomllib.loads(read("pyproject.toml"))


def test_the_citation_has_the_version():
    (version,) = re.findall(r"^version: (.+)$", read("CITATION.cff"), re.MULTILINE)
    assert fastmlp.__version__.startswith(version)


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_actions_are_pinned_by_commit(path):
    for action in re.findall(r"uses: (\S+)", path.read_text(encoding="utf-8")):
        assert action.startswith("./") or re.search(r"@[0-9a-f]{40}$", action), action


def test_wheels_are_built_for_every_python_that_is_claimed(project):
    prefix = "Programming Language :: Python :: 3."
    claimed = {
        "cp3" + line.removeprefix(prefix)
        for line in project["project"]["classifiers"]
        if line.startswith(prefix)
    }
    built = {name.rstrip("-*") for name in project["tool"]["cibuildwheel"]["build"]}
    assert built == claimed | {"cp314t"}


def test_no_command_of_the_readme_needs_an_index_that_has_us():
    """Nothing is published yet: what is installed is this folder or a file."""
    for command in re.findall(r"pip install (.+)", read("README.md")):
        assert not re.search(r"(?<![\w./\[])fastmlp(?![\w./])", command), command


def test_every_engine_is_documented():
    for name in ("amx", "v4", "v3", "neon", "plain"):
        assert f"`{name}`" in read("README.md")
    assert {*_kernels.available()} <= {"amx", "v4", "v3", "neon", "plain"}
