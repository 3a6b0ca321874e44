"""The components of the pile and the tables they go through; the names of the paper's parts, once."""

from __future__ import annotations

from dataclasses import dataclass

# Which partitions there are: what is made of all of them is made again when one comes or goes.
LISTING_KEY = "source/listing"


@dataclass(frozen=True, slots=True, kw_only=True)
class ComponentTable:
    """A table of documents on its way into the pile.

    name: of everything made from it: `clean/<name>`, `attributes/duplicates/<name>`, ...
    documents: its key; `filtered/<name>` unless it is made otherwise.
    source: whose partitions it has.
    component: of the pile.
    translated_from: name of the component table whose clean documents it is made of, empty for none.
    """

    name: str
    source: str
    component: str
    group: str
    documents: str = ""
    translated_from: str = ""

    def __post_init__(self) -> None:
        if not self.documents:
            object.__setattr__(self, "documents", f"filtered/{self.name}")


# In the order of the paper's Table 1, which is the order of the pile.
FILTERED_TABLES: tuple[ComponentTable, ...] = (
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

# The paper translates the two web components only (its section 2).
TRANSLATED_TABLES: tuple[ComponentTable, ...] = tuple(
    ComponentTable(
        name=f"translated_{web.name}",
        source=web.source,
        component="mathematical_code",
        group="mathematical_code",
        documents=f"translated/{web.name}",
        translated_from=web.name,
    )
    for web in FILTERED_TABLES
    if web.name in ("open_web_math", "cc_en_math")
)

COMPONENT_TABLES: tuple[ComponentTable, ...] = FILTERED_TABLES + TRANSLATED_TABLES

TABLES_BY_NAME: dict[str, ComponentTable] = {table.name: table for table in COMPONENT_TABLES}
PILE_COMPONENTS: tuple[str, ...] = tuple(dict.fromkeys(table.component for table in COMPONENT_TABLES))
