"""Markup from nested calls; every text is escaped unless it is markup already."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable

_UNSHOWABLE = re.compile("[^\t\n\r\x20-\x7e\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_VOID = frozenset({"br", "meta", "link"})


class Html(str):
    """Markup that stands as it is."""

    __slots__ = ()


Child = str | None | Iterable["Child"]
"""Text, markup, nothing, or several of these."""

Attribute = str | int | float | bool | None


def element(tag: str, *children: Child, **attributes: Attribute) -> Html:
    """An element.

    Args:
        tag: its name.
        children: what is in it.
        attributes: an underscore at the end of a name falls away, others become hyphens; False and
            None leave the attribute out.
    """
    shown = "".join(_attribute(name, value) for name, value in attributes.items())
    if tag in _VOID:
        return Html(f"<{tag}{shown} />")
    return Html(f"<{tag}{shown}>{join(children)}</{tag}>")


def join(child: Child) -> Html:
    """Markup of several children, one behind the other."""
    if child is None:
        return Html()
    if isinstance(child, Html):
        return child
    if isinstance(child, str):
        return Html(escape(child))
    return Html("".join(join(item) for item in child))


def escape(text: str) -> str:
    """A text as markup; characters that no page can show become U+FFFD."""
    return html.escape(_UNSHOWABLE.sub("\N{REPLACEMENT CHARACTER}", text), quote=True)


def _attribute(name: str, value: Attribute) -> str:
    if value is None or value is False:
        return ""
    key = name.rstrip("_").replace("_", "-")
    return f' {key}="{escape(key if value is True else str(value))}"'
