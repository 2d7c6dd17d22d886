"""Find a folder of the user's that has the name of one of our packages, before it does harm.

Our packages are `common`, `producer`, `consumer` and `ops`; a project with one of these names at
its top either hides ours or is hidden by it. One line says which folder to rename.
"""

import importlib.util
import sys
from pathlib import Path

ROOMS = ("common", "producer", "consumer", "ops")
EXIT_CONFIG = 78  # as in common.errors, which may be the very module that cannot be imported


def refuse_name_collisions() -> None:
    """End the process with one line when a name is taken twice."""
    found = collision(Path(__file__).resolve().parent.parent, _working_directory())
    if found is not None:
        sys.stderr.write(
            f"tidings: {found}: a package of this name is part of Tidings, and only one of the two "
            "can be imported; rename yours\n"
        )
        raise SystemExit(EXIT_CONFIG)


def collision(ours: Path, working: Path | None) -> Path | None:
    """Return the user's folder or file whose name collides, if there is one."""
    for room in ROOMS:
        spec = importlib.util.find_spec(room)
        where = Path(spec.origin).resolve() if spec and spec.origin else None
        if where is not None and where.parent != ours / room:
            return where.parent if where.name == "__init__.py" else where
        hidden = None if working is None else _package_in(working, room)
        if hidden is not None and hidden.resolve() not in (ours / room, ours / f"{room}.py"):
            return hidden
    return None


def _package_in(folder: Path, name: str) -> Path | None:
    if (folder / "tidings" / "__init__.py").exists():
        return None  # a checkout of Tidings itself
    if (folder / name / "__init__.py").exists():
        return folder / name
    if (folder / f"{name}.py").exists():
        return folder / f"{name}.py"
    return None


def _working_directory() -> Path | None:
    try:
        return Path.cwd()
    except OSError:  # it was deleted
        return None
