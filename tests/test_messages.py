"""Every error and warning says something, and what the documentation quotes is said."""

import re
from pathlib import Path

import pytest
from messages import messages

ERRORS = Path(__file__).parents[1] / "docs" / "reference" / "errors.md"
# Raised or warned by scikit-learn's own checks.
SKLEARNS = (
    "The 'alpha' parameter of MLPClassifier must be",
    "Input X contains NaN",
    "X has 3 features, but MLPClassifier is expecting 4",
)
MESSAGES = list(messages())


def test_there_are_messages():
    assert len(MESSAGES) > 100
    assert {kind for _, kind, _ in MESSAGES} > {"ValueError", "TypeError", "warn"}


def test_a_message_is_words_on_one_line():
    """More than a name, and parts that are joined with one space between them."""
    for place, _, words in MESSAGES:
        assert re.search(r"[^\W\d_]{2,}.* ", words), place
        assert not re.search(r"  |\n|^ | $", words), place


def pattern(words):
    """A message, with whatever is filled in."""
    return "(.+)".join(map(re.escape, words.split("…")))


@pytest.mark.skipif(not ERRORS.exists(), reason="there are no pages here")
def test_what_the_reference_quotes_is_said():
    quoted = re.findall(r"^\|[^|*]*\*([^*|]+)\*", ERRORS.read_text("utf-8"), re.M)
    assert len(quoted) > 10
    for quote in quoted:
        if quote.rstrip(" …") in SKLEARNS:
            continue
        # What is filled in is "…" in the quotation or an example, such as 'poisson'.
        assert any(
            re.search(part_of(quote), words) or re.match(pattern(words), quote)
            for _, _, words in MESSAGES
        ), quote


def part_of(quote):
    """What a quotation with gaps is found by in a message with gaps."""
    return ".*".join(re.escape(part.strip()) for part in quote.split("…"))
