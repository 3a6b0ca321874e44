"""Which documents a request means, and which licences a policy permits."""

from __future__ import annotations

import json

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mathcode_assets.provenance.selection import LicencePolicy, Selector
from mathcode_assets.records import DOCUMENT, batch_of

PAGES = {
    "page": ("7", "https://example.org/blog/euler", "CC-BY-4.0", {}),
    "next": ("8", "http://example.org/blog/euler/2", "MIT, GPL-3.0", {}),
    "file": ("f", "github.com/Owner/Repo/a.py", "MIT OR Apache-2.0", {"max_stars_repo_name": "Owner/Repo"}),
    "fork": ("g", "github.com/other/copy/a.py", "unknown", {"max_forks_repo_name": "owner/repo", "n": 3}),
    "like": ("h", "github.com/Owner/Repository/a.py", "unknown", {"content_of": "owner/repo", "repo_name": None}),
}


def batch() -> pa.RecordBatch:
    rows = [
        {
            "doc_id": doc_id, "source": "cc_en", "source_id": source_id, "source_uri": uri, "source_file": "f",
            "source_row": 0, "source_revision": "r", "licence": licence, "text": "t",
            "source_metadata": json.dumps(metadata),
        }
        for doc_id, (source_id, uri, licence, metadata) in PAGES.items()
    ]  # fmt: skip
    return batch_of(rows, DOCUMENT)


@pytest.mark.parametrize(
    "kind, value, meant",
    [
        ("document", "page", ["page"]),
        ("document", "8", ["next"]),
        ("document", "pag", []),
        ("url", "https://example.org/blog/euler", ["page"]),
        ("url", "example.org/blog/euler", ["page"]),
        ("url", "https://example.org/blog/euler/2", ["next"]),  # the source says http
        ("url", "https://example.org/blog/*", ["page", "next"]),
        ("url", "https://example.org/blog", []),  # without a star it is one page
        ("repository", "Owner/Repo", ["file", "fork"]),
        ("repository", "https://github.com/owner/repo/", ["file", "fork"]),
        ("repository", "owner/rep", []),
        ("licence", "gpl-3.0", ["next"]),
        ("licence", "MIT", ["next", "file"]),
        ("licence", "unknown", ["fork", "like"]),
    ],
)
def test_what_a_selector_means(kind: str, value: str, meant: list[str]) -> None:
    selector = Selector(kind=kind, value=value)
    found = selector.matches(batch().select(list(selector.columns)))
    assert [doc_id for doc_id, is_meant in zip(PAGES, found, strict=True) if is_meant] == meant


@pytest.mark.parametrize("value", ["", " ", "*", "https://", "https://*", "http:///*"])
@pytest.mark.parametrize("kind", ["url", "document", "repository"])
def test_nothing_means_everything(kind: str, value: str) -> None:
    with pytest.raises(ValueError, match="names nothing"):
        Selector(kind=kind, value=value)


@pytest.mark.parametrize(
    "policy, permitted, refused",
    [
        (LicencePolicy(), ["MIT", "unknown", ""], []),
        (LicencePolicy(allow=("MIT", "unknown")), ["mit", "MIT, unknown", "unknown"], ["MIT, GPL-3.0", "GPL-3.0"]),
        (LicencePolicy(allow=("MIT",)), ["MIT OR GPL-3.0", "(MIT or GPL-3.0)"], ["MIT AND GPL-3.0", "MIT-0"]),
        (LicencePolicy(deny=("GPL-3.0",)), ["unknown", "MIT", "MIT OR GPL-3.0"], ["gpl-3.0", "MIT, GPL-3.0"]),
        (LicencePolicy(allow=("MIT, GPL-3.0",)), ["MIT, GPL-3.0"], ["GPL-3.0, MIT", "GPL-3.0"]),
        (LicencePolicy(allow=("MIT", "GPL-3.0"), deny=("GPL-3.0",)), ["MIT"], ["GPL-3.0", "MIT AND GPL-3.0"]),
    ],
)
def test_what_a_policy_permits(policy: LicencePolicy, permitted: list[str], refused: list[str]) -> None:
    assert [licence for licence in permitted if not policy.permits(licence)] == []
    assert [licence for licence in refused if policy.permits(licence)] == []


@given(licence=st.text(max_size=40), name=st.text(min_size=1, max_size=10))
def test_what_is_denied_by_name_is_never_permitted(licence: str, name: str) -> None:
    assert not LicencePolicy(deny=(name,)).permits(name)
    assert LicencePolicy().permits(licence)
    assert LicencePolicy(allow=(licence,)).permits(licence)
