"""Docstrings that read well in a terminal, made safe for reStructuredText.

There `coefs_` would be a link, `a**b` bold and `|W|` a substitution. What ends with an
underscore becomes code; stars and bars stand for themselves.
"""

import re

CODE = re.compile(r"``.*?``|:[\w:]+:`.*?`|`.*?`_{0,2}")
NAME = re.compile(r"(?<![\w`.])([A-Za-z]\w*_)(?![\w`])")
# numpydoc writes **name** and *type* for parameters, and `..` for directives.
ENTRY = re.compile(r"\S.* : ")  # `name : type`, whose name numpydoc quotes itself
FORMULA = re.compile(r"(?<=\S)\*\*(?=[\w(])|(?<![\w\\])\|(?=\w)|(?<=\w)\|(?!\w)")


def protect(text):
    """The text with everything outside of code made literal."""
    parts, end = [], 0
    for code in CODE.finditer(text):
        parts += [escape(text[end : code.start()]), code.group()]
        end = code.end()
    return "".join([*parts, escape(text[end:])])


def escape(text):
    """Names with a trailing underscore as code, and formulas' signs escaped."""
    text = NAME.sub(r"``\1``", text)
    return FORMULA.sub(lambda sign: "".join("\\" + c for c in sign.group()), text)


def process(app, what, name, obj, options, lines):
    """Change the lines in place, before numpydoc reads them; not its headings."""
    in_examples = False
    for i, line in enumerate(lines):
        if i + 1 < len(lines) and set(lines[i + 1].strip()) == {"-"}:
            in_examples = line.strip() == "Examples"
        if not in_examples and not line.lstrip().startswith(">>>"):
            entry, colon, text = (
                line.rpartition(" : ") if ENTRY.match(line) else ("", "", line)
            )
            lines[i] = entry + colon + protect(text)


def setup(app):
    """Before numpydoc, whose priority is 500."""
    app.connect("autodoc-process-docstring", process, priority=400)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
