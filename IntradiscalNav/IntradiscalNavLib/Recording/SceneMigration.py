"""Brings documents of older scenes to the current version, one step per version."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from TranslatedText.Translation import tr as _

CURRENT_VERSION = 2

Content = dict[str, Any]


def _case1To2(content: Content) -> Content:
    """Version 1 named the needle's path by two keys ``entry`` and ``target`` and the side by a letter."""
    content = dict(content)
    if "entry" in content:
        content["entryRas"] = content.pop("entry")
    if "target" in content:
        content["targetRas"] = content.pop("target")
    if content.get("side") in ("L", "R"):
        content["side"] = {"L": "left", "R": "right"}[content["side"]]
    return content


STEPS: dict[tuple[str, int], Callable[[Content], Content]] = {("case", 1): _case1To2, ("plan", 1): _case1To2}
"""(role, from version) to the function that makes the next version. A role without a step is unchanged in that version."""


def migrateDocument(role: str, version: int, content: Content) -> Content:
    """:raises ValueError: when the document is newer than this program."""
    if version > CURRENT_VERSION:
        raise ValueError(
            _("The {role} was written by a newer IntradiscalNav (scene version {version}; this one reads up to {currentVersion}).").format(
                role=role, version=version, currentVersion=CURRENT_VERSION
            )
        )
    for step in range(version, CURRENT_VERSION):
        content = STEPS.get((role, step), lambda unchanged: unchanged)(content)
    return content
