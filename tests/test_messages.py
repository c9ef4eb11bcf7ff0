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


@pytest.mark.skipif(not ERRORS.exists(), reason="there are no pages here")
def test_what_the_reference_quotes_is_said():
    quoted = re.findall(r"^\|[^|*]*\*([^*|]+)\*", ERRORS.read_text("utf-8"), re.M)
    assert len(quoted) > 10
    for quote in quoted:
        if not quote.startswith(SKLEARNS):
            parts = [re.escape(part.strip()) for part in quote.split("…")]
            found = re.compile(".*".join(parts)).search
            assert any(found(words) for _, _, words in MESSAGES), quote
