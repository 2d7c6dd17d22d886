"""Import the user's modules; what goes wrong there becomes one line with file:line and a remedy."""

import inspect
import sys
import sysconfig
from collections.abc import Iterator
from functools import partial
from importlib import import_module
from pathlib import Path
from traceback import walk_tb
from types import ModuleType

from common.errors import ConfigError

OURS = ("common", "producer", "consumer", "ops", "tidings")
"""Our top-level packages: a user's package of one of these names cannot be imported beside them."""

_ROOT = Path(__file__).resolve().parent.parent
_LIBRARIES = tuple(
    Path(sysconfig.get_path(kind)).resolve() for kind in ("stdlib", "purelib", "platlib")
)


def load_module(name: str) -> ModuleType:
    """Import a module by its dotted name; the current directory is looked at last.

    Raises ConfigError in one line: the module is not there, has the name of a package of ours, or
    raised while it was imported (with the deepest line of the user's own code).
    """
    if not all(part.isidentifier() for part in name.split(".")):
        message = f"'{name}' is not the name of a module; write shop.handlers, not shop/handlers.py"
        raise ConfigError(message)
    _see_current_directory()
    try:
        return import_module(name)
    except ConfigError:
        raise  # a decorator of ours found it, and has said where
    except ImportError as error:
        raise ConfigError(_import_problem(name, error)) from error
    except (Exception, SystemExit) as error:  # whatever a module does when it is imported
        raise ConfigError(_raised(name, error)) from error


def location_of(function: object) -> str:
    """Return where a function is written: `shop/handlers.py:12`, relative to the current folder."""
    while isinstance(function, partial):
        function = function.func
    if callable(function):
        function = inspect.unwrap(function)
    code = getattr(function, "__code__", None)
    if code is None:
        kind = function if isinstance(function, type) else type(function)
        return f"{kind.__module__}.{kind.__qualname__}"
    return _place(code.co_filename, code.co_firstlineno)


def _see_current_directory() -> None:
    """Append, not prepend: nothing of the user's hides a library by accident."""
    here = str(Path.cwd())
    if here not in sys.path and "" not in sys.path:
        sys.path.append(here)


def _import_problem(name: str, error: ImportError) -> str:
    missing = error.name or ""
    hidden = _hidden_by_us(missing.partition(".")[0])
    if hidden is not None:
        return (
            f"{hidden} has the name of a package of Tidings and cannot be imported beside it: "
            f"rename it ({error})"
        )
    asked_for = missing == name or name.startswith(f"{missing}.")
    if isinstance(error, ModuleNotFoundError) and missing and asked_for:
        return (
            f"no module named '{name}' ({error}); run from the folder that holds it, "
            "or correct TIDINGS_MODULES"
        )
    return _raised(name, error)


def _hidden_by_us(top: str) -> Path | None:
    """Find a module or package of the user's that has the name of one of ours."""
    if top not in OURS:
        return None
    for entry in sys.path:
        for candidate in (Path(entry, top), Path(entry, f"{top}.py")):
            if candidate.exists() and candidate.resolve() != _ROOT / top:
                return candidate
    return None


def _raised(name: str, error: BaseException) -> str:
    text = " ".join(str(error).split())[:300]
    problem = f"{type(error).__name__}: {text}" if text else type(error).__name__
    if isinstance(error, SyntaxError) and error.filename:
        problem = f"{type(error).__name__}: {error.msg}"
        return f"{_place(error.filename, error.lineno or 0)}: {problem} (importing {name})"
    places = list(_user_places(error))
    where = places[-1] if places else name
    return f"{where}: {problem} (importing {name})"


def _user_places(error: BaseException) -> Iterator[str]:
    """Yield the lines of the traceback that are neither Python's, a library's nor ours."""
    for frame, line in walk_tb(error.__traceback__):
        file = frame.f_code.co_filename
        if file.startswith("<"):
            continue
        path = Path(file).resolve()
        ours = any(path.is_relative_to(_ROOT / package) for package in OURS)
        if not ours and not any(path.is_relative_to(folder) for folder in _LIBRARIES):
            yield _place(file, line)


def _place(file: str, line: int) -> str:
    path = Path(file)
    if path.is_relative_to(Path.cwd()):
        path = path.relative_to(Path.cwd())
    return f"{path}:{line}"
