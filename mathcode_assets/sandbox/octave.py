"""GNU Octave inside the worker: loaded and warmed once, run in a fork for each snippet.

Octave is a library with a small main program. This is that main program, stopped between the start of the interpreter
and the execution of its script: `application(argc, argv)`, `create_interpreter()`, `initialize()`, and in the fork
`execute()` and `shutdown()`. So a snippet needs no program to be started, and the confinement of Python snippets, which
forbids it, holds for Octave's as well. The functions are called by their C++ names (Itanium ABI), which have been the
same since Octave 6; a version that lacks one cannot be used, and says which.

Runs in the worker, with the standard library only.
"""

from __future__ import annotations

import ctypes
import os
import re

SCRIPT = "snippet.m"
ARGUMENTS = ("octave-cli", "--norc", "--no-history", "--quiet", "--no-window-system", "--no-line-editing", SCRIPT)

# The application object has some 500 bytes in version 7; its constructor writes no further.
APPLICATION_BYTES = 1 << 16
CONSTRUCTOR = "_ZN6octave11applicationC2EiPPc"
# The constructor of octave-cli's own class is inline: the table of its methods is not.
METHODS = "_ZTVN6octave15cli_applicationE"
METHODS_OFFSET = 2 * ctypes.sizeof(ctypes.c_void_p)
CREATE = "_ZN6octave11application18create_interpreterEv"
INITIALIZE = "_ZN6octave11interpreter10initializeEv"
EXECUTE = "_ZN6octave11interpreter7executeEv"
SHUTDOWN = "_ZN6octave11interpreter8shutdownEv"
SOURCE_FILE = "_ZN6octave11interpreter11source_fileERKNSt7__cxx1112basic_stringIcSt11char_traitsIcESaIcEEES8_bb"
# Comments and empty lines before a definition.
FUNCTION_FIRST = re.compile(r"(?:[ \t]*(?:[%#][^\r\n]*)?\r?\n)*[ \t]*(?=function\b)")


class _String(ctypes.Structure):
    """libstdc++'s std::string, to be read only."""

    _fields_ = (("text", ctypes.c_char_p), ("n_bytes", ctypes.c_size_t), ("short", ctypes.c_char * 16))


class Octave:
    """A started interpreter; `run` may be called once in each fork.

    Args:
        library: path of liboctinterp.
        warming: path of a script to run first.

    Raises:
        OSError: the library cannot be loaded.
        AttributeError: it has not the functions that are called.
    """

    def __init__(self, library: str, warming: str) -> None:
        self._library = ctypes.CDLL(library, mode=ctypes.RTLD_GLOBAL)
        arguments = [argument.encode() for argument in ARGUMENTS]
        # Kept: Octave refers to both for ever.
        self._arguments = (ctypes.c_char_p * (len(arguments) + 1))(*arguments, None)
        self._application = ctypes.create_string_buffer(APPLICATION_BYTES)
        construct = self._method(CONSTRUCTOR, ctypes.c_int, ctypes.c_void_p)
        construct(self._application, len(arguments), self._arguments)
        methods = ctypes.addressof(ctypes.c_char.in_dll(self._library, METHODS)) + METHODS_OFFSET
        ctypes.c_void_p.from_buffer(self._application).value = methods
        self._interpreter = self._method(CREATE, returns=ctypes.c_void_p)(self._application)
        self._method(INITIALIZE)(self._interpreter)
        self._execute = self._method(EXECUTE, returns=ctypes.c_int)
        self._shutdown = self._method(SHUTDOWN)
        source = self._method(SOURCE_FILE, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_bool, ctypes.c_bool)
        script, context = _String(warming.encode(), len(warming.encode())), _String(b"", 0)
        source(self._interpreter, ctypes.addressof(script), ctypes.addressof(context), False, True)

    def run(self) -> None:
        """Run SCRIPT of the working directory, end as octave-cli would, and never return."""
        status = self._execute(self._interpreter)
        self._shutdown(self._interpreter)
        ctypes.CDLL(None).fflush(None)
        os._exit(status & 0xFF)

    def _method(self, name: str, *arguments: type, returns: type | None = None) -> ctypes._NamedFuncPointer:
        method = getattr(self._library, name)
        method.argtypes = (ctypes.c_void_p, *arguments)
        method.restype = returns
        return method


def write_script(source: str) -> None:
    """Put a snippet where `Octave.run` finds it.

    A file whose first statement defines a function would be the file of that function, and what follows would not run:
    an empty statement before it, on the same line, makes it a script.
    """
    source = source.removeprefix("\ufeff")
    if found := FUNCTION_FIRST.match(source):
        source = f"{found[0]}1;{source[found.end() :]}"
    with open(SCRIPT, "w", encoding="utf-8", newline="") as file:  # noqa: PTH123
        file.write(source)
