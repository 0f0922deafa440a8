#!/usr/bin/env bash
# Makes the virtual environment named by $1 with exactly the locked dependencies.
# Every way it can fail ends with one line that says what is missing.
set -euo pipefail
venv=$1
python=${PYTHON:-python3}

missing() { printf 'setup: %s\n' "$1" >&2; exit 1; }

command -v "$python" >/dev/null || missing "no $python on PATH: install Python 3.11 or newer (Debian: apt-get install python3 python3-venv)"
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
    || missing "$("$python" --version) is too old: Longhaul needs Python 3.11 or newer; name one with PYTHON=python3.12"
"$python" -c 'import ensurepip, venv' 2>/dev/null \
    || missing "$python cannot make virtual environments: apt-get install python3-venv"
command -v gcc >/dev/null || missing "no gcc on PATH: apt-get install gcc (some wheels are compiled where none fits)"

say() { printf 'setup: %s\n' "$1" >&2; }

if ! "$venv/bin/python" -c '' 2>/dev/null; then
    say "making the virtual environment in $venv"
    "$python" -m venv --clear "$venv" || missing "could not make $venv"
fi
say "installing uv"
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-uv.lock 2>"$venv/pip.log" \
    || { tail -n 5 "$venv/pip.log" >&2; missing "pip could not install uv: is a package registry reachable?"; }
say "installing $(grep -c '^[a-z0-9]' requirements-dev.lock) locked packages"
"$venv/bin/uv" pip sync --quiet --python "$venv/bin/python" --require-hashes requirements-dev.lock requirements-uv.lock \
    || missing "uv could not install the locked packages: see its message above"
"$venv/bin/uv" pip install --quiet --python "$venv/bin/python" --no-deps --no-build-isolation --editable clients/python --editable . \
    || missing "uv could not install longhaul itself: see its message above"
say "ready"
