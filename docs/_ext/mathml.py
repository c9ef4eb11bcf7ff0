"""Formulas as MathML: readable without internet, without JavaScript, at any size.

docutils translates LaTeX into MathML; Sphinx by itself offers pictures or MathJax.
"""

from docutils import nodes
from docutils.utils.math import MathError
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx.util import logging

logger = logging.getLogger(__name__)


def translate(node, block):
    """The formula in MathML; one that docutils does not know breaks the build."""
    try:
        return tex2mathml(node.astext(), as_block=block)
    except MathError as error:
        logger.warning("formula %r: %s", node.astext(), error, location=node)
        return ""


def visit_inline(writer, node):
    """A formula in a line of text."""
    writer.body.append(translate(node, block=False))
    raise nodes.SkipNode


def visit_block(writer, node):
    """A formula by itself, which scrolls where the screen is narrower."""
    writer.body.append(f'<div class="formula">{translate(node, block=True)}</div>\n')
    raise nodes.SkipNode


def setup(app):
    """Register the renderer `html_math_renderer = "mathml"`."""
    app.add_html_math_renderer(
        "mathml",
        inline_renderers=(visit_inline, None),
        block_renderers=(visit_block, None),
    )
    return {"parallel_read_safe": True, "parallel_write_safe": True}
