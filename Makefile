# `make demo` and `make test` set up everything that they need in .venv.
PYTHON ?= python3
export TF_CPP_MIN_LOG_LEVEL ?= 3

VENV := .venv
INSTALL := $(VENV)/bin/python -m pip install --quiet -c constraints.txt
PYTEST := $(VENV)/bin/python -m pytest
# A file's tests run in one process, so that its fixtures are built once.
PARALLEL := -n 2 --dist loadfile --no-loadscope-reorder

.PHONY: dist test-dist test-config notebook docs fuzz-models demo test test-all test-processes test-end-to-end test-extra-large test-oldest test-nightly test-jax test-torch test-gpu test-study coverage fuzz lint clean

demo: $(VENV)/demo.stamp
	$(VENV)/bin/keras-tnt demo

test: $(VENV)/dev.stamp
	$(PYTEST) $(PARALLEL) -m "not slow"

# The tests of `make test`, and the slow ones.
test-all: $(VENV)/dev.stamp
	$(PYTEST) $(PARALLEL) --durations=60

# Workers, servers, clients, training on JAX, and runs that are killed.
test-processes: $(VENV)/dev.stamp
	$(PYTEST) $(PARALLEL) -m processes --durations=20

# Examples, notebook, demo, guides and distributions as users run them, and models as they
# build them.
test-end-to-end: $(VENV)/dev.stamp
	$(PYTEST) $(PARALLEL) -m end_to_end --durations=20

# Further sizes, formats and options of what the tests above show for one.
test-extra-large: $(VENV)/dev.stamp
	$(PYTEST) $(PARALLEL) -m extra_large

# Layers, models and data at the lower bounds of pyproject.toml, on Python 3.11.
OLDEST := .venv-oldest
test-oldest:
	$(PYTHON) -m venv $(OLDEST)
	grep -oE '"[A-Za-z0-9_-]+>=[0-9.]+' pyproject.toml | tr -d '"' | sed 's/>=/==/' | sort -u > $(OLDEST)/constraints.txt
	$(OLDEST)/bin/python -m pip install --quiet -c $(OLDEST)/constraints.txt -e ".[train]" -e ./demo_data hypothesis pillow pytest scipy
	$(OLDEST)/bin/python -m pytest -m "not slow" tests/layers tests/models tests/data

# Layers and models with the nightly builds of Keras and TensorFlow, in an environment of
# its own: a nightly build shares a directory with the release. KerasHub does not import
# with every nightly build.
NIGHTLY := .venv-nightly
test-nightly:
	$(PYTHON) -m venv $(NIGHTLY)
	$(NIGHTLY)/bin/python -m pip install --quiet -c constraints.txt -e ".[dev,export]" -e ./demo_data
	$(NIGHTLY)/bin/python -m pip uninstall --quiet --yes keras tensorflow
	$(NIGHTLY)/bin/python -m pip install --quiet --force-reinstall --no-deps keras-nightly tf-nightly
	$(NIGHTLY)/bin/python -m pytest -m "not slow" tests/layers tests/models

# The core on Keras's other backends, without TensorFlow. Training on JAX, whose batches
# TensorFlow makes, is part of `make test-processes`. PyTorch's wheel for Linux
# brings CUDA: 5.5 GB.
CORE := keras h5py huggingface_hub ml_dtypes safetensors pillow pytest pytest-xdist
test-jax test-torch: test-%:
	$(PYTHON) -m venv .venv-$*
	.venv-$*/bin/python -m pip install --quiet -c constraints.txt $* $(CORE)
	.venv-$*/bin/python -m pip install --quiet --no-deps -e .
	KERAS_BACKEND=$* .venv-$*/bin/python -m pytest -n 2 tests/backends tests/weights/test_pytorch_files.py

# Both benchmarks for GPUs at toy sizes on the CPU: JAX, PyTorch and timm, all rows.
test-gpu:
	$(PYTHON) -m venv .venv-gpu
	.venv-gpu/bin/python -m pip install --quiet -c constraints.txt jax torch timm $(CORE)
	.venv-gpu/bin/python -m pip install --quiet --no-deps -e .
	KERAS_BACKEND=jax .venv-gpu/bin/python -m pytest tests/backends/test_gpu.py tests/backends/test_gpu_study.py

test-study: $(VENV)/dev.stamp
	$(PYTEST) projects/inner_attention_study

coverage: $(VENV)/dev.stamp
	$(PYTEST) $(PARALLEL) --cov --cov-report=
	$(PYTEST) $(PARALLEL) -m "processes or end_to_end" --cov --cov-append

# 20,000 damaged images against a SavedModel, in its own process.
fuzz: $(VENV)/dev.stamp
	$(VENV)/bin/python benchmarks/serving_fuzz.py

# 300 models as users build them: saved, trained, exported, explained. About an hour.
fuzz-models: $(VENV)/dev.stamp
	RANDOM_MODELS=300 $(PYTEST) -m end_to_end tests/test_random_models.py

lint: $(VENV)/dev.stamp
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/lint-imports
	$(VENV)/bin/mypy

# Workflows, forms, containers and manifests against their schemas.
test-config: $(VENV)/dev.stamp
	$(PYTEST) tests/test_repository.py

# The notebook's cells again, with their outputs in place.
notebook: $(VENV)/dev.stamp
	$(VENV)/bin/python scripts/run_notebook.py

# The documentation site, in site/. A broken link or reference ends it.
docs: $(VENV)/dev.stamp
	NO_MKDOCS_2_WARNING=1 $(VENV)/bin/mkdocs build

# Wheels and sdists of the package and of the demo's images in dist/, as PyPI takes them.
dist:
	$(PYTHON) -m venv .venv-release
	.venv-release/bin/python -m pip install --quiet build twine
	rm -rf dist
	.venv-release/bin/python -m build
	.venv-release/bin/python -m build --outdir dist demo_data
	.venv-release/bin/python -m twine check --strict dist/*

# Wheels and sdists in new environments, with what they depend on, as users install them.
test-dist: dist
	for kind in whl tar.gz; do \
	    $(PYTHON) -m venv --clear .venv-dist && \
	    .venv-dist/bin/python -m pip install --quiet -c constraints.txt dist/keras_tnt-*.$$kind && \
	    .venv-dist/bin/python -I scripts/check_installation.py && \
	    .venv-dist/bin/python -m pip install --quiet -c constraints.txt dist/keras_tnt_demo_data-*.$$kind "$$(echo dist/keras_tnt-*.$$kind)[demo]" && \
	    (cd .venv-dist && bin/keras-tnt demo --epochs 1) || exit 1; \
	done

clean:
	rm -rf site $(VENV) $(OLDEST) .venv-release .venv-dist $(NIGHTLY) .venv-jax .venv-torch .venv-gpu dist build .coverage .pytest_cache .ruff_cache .mypy_cache .import_linter_cache .hypothesis

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/demo.stamp: pyproject.toml demo_data/pyproject.toml constraints.txt | $(VENV)/bin/python
	$(INSTALL) -e ".[demo]" -e ./demo_data
	touch $@

$(VENV)/dev.stamp: pyproject.toml demo_data/pyproject.toml constraints.txt | $(VENV)/bin/python
	$(INSTALL) -e ".[demo,dev,export]" -e ./demo_data
	touch $@ $(VENV)/demo.stamp
