# `make audit`, `make test`, `make test-long`, `make docs` and `make field`: each creates .venv and installs what it needs. `make dist`
# builds the packages.
PYTHON ?= python3
PROFILE ?= standard
VENV := .venv
BIN := $(VENV)/bin
# what an installation is made of: where one of these changes, it is made again
BUILT := pyproject.toml setup.py constraints.txt $(wildcard suite/dropcheck/contract/*.h suite/dropcheck/count/*.c suite/dropcheck/worker/server/*.c implementations/spatial_dropouts/custom/*.c)
# Keras 2 asks for `tensorflow`, which would be installed over `tensorflow-cpu`; an extra cannot say --no-deps
KERAS2 = $(PIP) --no-deps tf_keras
# pip compiles the 18,000 files that it installs one by one; all processors do it together, without what nothing here imports
PIP = $(BIN)/python -m pip install --quiet --no-compile -c constraints.txt
UNUSED = tests|torch/testing/_internal|torch/_vendor/quack|torchgen|mypy|mypyc|onnx/backend/test|onnxruntime/(transformers|quantization)|sympy/(physics|polys/benchmarks)|orbax|sqlalchemy/testing|dask/(dataframe|array)|tornado/test|jax/_src/internal_test_util
COMPILE = $(BIN)/python -m compileall -qq -j 0 -x '/($(UNUSED))/' $(VENV)/lib || true
# hundreds of processes import the package, some of them told to write no bytecode: compiled once, here
OWN = $(BIN)/python -m compileall -qq suite implementations
# several processes with threads each would take each other's cores; what pytest rewrites while it collects is kept for the next
PYTEST = PYTHONDONTWRITEBYTECODE= OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --dist worksteal -q --durations=20 --durations-min=3
# what JAX compiles runs once or twice in most tests: half of their time went into making it fast; `make test-long` has it as users do
ONCE = JAX_DISABLE_MOST_OPTIMIZATIONS=1
export TF_CPP_MIN_LOG_LEVEL ?= 3

.PHONY: audit test test-long docs field dist clean
audit: $(VENV)/.audit
	$(BIN)/dropcheck audit --all --profile $(PROFILE) --out reports/latest --complete-is-success

# lint-imports and mypy take one processor for a minute: the tests run beside them, and each of them fails the whole
test: $(VENV)/.test
	$(OWN)
	$(BIN)/ruff check suite implementations tests docs/tools examples
	$(BIN)/ruff format --check suite implementations tests docs/tools examples
	# folders by stage, no circles (pyproject.toml); types
	($(BIN)/lint-imports --no-logo --no-cache && $(BIN)/mypy) & types=$$!; $(ONCE) $(PYTEST) -m "not long"; tests=$$?; wait $$types && exit $$tests

# every test, also those that take minutes; of each of these a shorter one asks the same in `make test`
test-long: $(VENV)/.test $(VENV)/.docs
	$(OWN)
	$(PYTEST)

# the documentation as a site: site/index.html, which needs no server and no network
docs: $(VENV)/.docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --quiet --strict
	@echo "Documentation: site/index.html"

# everything that is registered, in every mode: an hour or more
field: $(VENV)/.field
	$(BIN)/dropcheck field --out reports/field --resume

# the source distribution and the wheel, each installed in an environment of its own and tried there
dist:
	rm -rf dist build
	$(PYTHON) -m venv build/make && build/make/bin/python -m pip install --quiet build
	build/make/bin/python -m build --outdir dist
	set -e; for made in dist/*.tar.gz dist/*.whl; do \
	    $(PYTHON) -m venv --clear build/try; build/try/bin/python -m pip install --quiet "$$made" pytest; \
	    (cd build/try; bin/dropcheck --help >help.txt; bin/dropcheck list; bin/dropcheck explain mask.distinct-calls >help.txt; \
	     bin/dropcheck audit custom.reference --select mask,rate --jobs 1; \
	     bin/python -m pytest -q -p no:cacheprovider --dropcheck custom.reference --dropcheck-select rate.zero); \
	    echo "$$made works"; done

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.audit: $(BUILT) | $(VENV)/bin/python
	$(PIP) -e '.[all]'
	$(KERAS2)
	$(COMPILE)
	touch $@

$(VENV)/.test: $(BUILT) | $(VENV)/bin/python
	$(PIP) -e '.[all,test]'
	$(KERAS2)
	$(COMPILE)
	touch $@ $(VENV)/.audit

$(VENV)/.docs: $(BUILT) | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[docs]'
	touch $@

$(VENV)/.field: $(VENV)/.audit
	$(PIP) -e '.[field]'
	$(PIP) --no-deps timm flair
	$(COMPILE)
	touch $@

clean:
	rm -rf $(VENV) reports/latest site dist build
