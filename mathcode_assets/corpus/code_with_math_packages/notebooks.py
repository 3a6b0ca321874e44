"""The code cells of a notebook written out as one text (StarCoder's jupyter-structured form).

The text is a run of cells, each behind its marker: ``<jupyter_start>``, ``<jupyter_text>``,
``<jupyter_code>``, ``<jupyter_output>`` (whose content may be ``<empty_output>``). Only code cells hold
code; an import shown in the prose or printed in an output is not one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from mathcode_assets.corpus.code_with_math_packages.imports import PYTHON_MAGICS

START_MARKER = "<jupyter_start>"

_CODE_CELL = re.compile(r"<jupyter_code>(.*?)(?=<jupyter_(?:start|text|code|output)>|\Z)", re.DOTALL)
_CELL_MAGIC = re.compile(r"\s*%%(\w+)([^\n]*)\n?")
_FILE_MAGICS = frozenset({"file", "writefile"})


def python_cells(content: str) -> Iterator[str]:
    """The code cells that hold Python, in order, without their cell magic.

    A cell under ``%%bash``, ``%%R``, ``%%javascript`` and the like is left out; one that times, captures
    or debugs Python is read; one that writes a file is read if the file ends in ``.py``.
    """
    for match in _CODE_CELL.finditer(content):
        cell = match[1]
        magic = _CELL_MAGIC.match(cell)
        if magic is None:
            yield cell
            continue
        name, argument = magic[1].lower(), magic[2].strip()
        if name in PYTHON_MAGICS or (name in _FILE_MAGICS and argument.endswith(".py")):
            yield cell[magic.end() :]
