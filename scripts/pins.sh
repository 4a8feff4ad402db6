#!/usr/bin/env bash
# Freeze everything that `make book` and `make test` install into requirements.txt.
# torch's own CUDA packages stay out: which of them are needed depends on the machine.
set -euo pipefail
cd "$(dirname "$0")/.."

python=${1:-python3.11}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

"$python" -m venv "$folder/env"
"$folder/env/bin/python" -m pip install --quiet torch==2.13.0 --editable '.[dev]'
{
    echo "# Exact pins of everything that the book is built and tested with."
    echo "# Made by \`make pins\`: the \`dev\` extra of pyproject.toml, frozen in a fresh Python 3.11 environment,"
    echo "# without the CUDA packages that torch itself brings where they are needed."
    "$folder/env/bin/python" -m pip freeze --all --exclude-editable |
        grep -viE '^(pip|nvidia-|cuda-|triton)' |
        sed 's/^\(torch==[^+]*\)+.*/\1/'
} >"$folder/requirements.txt"
mv "$folder/requirements.txt" requirements.txt
