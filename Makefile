# Every target does its own set-up on a fresh Debian 12: packages by apt (as root, or through sudo), two
# virtual environments, each behind a stamp, so that nothing asks the network twice.

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules

deb  := .venv/deb
pypi := .venv/pypi
# A package is built, and a system tested, with Debian's programs alone, whatever comes first in PATH.
debian_path := PATH=/usr/sbin:/usr/bin:/sbin:/bin

sources := $(shell find etc jobctl jobworkerd packaging docs/man pyproject.toml README.md LICENSE CHANGELOG.md -type f -not -name "*.pyc" 2>/dev/null)

# As it was typed: make would take the $ of a shell command for its own.
override CMD := $(value CMD)
export CMD

help: ## says what there is
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 16

setup: $(deb).stamp $(pypi).stamp ## Debian's packages and both virtual environments

.venv/packages.stamp: tools/debian-packages tools/setup
	tools/setup
	@mkdir -p $(@D) && touch $@

.venv/%.stamp: tools/requirements-%.txt tools/venv .venv/packages.stamp
	tools/venv $*
	@touch $@

check: $(pypi).stamp ## format, lint, types
	$(pypi)/bin/ruff format --check
	$(pypi)/bin/ruff check
	$(pypi)/bin/mypy

stubs: $(pypi).stamp ## generates the stubs of jobworkerd/v1 again
	PYTHON=$(pypi)/bin/python jobworkerd/v1/generate

deb: dist/.stamp ## builds the package into dist/

dist/.stamp: $(sources) tools/deb .venv/packages.stamp
	$(debian_path) tools/deb
	@touch $@

test: setup dist/.stamp ## every test this machine can run
	$(debian_path) tools/test

soak: setup dist/.stamp ## the long form of the tests; SOAK_MINUTES bounds it
	$(debian_path) JOBWORKER_SOAK=1 SOAK_MINUTES=$${SOAK_MINUTES:-60} $(deb)/bin/python -m pytest -m "soak or long" --timeout 0

serve: $(deb).stamp ## a worker in the foreground, state under .dev/
	@$(deb)/bin/python tools/dev.py serve

run: $(deb).stamp ## a worker, a job in it, its record; CMD='uname -a' for another job
	@$(deb)/bin/python tools/dev.py run

bench: setup ## the benchmark table; BENCH="logs start" for some of it, BENCH_GB, BENCH_ROUNDS, BENCH_PYTHON
	@$(debian_path) $${BENCH_PYTHON:-$(deb)/bin/python} -m bench $(BENCH)

clean: ## removes what all of these made
	rm -rf .venv .dev .cache dist build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

.PHONY: help setup check stubs deb test soak serve run bench clean
