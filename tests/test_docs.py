"""The documentation is true: its Python runs, its links lead somewhere.

The pages as they look are tested by test_site.py, on the built site.
"""

import ast
import re
import sys
import tomllib
import warnings
from pathlib import Path

import matplotlib as mpl
import pytest
from sklearn.exceptions import ConvergenceWarning

ROOT = Path(__file__).resolve().parent.parent
pytestmark = pytest.mark.skipif(
    not (ROOT / "docs").is_dir(), reason="the documentation lies in the repository only"
)

PAGES = sorted(
    path
    for path in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
    if not {"_build", "_generated"} & set(path.parts)
)
# Pages whose Python stands by itself, from top to bottom.
RUN = [
    path
    for path in PAGES
    if path.name.startswith("README")
    or {"start", "howto", "learn"} & set(path.relative_to(ROOT).parts)
]
# Their Python needs files that test_howto.py makes, or a cluster.
RUN_ELSEWHERE = ("serve.md", "dask.md")
# Libraries that a page may use and a machine may lack: then those blocks are not run.
MAY_BE_ABSENT = {
    *("fastapi", "mlflow", "onnx", "onnxruntime", "skl2onnx"),
    *("tensorboard", "torch", "tqdm", "wandb"),
}
BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"^```.*?^```|`[^`\n]*`", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
# Code and pictures that a page of Learn shows.
SHOWN = re.compile(
    r"^```\{[\w-]+\} \S*/(fastmlp/\S+.*)$|\(\S*/(\w+\.(?:svg|png))\)", re.MULTILINE
)
# What the build makes.
GENERATED = ("docs/_generated/", "docs/gallery/", "docs/reference/generated/")


def name(path):
    return path.relative_to(ROOT).as_posix()


def anchors(path):
    """The anchors of a page's headings, as GitHub and MyST make them."""
    text = CODE.sub(lambda code: code.group().strip("`"), path.read_text("utf-8"))
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", h.lower()).replace(" ", "-") for h in headings}


def python_blocks(path):
    return BLOCK.findall(path.read_text("utf-8"))


@pytest.fixture
def without_a_screen():
    with mpl.rc_context({"backend": "agg"}):
        yield


@pytest.mark.usefixtures("without_a_screen", "one_blas_thread")
@pytest.mark.parametrize(
    "path",
    [p for p in RUN if python_blocks(p) and p.name not in RUN_ELSEWHERE],
    ids=name,
)
def test_python_of_a_page_runs(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names, absent = {"__name__": "__main__"}, set()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # pages stop early
        for block in python_blocks(path):
            try:
                exec(compile(block, name(path), "exec"), names)
            except ModuleNotFoundError as error:
                library = str(error.name).partition(".")[0]
                if library not in MAY_BE_ABSENT:
                    raise
                absent.add(library)
    if absent:
        pytest.skip(f"not all was run without {', '.join(sorted(absent))}")


@pytest.mark.parametrize("path", PAGES, ids=name)
def test_links_of_a_page_lead_somewhere(path):
    broken = []
    for target in LINK.findall(CODE.sub("", path.read_text("utf-8"))):
        if re.match(r"[a-z]+:", target):
            continue
        file, _, anchor = target.partition("#")
        place = (path.parent / file).resolve() if file else path
        if name(place).startswith(GENERATED):
            continue
        found = place.exists()
        if found and anchor and place.suffix == ".md":
            found = anchor in anchors(place)
        if not found:
            broken.append(target)
    assert not broken


def test_readmes_show_the_same_code():
    english, chinese = (
        python_blocks(ROOT / file) for file in ("README.md", "README.zh-CN.md")
    )
    without_comments = [
        [re.sub(r"  # .*", "", block) for block in blocks]
        for blocks in (english, chinese)
    ]
    assert without_comments[0] == without_comments[1]


def test_readme_is_short():
    lines = (ROOT / "README.md").read_text("utf-8").splitlines()
    assert len(lines) <= 100  # two screens


def test_chinese_pages_stand_beside_the_english():
    docs = ROOT / "docs"
    english = {p.name for p in (docs / "learn").glob("*.md")}
    chinese = {p.name for p in (docs / "zh" / "learn").glob("*.md")}
    assert english == chinese
    for file in english:
        pages = [(d / "learn" / file).read_text("utf-8") for d in (docs, docs / "zh")]
        shown = [SHOWN.findall(page) for page in pages]
        assert shown[0] == shown[1], file


# -- what the build of the site needs, without building it

DOCS = ROOT / "docs"
TOCTREE = re.compile(r"^```\{toctree\}\n(.*?)^```", re.MULTILINE | re.DOTALL)
INCLUDED = re.compile(r"^```\{literalinclude\} (\S+)\n:pyobject: (\S+)", re.MULTILINE)
CYTHON = re.compile(r"^```\{cython-function\} (\S+) (\S+)", re.MULTILINE)


def definitions(path):
    """The dotted names of a Python file's classes, functions and methods."""
    found = set()

    def visit(node, prefix):
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.FunctionDef | ast.ClassDef):
                found.add(prefix + child.name)
                visit(child, f"{prefix}{child.name}.")

    visit(ast.parse(path.read_text("utf-8")), "")
    return found


@pytest.mark.parametrize("path", PAGES, ids=name)
def test_code_that_a_page_shows_is_there(path):
    text = path.read_text("utf-8")
    for file, wanted in INCLUDED.findall(text):
        assert wanted in definitions((path.parent / file).resolve())
    for file, wanted in CYTHON.findall(text):
        source = (path.parent / file).read_text("utf-8")
        assert re.search(rf"^cdef [^#=\n]*\b{wanted}\(", source, re.MULTILINE), wanted


def test_every_page_is_in_a_table_of_contents():
    pages = {p for p in PAGES if DOCS in p.parents}
    listed = {DOCS / "index.md"}
    for path in pages:
        for block in TOCTREE.findall(path.read_text("utf-8")):
            entries = [line for line in block.splitlines() if line and line[0] != ":"]
            targets = [re.sub(r".*<(.*)>", r"\1", entry) for entry in entries]
            for target in targets:  # a name, or with :glob: a pattern
                found = path.parent.glob(f"{target}.md")
                listed |= {page.resolve() for page in found}
    assert pages <= listed, pages - listed


def test_the_docs_extra_has_what_the_gallery_imports():
    """So that ``make docs`` runs in a new environment."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    wanted = [*project["dependencies"], *project["optional-dependencies"]["docs"]]
    installed = {re.match(r"[\w-]+", entry).group() for entry in wanted}
    installed |= {"fastmlp", "sklearn"} | sys.stdlib_module_names
    for path in (ROOT / "examples" / "gallery").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            names = [alias.name for alias in getattr(node, "names", [])]
            if isinstance(node, ast.ImportFrom):
                names = [node.module]
            elif not isinstance(node, ast.Import):
                continue
            for module in names:
                assert module.partition(".")[0] in installed, (path.name, module)
