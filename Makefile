PYTHON ?= python3
PIP = .venv/bin/python -m pip
PYTEST = .venv/bin/python -m pytest --numprocesses auto --dist loadfile
# TORCH=cpu installs PyTorch without the CUDA packages. TORCH_INDEX=URL installs PyTorch from that
# package index: TORCH=cpu requires one where the default index has only CUDA builds (Linux, x86_64).
TORCH ?=
TORCH_INDEX ?=
TORCH_PACKAGES = $(TORCH_INDEX:%=--index-url %) $$(grep '^torch' requirements.txt)

# Of `make torture`; another SEED gives other faults.
MINUTES ?= 20
SEED ?= 0

.PHONY: demo test coverage torture mutation docs clean

demo: .venv/installed  ## the three scripts with config.ini on the embedded data set
	.venv/bin/python make_mel.py
	.venv/bin/python train_teacher.py
	.venv/bin/python train_student.py

test: .venv/installed-dev .venv/installed-web
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	.venv/bin/mkdocs build --strict --quiet --site-dir .site
	$(PYTEST)

torture: .venv/installed-dev  ## random faults against the scripts, see docs/robustness.md
	.venv/bin/python -m tests.faults --minutes $(MINUTES) --seed $(SEED)

coverage: .venv/installed-dev .venv/installed-web  ## the share of each file that the tests run
	$(PYTEST) --cov --cov-report term

mutation: .venv/installed-dev  ## which faults in metrics, losses, splits and config no test finds
	OMP_NUM_THREADS=1 .venv/bin/mutmut run
	.venv/bin/mutmut results

docs: .venv/installed-dev  ## the documentation as a site, .site/index.html
	.venv/bin/mkdocs build --strict --site-dir .site

clean:  ## removes the output of the demo
	rm -rf audio/street_sounds features/street_sounds runs/config

.venv/installed: requirements.txt requirements-tag.txt
	$(PYTHON) -m venv .venv
ifeq ($(TORCH),cpu)
	@if $(PIP) install --dry-run --ignore-installed --quiet --report - $(TORCH_PACKAGES) \
		| grep --quiet '"name": "nvidia-'; then \
		echo 'make: TORCH=cpu: pip finds only CUDA builds of PyTorch; set TORCH_INDEX to a package' \
			'index with CPU builds' >&2; exit 1; fi
endif
	$(PIP) install --quiet $(TORCH_PACKAGES)
	$(PIP) install --quiet --requirement requirements.txt
	touch $@

.venv/installed-dev: requirements-dev.txt requirements-av.txt requirements-hub.txt .venv/installed
	$(PIP) install --quiet --requirement requirements-dev.txt
	touch $@

.venv/installed-web: requirements-web.txt .venv/installed
	$(PIP) install --quiet --requirement requirements-web.txt
	touch $@
