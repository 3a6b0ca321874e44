"""The asset graph as Mermaid, read from the definitions, small enough for one screen.

    python docs/graph.py

What is one box here is several assets there: all tables of a component up to its filtered documents, and
each table that every component has (fingerprints, verdicts, clean documents). An arrow that follows from
two others is left out, and so are the inputs that models are trained on, the documents that the benchmark
index tests itself with, the list of partitions, and the stored n-grams of the documents. Every asset must
have a place, or `render` raises.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from functools import cache

from mathcode_assets.definitions import build_definitions
from mathcode_assets.defs.assets.ablation import SOURCE_KEY as ABLATION_PLAN
from mathcode_assets.defs.assets.contamination import ngrams_key
from mathcode_assets.defs.components import FILTERED_TABLES, LISTING_KEY, TRANSLATED_TABLES
from mathcode_assets.sample import sample_dir

COMPONENTS = tuple(dict.fromkeys(table.group for table in FILTERED_TABLES))
COMPONENT_OF_SOURCE = {table.source: table.group for table in FILTERED_TABLES}
# Translated documents go through the steps of a shard again, by themselves: one box for all of it.
TRANSLATED = "mathematical_code"
TRANSLATED_LAYERS = ("completions", "computations", "translated", "separated")
TRANSLATED_NAMES = ("translated_duplicates", *(table.name for table in TRANSLATED_TABLES))
# The boxes that every shard goes through, drawn together, so that one arrow leads there from a component.
SHARD_STEPS = ("fingerprints", "index/duplicates", "duplicates", "index/benchmarks", "contamination", "clean")


def assets() -> dict[str, tuple[str, tuple[str, ...]]]:
    """Every asset of the code location: key -> its group and the keys it is made from."""
    definitions = build_definitions(sample_dir() / "sources.yaml")
    return {
        spec.key.to_user_string(): (
            spec.group_name or "",
            tuple(sorted(dep.asset_key.to_user_string() for dep in spec.deps)),
        )
        for spec in definitions.resolve_all_asset_specs()
    }


def box_of(key: str, group: str) -> str:
    """The box an asset is drawn in; empty for what is not drawn.

    Raises:
        KeyError: an asset of a kind that has no place in the picture.
    """
    layer, name = key.split("/", 1)
    if key in (LISTING_KEY, ABLATION_PLAN) or key.startswith(ngrams_key("")):
        return ""
    if key == "source/benchmarks":
        return key
    if layer == "source":
        return COMPONENT_OF_SOURCE[name]
    if group == TRANSLATED or name.rsplit("/", 1)[-1] in TRANSLATED_NAMES:
        return TRANSLATED
    if layer in ("clean", "models", "promoted", "scores", "ablation"):
        return layer
    if layer == "attributes" and "/" in name:
        return name.split("/")[0]
    if group in COMPONENTS:
        return group
    if layer in ("index", "mixture", "tokens", "checkpoint", "report"):
        return key
    raise KeyError(f"{key} of group {group} has no place in the picture")


def collapse(found: Mapping[str, tuple[str, tuple[str, ...]]]) -> tuple[dict[str, list[str]], dict[str, set[str]]]:
    """The assets of each box, none before what it is made from, and which boxes it is made from."""
    boxes: dict[str, list[str]] = defaultdict(list)
    edges: dict[str, set[str]] = defaultdict(set)

    @cache
    def depth(key: str) -> int:
        return 1 + max(map(depth, found[key][1]), default=0)

    for key, (group, deps) in sorted(found.items(), key=lambda entry: (depth(entry[0]), entry[0])):
        box = box_of(key, group)
        if not box:
            continue
        boxes[box].append(key)
        if box == "models":
            continue
        for dep in deps:
            origin = box_of(dep, found[dep][0])
            if origin and origin != box and not (box == "index/benchmarks" and origin in COMPONENTS):
                edges[box].add(origin)
    return dict(boxes), edges


def reduced(edges: Mapping[str, set[str]]) -> dict[str, set[str]]:
    """The edges without those that a longer way implies."""

    def above(box: str) -> set[str]:
        return set().union(*({origin} | above(origin) for origin in edges.get(box, ())))

    return {
        box: {origin for origin in origins if not any(origin in above(other) for other in origins)}
        for box, origins in edges.items()
    }


def render() -> str:
    """The picture as Mermaid source."""
    boxes, edges = collapse(assets())
    edges = reduced(edges)
    lines = ["flowchart TD"]
    lines += [_box(box, boxes[box]) for box in (*COMPONENTS, "models", "promoted")]
    lines += ["  subgraph shards [every shard of every component]"]
    lines += ["  " + _box(box, boxes[box]) for box in ("source/benchmarks", *SHARD_STEPS)]
    lines += ["  end"]
    rest = sorted(set(boxes) - {*COMPONENTS, "models", "promoted", "source/benchmarks", *SHARD_STEPS})
    lines += [_box(box, boxes[box]) for box in rest]
    arrows = dict.fromkeys(
        (_name(origin), "shards" if origin in COMPONENTS and box in SHARD_STEPS else _name(box))
        for box in (*COMPONENTS, "promoted", *SHARD_STEPS, *rest)
        for origin in sorted(edges.get(box, ()))
    )
    by_a_person = ("models", "promoted")
    lines += [f"  {a} {'-.->' if (a, b) == by_a_person else '-->'} {b}" for a, b in arrows]
    return "\n".join(lines)


def _name(box: str) -> str:
    return re.sub(r"\W", "_", box)


def _box(box: str, keys: Iterable[str]) -> str:
    """One box: its name in bold where it stands for a component, and its assets in order, alike ones folded."""
    folded = list(dict.fromkeys(_folded(key) for key in keys))
    title = [f"<b>{box}</b>"] if box in (*COMPONENTS, TRANSLATED) else []
    return f'  {_name(box)}["{"<br/>".join([*title, *folded])}"]'


def _folded(key: str) -> str:
    """attributes/contamination/synthetic -> attributes/contamination/*, raw/starcoder_python -> raw/starcoder_*."""
    layer, name = key.rsplit("/", 1)
    if name in TRANSLATED_NAMES and layer != "index":
        return f"{layer}/translated_*"
    if key.count("/") > 1 or layer in ("clean", "models", "promoted", *TRANSLATED_LAYERS):
        return key.rsplit("/", 1)[0] + "/*"
    return re.sub(r"/(starcoder|code)_\w+$", r"/\1_*", key)


if __name__ == "__main__":
    print(render())
