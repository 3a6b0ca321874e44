"""The components of the pile and the tables they go through; the names of the paper's parts, once."""

from __future__ import annotations

from dataclasses import dataclass

# Which partitions there are: what is made of all of them is made again when one comes or goes.
LISTING_KEY = "source/listing"


@dataclass(frozen=True, slots=True, kw_only=True)
class ComponentTable:
    """A filtered table: `filtered/<name>`, the source whose partitions it has, and the pile's component."""

    name: str
    source: str
    component: str
    group: str


# In the order of the paper's Table 1, which is the order of the pile.
COMPONENT_TABLES: tuple[ComponentTable, ...] = (
    ComponentTable(name="open_web_math", source="open_web_math", component="open_web_math", group="open_web_math"),
    ComponentTable(name="cc_en_math", source="cc_en", component="cc_en_math", group="cc_en_math"),
    ComponentTable(name="synthetic", source="synthetic", component="synthetic", group="synthetic"),
    ComponentTable(name="code_python", source="starcoder_python", component="code", group="code"),
    ComponentTable(name="code_jupyter_scripts", source="starcoder_jupyter_scripts", component="code", group="code"),
    ComponentTable(
        name="code_jupyter_structured", source="starcoder_jupyter_structured", component="code", group="code"
    ),
    ComponentTable(name="textbooks", source="textbooks", component="textbooks", group="textbooks"),
)

TABLES_BY_NAME: dict[str, ComponentTable] = {table.name: table for table in COMPONENT_TABLES}
PILE_COMPONENTS: tuple[str, ...] = tuple(dict.fromkeys(table.component for table in COMPONENT_TABLES))
