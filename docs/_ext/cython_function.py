"""`cython-function`: shows a function of a Cython file, by its name.

literalinclude's own `:pyobject:` reads Python only. By name, because line numbers do
not survive the next edit; a name that is gone breaks the build.

    ```{cython-function} ../../fastmlp/_kernels/optimizers.pxd momentum
    ```
"""

import re
from pathlib import Path

from sphinx.directives.code import LiteralInclude


def find_function(text, name):
    """First and last line, from 1, of a `cdef` function; ValueError without it."""
    lines = text.splitlines()
    begins = re.compile(rf"cdef [^#=]*\b{re.escape(name)}\(")
    first = next((i for i, line in enumerate(lines) if begins.match(line)), None)
    if first is None:
        raise ValueError(f"no function {name!r}")
    last = first
    for i in range(first + 1, len(lines)):
        # The body is indented; a signature of several lines ends at its margin.
        if lines[i] and not lines[i].startswith((" ", ")")):
            break
        if lines[i]:
            last = i
    return first + 1, last + 1


class CythonFunction(LiteralInclude):
    """Two arguments: a path, as literalinclude takes it, and a function's name."""

    required_arguments = 2
    final_argument_whitespace = False

    def run(self):
        """Show the function's lines."""
        path, name = self.arguments
        _, file = self.env.relfn2path(path)
        try:
            first, last = find_function(Path(file).read_text(encoding="utf-8"), name)
        except (OSError, ValueError) as error:
            message = f"{path}: {error}"
            return [self.state.document.reporter.warning(message, line=self.lineno)]
        self.arguments = [path]
        self.options.setdefault("language", "cython")
        self.options["lines"] = f"{first}-{last}"
        return super().run()


def setup(app):
    """Register the directive."""
    app.add_directive("cython-function", CythonFunction)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
