"""What a worker sends back: a result, or the exception that its function raised, as itself."""

from __future__ import annotations

import pickle
import traceback
from collections.abc import Callable
from importlib import import_module
from typing import Any

RESULT, ERROR = "result", "error"
# Times an item is begun: a worker that dies may have been unlucky (another process took the memory), or the item
# kills whoever works on it.
ATTEMPTS = 3


class WorkerDied(RuntimeError):
    """A piece of work whose worker died each time it was tried."""


class WorkerError(RuntimeError):
    """An exception of a worker that cannot be rebuilt here; says class and message."""


def answer_to(request: bytes) -> bytes:
    """Run a pickled (function, item) and pickle what came of it. Never raises but to end the process."""
    try:
        function, item = pickle.loads(request)
        return pickle.dumps((RESULT, function(item)), protocol=pickle.HIGHEST_PROTOCOL)
    except Exception as error:  # whatever it is, it is raised again where the work was asked for
        return pickle.dumps((ERROR, _packed(error)), protocol=pickle.HIGHEST_PROTOCOL)


def request_of(function: Callable[[Any], Any], item: Any) -> bytes:
    """What `answer_to` takes.

    Raises:
        pickle.PicklingError, AttributeError, TypeError: the function is not one of a module, or the item cannot
            travel.
    """
    return pickle.dumps((function, item), protocol=pickle.HIGHEST_PROTOCOL)


def result_of(answer: bytes, described: str) -> Any:
    """The result in an answer.

    Raises:
        Exception: what the function raised, of its own class, with a note that says for which item.
    """
    kind, content = pickle.loads(answer)
    if kind == RESULT:
        return content
    raise _unpacked(content, described)


def _packed(error: BaseException) -> dict[str, Any]:
    """An exception as values that always travel: classes with constructors of their own do not survive pickle."""
    return {
        "module": type(error).__module__,
        "name": type(error).__qualname__,
        "args": tuple(_travelling(value) for value in error.args),
        "state": {name: _travelling(value) for name, value in vars(error).items() if name != "__notes__"},
        "notes": list(getattr(error, "__notes__", ())),
        "message": str(error),
        "trace": "".join(traceback.format_exception(error)),
    }


def _travelling(value: Any) -> Any:
    try:
        pickle.loads(pickle.dumps(value))
    except Exception:  # whatever pickle raises
        return repr(value)
    return value


def _unpacked(packed: dict[str, Any], described: str) -> BaseException:
    error: BaseException
    try:
        found: Any = import_module(packed["module"])
        for name in packed["name"].split("."):
            found = getattr(found, name)
        error = found.__new__(found, *packed["args"])
        error.args = packed["args"]
        error.__dict__.update(packed["state"])
        if str(error) != packed["message"]:
            raise TypeError("says something else when rebuilt")
    except (ImportError, AttributeError, TypeError, ValueError):
        error = WorkerError(f"{packed['module']}.{packed['name']}: {packed['message']}")
    for note in [*packed["notes"], f"while working on {described}"]:
        error.add_note(note)
    error.__cause__ = _Trace(packed["trace"])
    return error


class _Trace(Exception):
    """The worker's traceback, shown above the exception as its cause."""

    def __str__(self) -> str:
        return "\n" + self.args[0]
