"""Addresses on the Hugging Face hub, pinned to a commit so that listing and reading see the same files."""

from __future__ import annotations

from urllib.parse import quote

import fsspec

from mathcode_assets.sources.errors import SourceListingError

HUB_PREFIX = "hf://"
# Kinds of repository, as hf:// spells and as the hub's API calls them; without one it is a model.
_KINDS = {"datasets": "dataset", "spaces": "space"}


def split_hub_uri(uri: str) -> tuple[str, str, str | None, str]:
    """Kind (`datasets`), repository (`OWNER/NAME`), revision or None, and path of an `hf://` address.

    A revision is one part of the path, with `/` in it written `%2F`, or `refs/pr/N` (as on the hub).

    Raises:
        SourceListingError: the address names no repository.
    """
    parts = uri.removeprefix(HUB_PREFIX).strip("/").split("/")
    kind, rest = (parts[0], parts[1:]) if parts[0] in _KINDS else ("", parts)
    if len(rest) < 2 or not all(rest[:2]):
        raise SourceListingError("an address on the hub is hf://datasets/OWNER/NAME/path")
    name, mark, revision = rest[1].partition("@")
    path = rest[2:]
    if mark and revision == "refs" and len(path) >= 2:
        revision, path = "/".join(["refs", *path[:2]]), path[2:]
    if not name or (mark and not revision):
        raise SourceListingError("an address on the hub is hf://datasets/OWNER/NAME@REVISION/path")
    return kind, f"{rest[0]}/{name}", revision or None, "/".join(path)


def pin_to_commit(uri: str, revision: str | None) -> tuple[str, str]:
    """The address with the commit its branch or tag stands for now, and that commit.

    Raises:
        SourceListingError: the address names another revision than `revision`.
    """
    from huggingface_hub import HfApi  # 0.3 s, and only for the hub

    kind, repository, written, path = split_hub_uri(uri)
    if written and revision and written != revision:
        raise SourceListingError(f"names revision {written}, the sources file {revision}")
    fs = fsspec.filesystem("hf")  # endpoint and token come from the user's own settings
    api = HfApi(endpoint=fs.endpoint, token=fs.token)
    wanted = (written or revision or "main").replace("%2F", "/")
    commit = api.repo_info(repository, repo_type=_KINDS.get(kind, "model"), revision=wanted).sha
    if not commit:
        raise SourceListingError(f"the hub names no commit for revision {wanted}")
    pinned = "/".join(part for part in (kind, f"{repository}@{quote(commit, safe='')}", path) if part)
    return HUB_PREFIX + pinned, commit
