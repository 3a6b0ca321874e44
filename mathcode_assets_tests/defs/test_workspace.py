"""Settings of the sources file become typed configs, or a line that names what is wrong."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from mathcode_assets.config import SourcesFileError, parse_sources
from mathcode_assets.defs.workspace import Workspace


@dataclass(frozen=True, slots=True, kw_only=True)
class Inner:
    """A nested config."""

    rate: float = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Outer:
    """A config with every kind of field."""

    names: tuple[str, ...] = ("a",)
    limit: int | None = None
    inner: Inner = field(default_factory=Inner)
    is_on: bool = False


def settings(text: str) -> Outer:
    sources = parse_sources(f"root: memory://x\nsources: {{}}\nsettings: {{outer: {text}}}\n", name="s.yaml")
    return Workspace(sources).settings("outer", Outer)


def test_defaults_and_values() -> None:
    assert settings("{}") == Outer()
    found = settings("{names: [b, c], limit: 3, inner: {rate: 1}, is_on: true}")
    assert found == Outer(names=("b", "c"), limit=3, inner=Inner(rate=1), is_on=True)


@pytest.mark.parametrize(
    "text, message",
    [
        ("{name: [b]}", r"s.yaml: settings.outer.name: unknown; known are inner, is_on, limit, names"),
        ("{inner: {rates: 1}}", r"settings.outer.inner.rates: unknown"),
        ("{inner: {rate: fast}}", r"settings.outer.inner.rate: wants float, got str 'fast'"),
        ("{is_on: 1}", r"settings.outer.is_on: wants bool, got int"),
    ],
)
def test_mistakes_are_named(text: str, message: str) -> None:
    with pytest.raises(SourcesFileError, match=message):
        settings(text)
