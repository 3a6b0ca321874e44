"""Where GNU Octave is on the host: its interpreter's library, its function files, and the libraries they need.

Only an Octave that the system's package manager installed is looked for: `octave-cli` on the path of this process, its
libraries as the dynamic linker finds them.
"""

from __future__ import annotations

import functools
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

INSTALL = "install GNU Octave (apt-get install octave, or infra/install_system_packages.sh --octave)"
LDD_S = 60.0
_LIBRARY = re.compile(r"(?:=>\s*|^\s*)(/\S+)\s+\(0x", re.MULTILINE)
_INTERPRETER = "liboctinterp.so"


class OctaveMissing(LookupError):
    """There is no usable Octave here; the message says why, and what to install."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OctaveFiles:
    """Places on the host, all absolute.

    Attributes:
        interpreter: the shared library that is embedded.
        folders: function files (.m) and compiled functions (.oct).
        libraries: every shared library Octave, its compiled functions and the embedding Python load, under the name
            the dynamic linker asks for.
    """

    interpreter: Path
    folders: tuple[Path, ...]
    libraries: tuple[Path, ...]


@functools.cache
def octave_files() -> OctaveFiles:
    """Find the installed Octave; the answer is kept for the life of this process.

    Raises:
        OctaveMissing: there is none, or its parts are not where they are expected.
    """
    found = shutil.which("octave-cli")
    if found is None:
        raise OctaveMissing(f"octave-cli is not on the path: {INSTALL}")
    program = Path(found).resolve()
    interpreter = next((path for path in needed_libraries([program]) if path.name.startswith(_INTERPRETER)), None)
    if interpreter is None:
        raise OctaveMissing(f"{program} does not name {_INTERPRETER}: {INSTALL}")
    # PREFIX/lib/ARCHITECTURE/octave/VERSION/liboctinterp.so.N and PREFIX/share/octave/VERSION/m.
    home = interpreter.parent
    functions = program.parent.parent / "share" / "octave" / home.name
    compiled = home / "oct"
    if not functions.is_dir():
        raise OctaveMissing(f"no function files in {functions}: {INSTALL}")
    # With the places beside them for functions of the site: Octave warns of folders on its path it cannot list.
    folders = (functions.parent, home.parent)
    ctypes_parts = Path(sysconfig.get_path("platstdlib"), "lib-dynload").glob("_ctypes.*")
    roots = [program, *sorted(compiled.rglob("*.oct")), Path(sys.executable).resolve(), *ctypes_parts]
    return OctaveFiles(interpreter=interpreter, folders=folders, libraries=tuple(needed_libraries(roots)))


def needed_libraries(programs: Sequence[Path]) -> list[Path]:
    """The shared libraries that trusted programs and libraries load, their dependencies included.

    Raises:
        OctaveMissing: the dynamic linker cannot be asked.
    """
    try:
        command = ["ldd", *map(str, programs)]
        answer = subprocess.run(command, capture_output=True, text=True, timeout=LDD_S, check=False)
    except (OSError, subprocess.SubprocessError) as error:
        raise OctaveMissing(f"ldd: {error}") from error
    paths = (Path(name) for name in _LIBRARY.findall(answer.stdout))
    return list(dict.fromkeys(path.parent.resolve() / path.name for path in paths))
