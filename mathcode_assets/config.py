"""The sources file: where each component's input lies, read and checked once, before any work.

One rule for relative addresses: `root`, `uri` and `labels` without a scheme and without a leading
slash are relative to the folder of the sources file, wherever the command is started. Text given
directly (`parse_sources`) has no folder; there the caller names one, by default the current folder.

A mistake in the file is one line that names the file and the key, before anything is listed.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path, PurePosixPath
from types import MappingProxyType
from typing import Any

import yaml

# The keys of architecture.md's table of names; a closed set, so a misspelled one is an error.
SOURCE_KEYS: tuple[str, ...] = (
    "open_web_math",
    "cc_en",
    "synthetic",
    "starcoder_python",
    "starcoder_jupyter_scripts",
    "starcoder_jupyter_structured",
    "textbooks",
)

# A PDF is small and a partition costs a run, so textbooks are grouped; all else is one file, one partition.
DEFAULT_GROUPS: Mapping[str, int] = MappingProxyType({"textbooks": 4})

# More groups than this would be more partitions than a component should have (architecture.md, section 4).
MAX_GROUPS = 2_000

BENCHMARKS_KEY = "benchmarks"
PUBLIC_SOURCES_FILE = "public.yaml"
DEFAULT_ROOT = "./lake"


class SourcesFileError(ValueError):
    """The sources file cannot be used; the message is one line with the file and the key."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceSpec:
    """One source of the file.

    Attributes:
        key: one of SOURCE_KEYS.
        uris: files, folders or globs, absolute or with a scheme; never empty.
        written_uris: the same as the file has them, one for each of `uris`. Documents are addressed
            by these, so that the same data in another folder gives the same bytes.
        labels: files, folders or globs of given labels; may be empty.
        accept_contaminated: partitions read although too much of them is contaminated.
        exclude: partitions left out.
        groups: number of groups files are spread over, in [1, MAX_GROUPS]; None: one file, one partition.
        licence: of records that name none.
        revision: branch, tag or commit of an `hf://` repository.
    """

    key: str
    uris: tuple[str, ...]
    written_uris: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    accept_contaminated: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    groups: int | None = None
    licence: str | None = None
    revision: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SourcesFile:
    """A sources file, checked.

    Attributes:
        name: the file as errors name it.
        root: where tables are published, absolute or with a scheme.
        sources: by key, in the order of SOURCE_KEYS; a component whose source is missing is empty.
        benchmarks: test sets, a spec with the key `benchmarks`; None where the file names none.
        settings: section name -> mapping, for whom it concerns; not looked into here.
    """

    name: str
    root: str
    sources: Mapping[str, SourceSpec]
    benchmarks: SourceSpec | None = None
    settings: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


def load_sources(path: str | Path) -> SourcesFile:
    """The sources file at a local path.

    Raises:
        SourcesFileError: the file cannot be read, is not YAML, or has a mistake in it.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise SourcesFileError(f"{path}: not UTF-8 text (byte {error.start})") from error
    except OSError as error:
        raise SourcesFileError(f"{path}: cannot be read: {error.strerror or error}") from error
    return parse_sources(text, name=str(path), folder=path.absolute().parent)


def parse_sources(text: str, *, name: str = "sources", folder: str | Path | None = None) -> SourcesFile:
    """The sources file given as YAML text.

    Args:
        text: YAML.
        name: the file as errors name it.
        folder: what relative addresses are relative to; by default the current folder.

    Raises:
        SourcesFileError: not YAML, or a mistake in it; one line with `name` and the key.
    """
    reader = _Reader(name=name, folder=Path.cwd() if folder is None else Path(folder).absolute())
    top = reader.mapping("", _yaml(text, name), ("root", "sources", BENCHMARKS_KEY, "settings"))
    if "sources" not in top:
        raise reader.mistake("sources", "is missing")
    specs = reader.mapping("sources", top["sources"], SOURCE_KEYS)
    benchmarks = top.get(BENCHMARKS_KEY)
    return SourcesFile(
        name=name,
        root=reader.address(reader.text("root", top.get("root", DEFAULT_ROOT))),
        sources=MappingProxyType({key: reader.source(key, specs[key]) for key in SOURCE_KEYS if key in specs}),
        benchmarks=None if benchmarks is None else reader.benchmarks(benchmarks),
        settings=MappingProxyType(reader.settings(top.get("settings"))),
    )


def default_public_sources(folder: str | Path | None = None) -> SourcesFile:
    """The shipped file that points at the public data sets; its `root` is relative to `folder`."""
    text = files("mathcode_assets.sources").joinpath(PUBLIC_SOURCES_FILE).read_text(encoding="utf-8")
    return parse_sources(text, name=PUBLIC_SOURCES_FILE, folder=folder)


class _UniqueKeyLoader(yaml.SafeLoader):
    """YAML's safe subset, which refuses a key given twice; PyYAML would keep the last, silently."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if isinstance(key, str) and key in seen:
                raise yaml.constructor.ConstructorError(None, None, f"key {key!r} is given twice", key_node.start_mark)
            if isinstance(key, str):
                seen.add(key)
        return super().construct_mapping(node, deep=deep)


def _yaml(text: str, name: str) -> Any:
    try:
        return yaml.load(text, Loader=_UniqueKeyLoader)  # a SafeLoader: no objects are built
    except yaml.MarkedYAMLError as error:
        where = f" (line {error.problem_mark.line + 1})" if error.problem_mark else ""
        raise SourcesFileError(f"{name}: not valid YAML: {error.problem or error.context}{where}") from error
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise SourcesFileError(f"{name}: not valid YAML: {' '.join(str(error).split())}") from error


@dataclass(frozen=True, slots=True, kw_only=True)
class _Reader:
    """Typed access to parsed YAML; every refusal names the file and the key."""

    name: str
    folder: Path

    def mistake(self, key: str, what: str) -> SourcesFileError:
        return SourcesFileError(f"{self.name}: {key + ': ' if key else ''}{what}")

    def mapping(self, key: str, value: Any, allowed: tuple[str, ...] | None) -> dict[str, Any]:
        if value is None:
            value = {}
        if not isinstance(value, dict):
            raise self.mistake(key, f"wants a mapping, got {_kind(value)}")
        for name in value:
            if not isinstance(name, str):
                raise self.mistake(key, f"wants names as keys, got {_kind(name)} {name!r}")
            if allowed is not None and name not in allowed:
                close = difflib.get_close_matches(name, allowed, n=1)
                hint = f"did you mean {close[0]}?" if close else f"known are {', '.join(allowed)}"
                raise self.mistake(f"{key}.{name}" if key else name, f"unknown key; {hint}")
        return value

    def text(self, key: str, value: Any) -> str:
        if not isinstance(value, str):
            hint = " (write it in quotes)" if isinstance(value, bool | int | float) else ""
            raise self.mistake(key, f"wants a string, got {_kind(value)}{hint}")
        if not value.strip() or "\0" in value:
            raise self.mistake(key, "is empty" if not value.strip() else "holds a NUL")
        return value

    def texts(self, key: str, value: Any) -> tuple[str, ...]:
        """One string or a list of strings; nothing given is an empty tuple."""
        if value is None:
            return ()
        if not isinstance(value, list):
            return (self.text(key, value),)
        found = tuple(self.text(f"{key}[{number}]", item) for number, item in enumerate(value))
        if len(set(found)) < len(found):
            raise self.mistake(key, f"{next(item for item in found if found.count(item) > 1)} is given twice")
        return found

    def address(self, uri: str) -> str:
        """Absolute path, or the URI as it is where it has a scheme."""
        if "://" in uri:
            return uri
        # Not Path.resolve: a symlink is a place the user chose, and must not change the address.
        path = self.folder / Path(uri).expanduser()
        return str(PurePosixPath(path))

    def source(self, key: str, value: Any) -> SourceSpec:
        where = f"sources.{key}"
        known = ("uri", "labels", "accept_contaminated", "exclude", "groups", "licence", "revision")
        return self._spec(where, key, self.mapping(where, value, known))

    def benchmarks(self, value: Any) -> SourceSpec:
        known = ("uri", "exclude", "revision")
        return self._spec(BENCHMARKS_KEY, BENCHMARKS_KEY, self.mapping(BENCHMARKS_KEY, value, known))

    def _spec(self, where: str, key: str, given: Mapping[str, Any]) -> SourceSpec:
        written = self.texts(f"{where}.uri", given.get("uri"))
        if not written:
            raise self.mistake(f"{where}.uri", "is missing")
        revision = self._optional(f"{where}.revision", given.get("revision"))
        if revision is not None and not any(uri.startswith("hf://") for uri in written):
            raise self.mistake(f"{where}.revision", "only an hf:// address has a revision to choose")
        return SourceSpec(
            key=key,
            uris=tuple(self.address(uri) for uri in written),
            written_uris=written,
            labels=tuple(self.address(uri) for uri in self.texts(f"{where}.labels", given.get("labels"))),
            accept_contaminated=self.texts(f"{where}.accept_contaminated", given.get("accept_contaminated")),
            exclude=self.texts(f"{where}.exclude", given.get("exclude")),
            groups=self._groups(f"{where}.groups", given.get("groups", DEFAULT_GROUPS.get(key))),
            licence=self._optional(f"{where}.licence", given.get("licence")),
            revision=revision,
        )

    def _optional(self, key: str, value: Any) -> str | None:
        return None if value is None else self.text(key, value)

    def _groups(self, key: str, value: Any) -> int | None:
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int):
            raise self.mistake(key, f"wants a whole number, got {_kind(value)}")
        if not 1 <= value <= MAX_GROUPS:
            raise self.mistake(key, f"wants 1 to {MAX_GROUPS}, got {value}")
        return value

    def settings(self, value: Any) -> dict[str, Mapping[str, Any]]:
        sections = self.mapping("settings", value, None)
        return {name: self.mapping(f"settings.{name}", section, None) for name, section in sections.items()}


def _kind(value: Any) -> str:
    names = {dict: "a mapping", list: "a list", str: "a string", bool: "true/false", int: "a number"}
    return "nothing" if value is None else names.get(type(value), f"a {type(value).__name__}")
