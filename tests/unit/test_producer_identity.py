"""Random ids: UUIDs, and nobody's twice."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import UUID

import pytest

from producer.identity import BLOCK, new_id

ROOT = Path(__file__).resolve().parents[2]

FORKED = """
import os
from producer.identity import new_id
print(new_id(), flush=True)  # the first of a block: the others are ready
child = os.fork()
if child:
    os.waitpid(child, 0)  # so that their lines do not mix
print(new_id(), flush=True)
"""


def test_an_id_is_a_random_uuid_as_python_writes_it() -> None:
    for _ in range(3 * BLOCK):
        identity = new_id()
        found = UUID(identity)
        assert str(found) == identity
        assert (found.version, found.variant) == (4, "specified in RFC 4122")


def test_no_id_comes_twice_from_several_threads() -> None:
    with ThreadPoolExecutor(8) as threads:
        ids = [one for ids in threads.map(lambda _: _many(), range(8)) for one in ids]

    assert len(set(ids)) == len(ids)


def _many() -> list[str]:
    return [new_id() for _ in range(20 * BLOCK)]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
def test_processes_that_fork_from_one_have_no_id_in_common() -> None:
    said = subprocess.run(
        [sys.executable, "-c", FORKED], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split()

    assert len(said) == 3
    assert len(set(said)) == 3
