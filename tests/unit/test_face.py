"""The face: the public names, the test helper, and folders of the user's that have our names."""

import sqlite3
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from pydantic import BaseModel, field_validator

import tidings
from common.deadletter import Reason
from tidings import Context, Event, Reject, Retry, Snooze, Transaction, handler
from tidings.neighbours import collision
from tidings.testing import Dead, Done, RetryIn, deliver

ROOT = Path(__file__).resolve().parents[2]


@dataclass
class Order:
    order: int


@handler("order.created", attempts=3)
async def charge(order: Order, ctx: Context) -> None:
    if ctx.state is not None:
        raise ctx.state


class Mute(Exception):
    def __str__(self) -> str:
        raise RuntimeError("I will not say")


class Moody(BaseModel):
    order: int

    @field_validator("order")
    @classmethod
    def _looked_up(cls, value: int) -> int:
        raise {1: KeyError("no such order"), 2: Mute()}[value]


@handler("order.looked.up")
async def look_up(order: Moody) -> None:
    """Never runs: its model's validator raises."""


@handler("order.created")
def charge_plainly(order: Order) -> None:
    """A plain function."""


def order(number: object = 7) -> Event:
    return Event("order.created", {"order": number})


def test_every_public_name_can_be_had() -> None:
    for name in tidings.__all__:
        assert getattr(tidings, name) is not None
    assert set(dir(tidings)) == set(tidings.__all__)
    with pytest.raises(AttributeError, match="no attribute 'handlers'"):
        tidings.handlers  # noqa: B018 - the access is the point


async def test_delivering_to_a_handler_returns_its_outcome() -> None:
    assert await deliver(charge, order()) == Done()
    assert await deliver(charge_plainly, order()) == Done()


@pytest.mark.parametrize(
    ("error", "attempt", "outcome"),
    [
        (ValueError("x"), 1, RetryIn(0.5)),
        (ValueError("x"), 3, Dead(Reason.ATTEMPTS_SPENT)),
        (Retry(after=9), 1, RetryIn(9.0)),
        (Snooze(for_=9), 3, RetryIn(9.0, counted=False)),
        (Reject("no"), 1, Dead(Reason.REJECTED)),
        (ExceptionGroup("g", [Reject("no")]), 1, Dead(Reason.REJECTED)),
        (SystemExit(1), 1, RetryIn(0.5)),
    ],
)
async def test_delivering_decides_as_in_production(
    error: BaseException, attempt: int, outcome: object
) -> None:
    assert await deliver(charge, order(), state=error, attempt=attempt) == outcome


async def test_delivering_validates_and_decodes_as_in_production() -> None:
    assert await deliver(charge, order("seven")) == Dead(Reason.INVALID_PAYLOAD)
    assert await deliver(charge, b"{nope") == Dead(Reason.MALFORMED)
    assert await deliver(charge, b'{"order": 7}') == Done()


@pytest.mark.parametrize("number", [1, 2])
async def test_whatever_a_validator_raises_is_an_invalid_payload(number: int) -> None:
    event = Event("order.looked.up", {"order": number})

    assert await deliver(look_up, event) == Dead(Reason.INVALID_PAYLOAD)


async def test_delivering_to_what_is_no_handler_says_so() -> None:
    with pytest.raises(tidings.ConfigError, match="not decorated"):
        await deliver(order, order())


def test_nothing_collides_in_an_empty_folder_or_in_this_checkout(tmp_path: Path) -> None:
    assert collision(ROOT, tmp_path) is None
    assert collision(ROOT, ROOT) is None


@pytest.mark.parametrize("name", ["common", "producer", "consumer", "ops"])
def test_a_package_or_module_of_our_name_is_found(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()
    assert collision(ROOT, tmp_path) is None, "a folder without code harms nobody"
    (tmp_path / name / "__init__.py").touch()
    assert collision(ROOT, tmp_path) == tmp_path / name
    (tmp_path / name / "__init__.py").unlink()
    (tmp_path / f"{name}.py").touch()
    assert collision(ROOT, tmp_path) == tmp_path / f"{name}.py"


@pytest.mark.parametrize(
    "command",
    [[sys.executable, "-c", "import tidings"], [sys.executable, "-m", "tidings", "--help"]],
    ids=["import tidings", "the command"],
)
def test_a_folder_that_hides_ours_ends_the_start_with_78_and_one_line(
    tmp_path: Path, command: list[str]
) -> None:
    (tmp_path / "common").mkdir()
    (tmp_path / "common" / "__init__.py").touch()

    ended = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=30
    )

    assert ended.returncode == 78
    assert len(ended.stderr.splitlines()) == 1
    assert f"{tmp_path / 'common'}: " in ended.stderr
    assert "rename yours" in ended.stderr


def test_importing_the_face_imports_no_broker_library() -> None:
    code = "import tidings.__main__, sys; sys.exit('aio_pika' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=30).returncode == 0


async def test_a_handler_with_a_transaction_is_tested_on_a_database_of_the_test() -> None:
    """Given one that fails after its effect, and one that finishes: only that one's is kept."""
    database = sqlite3.connect(":memory:", isolation_level=None)
    database.execute("CREATE TABLE effects (event TEXT)")

    @handler("order.created")
    async def pay(event: Event, tx: Transaction) -> None:
        tx.execute("INSERT INTO effects VALUES (?)", (event.id,))
        if event.id == "bad":
            raise ValueError("after the effect")

    bad = await deliver(pay, Event("order.created", id="bad"), database=database)
    good = await deliver(pay, Event("order.created", id="good"), database=database)

    assert isinstance(bad, RetryIn)
    assert good == Done()
    assert database.execute("SELECT event FROM effects").fetchall() == [("good",)]
    database.close()
