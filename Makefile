# `make demo` and `make test` set up everything that they need in .venv.
PYTHON ?= python3
export TF_CPP_MIN_LOG_LEVEL ?= 3

VENV := .venv
INSTALL := $(VENV)/bin/python -m pip install --quiet -c constraints.txt

.PHONY: demo test lint clean

demo: $(VENV)/demo.stamp
	$(VENV)/bin/keras-tnt demo

test: $(VENV)/dev.stamp
	$(VENV)/bin/python -m pytest -n 2 -m "not slow" --cov --cov-report=
	$(VENV)/bin/python -m pytest -m slow --cov --cov-append

lint: $(VENV)/dev.stamp
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .

clean:
	rm -rf $(VENV) dist build .coverage .pytest_cache .ruff_cache .hypothesis

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/demo.stamp: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(INSTALL) -e ".[demo]"
	touch $@

$(VENV)/dev.stamp: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(INSTALL) -e ".[demo,dev,export]"
	touch $@ $(VENV)/demo.stamp
