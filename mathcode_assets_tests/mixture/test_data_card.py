"""The card says what was counted, in a form a hub reads."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from huggingface_hub import DatasetCard

from mathcode_assets.mixture.data_card import (
    CheckLine,
    ComponentCount,
    DataCard,
    SourceLine,
    component_counts,
    hub_licences,
    render_data_card,
    render_paper_table,
    render_token_table,
    size_category,
)
from mathcode_assets.mixture.pile import PileTally, mix
from mathcode_assets.mixture.plan import ComponentMixture, MixtureConfig, plan_mixture
from mathcode_assets_tests.mixture.documents import clean_documents

COMPONENTS = [
    ComponentCount(
        name="open_web_math",
        documents=3,
        tokens=3000,
        size_bytes=12_000,
        dropped={"contaminated": 2, "not_math": 40, "mixture_cap": 0},
    ),
    ComponentCount(name="code", documents=1, tokens=1000, size_bytes=3500, weight=0.5),
    ComponentCount(name="textbooks", documents=0, tokens=0, size_bytes=0),
]
CARD = DataCard(
    components=COMPONENTS,
    tokenizer="corpus@0123456789ab",
    licences={"unknown": 1, "CC-BY-4.0": 2, "LicenseRef-odd | name": 1},
    sources=[SourceLine(name="open_web_math", uri="hf://datasets/a/b", revision="abc", n_files=2)],
    checks=[CheckLine(name="residual_contamination", passed=False, detail="1 document\nof 4")],
    corpus_hash="feed",
    code_version="0.1.0",
    notes=["The books are few."],
)


def front_matter(card: DataCard) -> dict[str, Any]:
    _, matter, _ = render_data_card(card).split("---\n", 2)
    return yaml.safe_load(matter)


def test_the_token_table_adds_up_and_names_its_tokenizer() -> None:
    assert render_token_table(COMPONENTS, tokenizer="corpus@0123456789ab") == (
        "| component | documents | tokens (corpus@0123456789ab) | share | average tokens | bytes |\n"
        "| --- | --- | --- | --- | --- | --- |\n"
        "| open_web_math | 3 | 3,000 | 75.0 % | 1,000 | 12,000 |\n"
        "| code | 1 | 1,000 | 25.0 % | 1,000 | 3,500 |\n"
        "| textbooks | 0 | 0 | 0.0 % | - | 0 |\n"
        "| total | 4 | 4,000 | 100.0 % | 1,000 | 15,500 |\n"
    )


def test_the_papers_numbers_stand_beside_ours() -> None:
    lines = render_paper_table(COMPONENTS).splitlines()
    assert "| code using math packages | code | 1 | 513,059 | 1,000 | 3,320 | 25.0 % | 8.9 % |" in lines
    assert any(line.startswith("| model-translated mathematical code | mathematical_code | 0 |") for line in lines)


def test_counts_come_from_what_was_mixed() -> None:
    plan = plan_mixture({"web": 8, "code": 2}, MixtureConfig(components={"code": ComponentMixture(weight=0)}))
    batches = {
        "web": [clean_documents(["two words"] * 4)],
        "code": [clean_documents(["x"] * 2, source="code")],
    }
    tally = PileTally()
    assert sum(batch.num_rows for batch in mix(batches, plan, tally)) == 4
    web, code = component_counts(tally, plan, dropped={"code": {"contaminated": 3}})
    assert (web.documents, web.tokens, web.size_bytes) == (4, 8, 36)
    assert (code.documents, code.weight) == (0, 0)
    assert code.dropped == {"contaminated": 3, "mixture_weight": 2, "mixture_cap": 0}


def test_front_matter_has_a_config_for_each_component_with_files() -> None:
    configs = front_matter(CARD)["configs"]
    assert [config["config_name"] for config in configs] == ["default", "open_web_math", "code"]
    assert configs[0]["default"] is True
    assert configs[1]["data_files"] == [{"split": "train", "path": "data/open_web_math/train-*.parquet"}]


def test_the_hubs_own_parser_reads_the_card() -> None:
    card = DatasetCard(render_data_card(CARD))
    assert card.data.license == ["cc-by-4.0", "other", "unknown"]
    assert card.data.size_categories == ["n<1K"]
    assert card.text.lstrip().startswith("# MathCode-Pile")


def test_the_text_tells_drops_checks_sources_and_odd_names() -> None:
    text = render_data_card(CARD)
    assert "| open_web_math | not_math | 40 |\n| open_web_math | contaminated | 2 |\n" in text
    assert "mixture_cap" not in text  # nothing was dropped for it
    assert "| residual_contamination | **failed** | 1 document of 4 |" in text
    assert "| open_web_math | hf://datasets/a/b | abc | 2 |" in text
    assert "| LicenseRef-odd \\| name | 1 | 25.0 % |" in text
    assert "weights other than 1: code 0.5" in text
    assert "The books are few." in text


def test_an_empty_pile_has_a_card_too() -> None:
    card = DataCard(components=[], tokenizer="t@0", licences={})
    assert front_matter(card)["configs"] == []
    assert "## Left out" not in render_data_card(card)


def test_the_same_card_is_the_same_text() -> None:
    assert render_data_card(CARD) == render_data_card(CARD)


@pytest.mark.parametrize(
    ("licence", "identifier"),
    [
        ("CC-BY-4.0", "cc-by-4.0"),
        ("GPL-3.0-or-later", "gpl-3.0"),
        ("GPL-2.0+", "gpl-2.0"),
        ("GFDL-1.2+", "gfdl"),
        ("ODC-By-1.0", "odc-by"),
        ("unknown", "unknown"),
        ("MIT OR Apache-2.0", "other"),
    ],
)
def test_licences_by_the_hubs_names(licence: str, identifier: str) -> None:
    assert hub_licences({licence: 1}) == [identifier]


def test_licences_stand_by_count() -> None:
    assert hub_licences({"MIT": 2, "GPL-3.0-only": 2, "GPL-3.0-or-later": 1, "x": 2}) == [
        "gpl-3.0",
        "mit",
        "other",
    ]


@pytest.mark.parametrize(
    ("n_rows", "name"),
    [(0, "n<1K"), (999, "n<1K"), (1000, "1K<n<10K"), (19_487_652, "10M<n<100M"), (2 * 10**10, "10B<n<100B")],
)
def test_size_categories(n_rows: int, name: str) -> None:
    assert size_category(n_rows) == name
