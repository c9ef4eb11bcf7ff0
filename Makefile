# `make docs` builds the site into docs/_build/html, in an environment of its own;
# `make docs PYTHON=python` does it in the one that is active.
ifeq ($(origin PYTHON), undefined)
PYTHON := .venv-docs/bin/python
ENVIRONMENT := .venv-docs/installed
endif
SITE := docs/_build/html

.PHONY: docs docs-check docs-clean

docs: $(ENVIRONMENT)
	$(PYTHON) -m sphinx -b html -W --keep-going -q docs $(SITE)
	@echo "the site is in $(SITE)/index.html"

# Every page in a browser: links, errors, phone width. Needs Debian's chromium.
docs-check: docs
	FASTMLP_SITE=$(SITE) $(PYTHON) -m pytest -q -p no:cacheprovider -m soak tests/test_site.py

docs-clean:
	rm -rf docs/_build docs/_generated docs/gallery docs/reference/generated

.venv-docs/installed: pyproject.toml
	python3 -m venv .venv-docs
	.venv-docs/bin/python -m pip install --quiet --editable ".[docs]"
	touch $@
