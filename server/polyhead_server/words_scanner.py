"""The scanner of the word splitter: one regular expression, read from top to bottom.

Time is linear in the text: repeats without bound are possessive and are consumed whole, and what
may be scanned in vain (addresses, telephone numbers) is bounded in length.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

__all__ = ["COMPOUND", "DOTTED", "ELIDED", "JOINED", "LETTERS", "PLAIN", "compile_scanner"]

PLAIN, COMPOUND, JOINED, DOTTED, LETTERS, ELIDED = 1, 2, 3, 4, 5, 6
"""Groups of the scanner that need the lexicon; a match of no group is a word as it stands."""

_SPACE = r"\s\x00-\x1f\x7f-\x9f"
_FLAG = "\U0001f1e6-\U0001f1ff"
_EMOJI = "\u2190-\u21ff\u2300-\u27bf\u2900-\u297f\u2b00-\u2bff\U0001f000-\U0001faff"
# Marks, variation selectors, skin tones, tags, soft hyphen and zero-width characters.
_ATTACHED = (
    "[\u00ad\u0300-\u036f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u20d0-\u20ff"
    "\ufe00-\ufe0f\ufe20-\ufe2f\ufeff\U0001f3fb-\U0001f3ff\U000e0000-\U000e0fff]"
)
_PUNCTUATION = (
    r"!-/:-@\[-`{-~"
    "\u00a1-\u00a9\u00ab\u00ac\u00ae-\u00b1\u00b4\u00b6-\u00b8\u00bb\u00bf\u00d7\u00f7"
    "\u2010-\u2027\u2030-\u205e\u20a0-\u20cf\u2100-\u214f\u2200-\u22ff"
    "\u3001-\u3003\u3008-\u3020\u3030\uff01-\uff0f\uff1a-\uff20\uff3b-\uff40\uff5b-\uff65"
)
# Whatever is not punctuation, a symbol, an ASCII digit or space is taken for a letter: letters of
# every script with their marks, lone surrogates, unassigned code points.
_ALNUM = f"[^{_SPACE}{_PUNCTUATION}{_EMOJI}]"
_LETTER = f"[^{_SPACE}0-9{_PUNCTUATION}{_EMOJI}]"
_NAME = f"[^{_SPACE}!-,./:-@\\[-^`{{-~\u00a1-\u00a9\u2010-\u2027{_EMOJI}]"  # with hyphens, underscores
_APOSTROPHE = "['’`´ʼ]"
_ELISIONS = "s|re|ve|ll|d|m|em|til|till|cause|cuz|bout|round|n|tis|twas|t"
_RUNS = "-=*_~+<>^#|$%&/\\•·—–"


def _any_of(forms: Iterable[str]) -> str:
    """Alternation of literals, the longest first."""
    return "|".join(re.escape(form) for form in sorted(forms, key=lambda form: (-len(form), form)))


def _common() -> list[str]:
    """What most words are, so tried first: letters before a space, a comma, a full stop."""
    return [
        rf"({_LETTER}++)(?=[{_SPACE},;!?)\"”]|\Z)",
        ",",
        rf"\.(?=[{_SPACE}]|\Z)",
        "[0-9#*]\ufe0f?\u20e3",
    ]


def _addresses(domains: Iterable[str], extensions: Iterable[str]) -> list[str]:
    """URLs, e-mail addresses, host names, file names."""
    tail = r"(?:[^\s<>\"”“\[\]{}|]*[^\s<>\"”“\[\]{}|.,;:!?)('’*])?"
    return [
        rf"(?i:(?:https?|ftp|file|news|telnet)://|mailto:|www[0-9]?\.(?={_ALNUM})){tail}",
        rf"[A-Za-z0-9_.+%-]{{1,64}}@{_ALNUM}++(?:[._%-]++{_ALNUM}++)*+",
        rf"(?:[A-Za-z0-9-]{{1,63}}\.){{1,6}}(?i:{_any_of(domains)})(?!{_ALNUM})(?:/{tail})?",
        rf"{_NAME}{{1,64}}(?:\.{_NAME}{{1,64}}){{0,4}}\.(?i:{_any_of(extensions)})(?!{_ALNUM})",
    ]


def _numbers(units: Iterable[str]) -> list[str]:
    """Dates, telephone numbers, ordinals, decades, amounts; a unit is the next word."""
    unit = f"(?:{_any_of(units)})(?!{_LETTER})"
    ending = f"(?:(?i:st|nd|rd|th|s|{_APOSTROPHE}s)(?!{_ALNUM})|(?!{unit}|x[0-9])(?:{_ALNUM}|_)++)?"
    return [
        r"[0-9]{1,4}/[0-9]{1,2}/[0-9]{2,4}(?![0-9/])",
        r"(?:[0-9]{1,2}-[0-9]{1,2}-[0-9]{2,4}|[0-9]{4}-[0-9]{1,2}-[0-9]{1,2})(?![0-9-])",
        r"(?:\+?[0-9]{1,2}[-.])?[0-9]{3}[-./][0-9]{3}[-.][0-9]{4}(?![0-9-])",
        r"(?:[0-9]{3}|[0-9]{5})-[0-9]{4}(?![0-9-])",
        r"(?:[1-9]|1[0-2])/(?:1[1-9]|2[0-9]|3[01])(?![0-9/])",
        rf"[0-9]++(?:,[0-9]{{3}}(?![0-9])|,[0-9]{{2}}(?=,[0-9])|[.:][0-9]++)*+{ending}",
        rf"(?<!{_ALNUM})(?:\.[0-9]++|\+[0-9]++|{_APOSTROPHE}[0-9]{{2}}s?(?!{_ALNUM}))",
        "(?<=[0-9])[xX×](?=[0-9])",
    ]


def _letters() -> list[str]:
    """Compounds, contractions, abbreviations, and any other letters and digits."""
    return [
        rf"({_LETTER}++(?:[-‐‑]{_ALNUM}++(?!{_APOSTROPHE}t(?!{_ALNUM})))++)",
        rf"({_LETTER}++(?:{_APOSTROPHE}{_LETTER}++)++)",
        rf"({_LETTER}++(?:\.{_LETTER}++(?!{_APOSTROPHE}{_LETTER}))++\.?|{_LETTER}++\.(?!\.))",
        rf"{_LETTER}{{1,4}}&{_LETTER}{{1,4}}(?!{_ALNUM})",
        r"(?:US|AU|CA|HK|NZ|NT|[UACSR])\$",
        rf"({_LETTER}++)(?![0-9_])",
        rf"{_ALNUM}++(?:_++{_ALNUM}++)*+",
        rf"({_APOSTROPHE}(?i:{_ELISIONS})(?!{_ALNUM}))",
        r"-(?i:[lr][rsc]b)-",
        rf"@(?=[0-9_]{{0,32}}[A-Za-z])[A-Za-z0-9_]++|#(?=[0-9_]{{0,32}}{_LETTER})(?:{_ALNUM}|_)++",
    ]


def _emoticons() -> list[str]:
    """Faces and hearts made of punctuation."""
    return [
        rf"[>]?[:;=]['’]?[-^o]?(?:\)++|\(++(?!{_ALNUM}))",
        rf"(?<!{_ALNUM})[:;=]['’]?[-^]?[DPpOoSs3/\\|*\]\[](?!{_ALNUM}|/)",
        rf"\(+[-^]?[:;=](?!{_ALNUM})",
        r"</?3++(?![0-9])|\^[_.-]*\^|-[_.]++-|>[_.]++<|¯\\_\(ツ\)_/¯|\\[om]/",
    ]


def _symbols() -> list[str]:
    """Ellipses, runs of one sign, arrows and rules, doubled quotes, emoji, then anything."""
    runs = "|".join(f"{re.escape(sign)}{{2,}}+" for sign in _RUNS)
    return [
        r"\.{2,}+|…[.…]*+|[!?]{2,}+",
        r"[-=*~+_#|<>{}]{4,}+|[-=]++>|<[-=]++|>=",
        runs,
        "['’‘`]{2}",
        rf"[{_FLAG}]{{2}}",
        rf"[{_EMOJI}]{_ATTACHED}*+(?:(?<=\u200d)[{_EMOJI}]{_ATTACHED}*+)*+",
        rf"[^{_SPACE}]{_ATTACHED}*+",
    ]


def compile_scanner(
    *, units: Iterable[str], domains: Iterable[str], extensions: Iterable[str]
) -> re.Pattern[str]:
    """Compile the scanner; its successive matches are the words, give or take the lexicon.

    Args:
        units: What may follow a number at once and is a word of its own, for example "km".
        domains: Last part of host names, for example "com".
        extensions: Last part of file names, for example "doc".
    """
    alternatives = [
        *_common(),
        *_addresses(domains, extensions),
        *_numbers(units),
        *_letters(),
        *_emoticons(),
        *_symbols(),
    ]
    return re.compile("|".join(alternatives))
