# For newcomers: make demo, make test. Each sets up all it needs.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
READY := .venv/ready
# The address in pip's settings by pip's own order: a variable, [install], then [global]; uv reads none of them.
PIP_INDEX := awk -F"'" '{at[$$1] = $$2} END {env = at[":env:.index-url="]; install = at["install.index-url="]; \
	print env ? env : install ? install : at["global.index-url="]}'
# The website, every link checked; the variable silences an advertisement for its successor.
MKDOCS := NO_MKDOCS_2_WARNING=1 .venv/bin/mkdocs build --strict --quiet

.PHONY: demo test test-slow test-all check docs bench soak model serve clean

demo: $(READY)
	.venv/bin/xpfeh demo --out demo

# Two at a time, whole files: fixtures are shared within a file.
test: $(READY)
	.venv/bin/python -m pytest -m "not slow" -n 2 --dist loadfile

test-slow: $(READY)
	.venv/bin/python -m pytest -m slow

test-all: test test-slow

check: $(READY)
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	$(MKDOCS)
	.venv/bin/python -m build --outdir build/dist

docs: $(READY)
	.venv/bin/python docs/tables.py
	$(MKDOCS)

bench: $(READY)
	taskset -c 0 .venv/bin/python tests/benchmarks/run.py
	.venv/bin/python tests/benchmarks/scale.py
	.venv/bin/python tests/benchmarks/online.py

soak: $(READY)
	XPFEH_KILLS=20 .venv/bin/python -m pytest tests/commands/test_catalog_faults.py -k killed

# The model that the package ships: three minutes on two cores.
model: $(READY)
	.venv/bin/xpfeh pretrain --workers 2 --out platform/xpfeh/inference/pretrained

serve: $(READY)
	.venv/bin/xpfeh serve

clean:
	rm -rf .venv demo

# By uv, three times as fast as pip, from the index that pip is set up with; by pip where uv cannot be had. Without
# compiled modules each process that loads TensorFlow, Ray and MLflow starts 8 s later.
$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	.venv/bin/python -m pip install --disable-pip-version-check --quiet -c constraints.txt uv \
		&& UV_DEFAULT_INDEX="$${UV_DEFAULT_INDEX:-$$(.venv/bin/python -m pip config list | $(PIP_INDEX))}" \
			.venv/bin/uv pip install --compile-bytecode --python .venv/bin/python -c constraints.txt -e '.[all,dev]' \
		|| .venv/bin/python -m pip install --disable-pip-version-check -c constraints.txt -e '.[all,dev]'
	.venv/bin/python -m compileall -q platform
	touch $(READY)
