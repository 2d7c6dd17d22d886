"""Fails when a Python file is too long: then it has two reasons to exist."""

import sys
from pathlib import Path

LIMIT = 300
FOLDERS = (
    *("common", "producer", "consumer", "ops", "tidings"),
    *("tests", "examples", "benchmarks", ".ci"),
)

long = False
for folder in FOLDERS:
    for path in sorted(Path(folder).rglob("*.py")):
        lines = len(path.read_text(encoding="utf-8").splitlines())
        if lines > LIMIT:
            long = True
            print(f"{path}: {lines} lines, {LIMIT} at most: split it by reason to exist")
sys.exit(long)
