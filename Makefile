PYTHON ?= python3

.PHONY: demo test docs clean

demo: .venv/installed  ## the three scripts with config.ini on the embedded data set
	.venv/bin/python make_mel.py
	.venv/bin/python train_teacher.py
	.venv/bin/python train_student.py

test: .venv/installed .venv/installed-web
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mkdocs build --strict --quiet --site-dir .site
	.venv/bin/python -m pytest --numprocesses auto --dist loadfile

docs: .venv/installed  ## the documentation as a site, .site/index.html
	.venv/bin/mkdocs build --strict --site-dir .site

clean:  ## what the demo left behind
	rm -rf audio/street_sounds features/street_sounds runs/config

.venv/installed: requirements.txt
	$(PYTHON) -m venv .venv
	.venv/bin/python -m pip install --quiet --requirement requirements.txt
	touch $@

.venv/installed-web: requirements-web.txt .venv/installed
	.venv/bin/python -m pip install --quiet --requirement requirements-web.txt
	touch $@
