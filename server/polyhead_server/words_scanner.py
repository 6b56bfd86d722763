"""The scanner of the word splitter: one regular expression, read from top to bottom.

Time is linear in the text: repeats without bound are possessive and are consumed whole, and what
may be scanned in vain (addresses, telephone numbers) is bounded in length.
"""

from __future__ import annotations

import re
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Kind", "compile_scanner"]


class Kind(Enum):
    """What the splitter has to do with a match."""

    WORD = "a word as it stands"
    PLAIN = "letters, perhaps with cuts in the lexicon"
    JOINED = "letters with apostrophes"
    DOTTED = "letters with periods"
    COMPOUND = "letters and digits with hyphens"


Alternative = tuple[Kind, str]

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
    "\u3001-\u3003\u3008-\u3020\u3030\u30fb\uff01-\uff0f\uff1a-\uff20\uff3b-\uff40\uff5b-\uff65"
)
# Whatever is not punctuation, a symbol, an ASCII digit or space is taken for a letter: letters of
# every script with their marks, lone surrogates, unassigned code points.
_ALNUM = f"[^{_SPACE}{_PUNCTUATION}{_EMOJI}]"
_LETTER = f"[^{_SPACE}0-9{_PUNCTUATION}{_EMOJI}]"
_APOSTROPHE = "['’`´ʼ]"
_ELISIONS = "s|re|ve|ll|d|m|em|til|till|cause|cuz|bout|round|n|tis|twas|t"
_RUNS = "-=*_~+<>^#|$%&/\\•·—–"


def _words(*patterns: str) -> Alternative:
    """Alternatives whose match is a word as it stands."""
    return Kind.WORD, "|".join(patterns)


def _any_of(forms: Iterable[str]) -> str:
    """Alternation of literals, the longest first."""
    return "|".join(re.escape(form) for form in sorted(forms, key=lambda form: (-len(form), form)))


def _common() -> list[Alternative]:
    """What most words are, so tried first; all of it would be found further down too."""
    return [
        (Kind.PLAIN, r"[A-Za-z]++(?=[ ,;!?)\"\n]|\Z)"),
        _words(",", rf"\.(?=[{_SPACE}]|\Z)"),
        (Kind.DOTTED, r"[A-Za-z]++\.(?=[ \n]|\Z)"),
        (Kind.JOINED, r"[A-Za-z]++['’][A-Za-z]{1,2}(?=[ ,.\n]|\Z)"),
    ]


def _addresses(domains: Iterable[str], extensions: Iterable[str]) -> Alternative:
    """URLs, e-mail addresses, host names, file names."""
    inner = rf"[^{_SPACE}<>\"”“\[\]{{}}|"
    tail = f"(?:{inner}]*{inner}.,;:!?)('’*])?"
    extension = _any_of(extensions)
    return _words(
        rf"(?i:(?:https?|ftp|file|news|telnet)://|mailto:|www[0-9]?\.(?={_ALNUM})){tail}",
        rf"[A-Za-z0-9_.+%-]{{1,64}}+@{_ALNUM}++(?:[._%-]++{_ALNUM}++)*+",
        rf"(?:[A-Za-z0-9-]{{1,63}}+\.){{1,6}}(?i:{_any_of(domains)})(?!{_ALNUM})(?:/{tail})?",
        rf"(?:[A-Za-z0-9-]{{1,63}}+\.){{1,6}}[a-z]{{2,3}}/{_ALNUM}{tail}",
        rf"(?:(?:{_ALNUM}|[-_#~&%]){{1,64}}+\.){{1,5}}(?i:{extension})(?!{_ALNUM})",
        rf"(?<!{_ALNUM})\.(?i:{extension})(?!{_ALNUM})",
    )


def _numbers(units: Iterable[str]) -> Alternative:
    """Dates, telephone numbers, ordinals, decades, amounts; a unit is the next word."""
    unit = f"(?:{_any_of(units)})(?!{_ALNUM})"
    ending = f"(?:(?i:st|nd|rd|th|s|{_APOSTROPHE}s)(?!{_ALNUM})|(?!{unit}|x[0-9])(?:{_ALNUM}|_)++)?"
    return _words(
        "[0-9#*]\ufe0f?\u20e3",
        r"[0-9]{1,4}/[0-9]{1,2}/[0-9]{2,4}(?![0-9/])",
        r"(?:[0-9]{1,2}-[0-9]{1,2}-[0-9]{2,4}|[0-9]{4}-[0-9]{1,2}-[0-9]{1,2})(?![0-9-])",
        r"(?:\+?[0-9]{1,2}[-.])?[0-9]{3}[-./][0-9]{3}[-.][0-9]{4}(?![0-9-])",
        r"(?:[0-9]{3}|[0-9]{5})-[0-9]{4}(?![0-9-])",
        r"(?:[1-9]|1[0-2])/(?:1[1-9]|2[0-9]|3[01])(?![0-9/])",
        rf"[0-9]++(?:,[0-9]{{3}}(?![0-9])|,[0-9]{{2}}(?=,[0-9])|[.:][0-9]++)*+{ending}",
        rf"(?<!{_ALNUM})(?:\.[0-9]++|\+[0-9]++|{_APOSTROPHE}[0-9]{{2}}s?(?!{_ALNUM}))",
        "(?<=[0-9])[xX×](?=[0-9])",
    )


def _letters(slashed: Iterable[str]) -> list[Alternative]:
    """Compounds, contractions, abbreviations, and any other letters and digits."""
    clitic = f"(?i:s|d|m|ll|re|ve)(?!{_ALNUM})"
    inside = f"(?!{_APOSTROPHE}(?!{clitic}){_LETTER})"
    return [
        (
            Kind.COMPOUND,
            rf"{_LETTER}++(?:[-‐‑](?:{_LETTER}{_ALNUM}*+|[0-9]++s?(?!{_ALNUM}|[.:/][0-9])){inside})++",
        ),
        (Kind.JOINED, rf"{_LETTER}++(?:{_APOSTROPHE}{_LETTER}++)++"),
        (Kind.DOTTED, rf"{_LETTER}++(?:\.{_LETTER}++(?!{_APOSTROPHE}{_LETTER}))++\.?"),
        (Kind.DOTTED, rf"{_LETTER}++\.(?!\.)"),
        _words(
            rf"(?i:{_any_of(slashed)})(?!{_ALNUM})",
            r"[A-Za-z]{1,8}+(?:[*$]{1,5}[a-z]{1,8}+)++|[A-Z]{1,4}+\*{1,5}[A-Z]{1,4}+",
            rf"(?:[A-Z]{{1,4}}&[A-Z]{{1,4}}|[a-z]&[a-z])(?!{_ALNUM})",
            r"(?:US|AU|CA|HK|NZ|NT|[UACSR])\$",
        ),
        (Kind.PLAIN, rf"{_LETTER}++(?![0-9_])"),
        _words(rf"{_APOSTROPHE}[nN]{_APOSTROPHE}(?!{_ALNUM})"),
        (Kind.JOINED, rf"{_APOSTROPHE}(?i:{_ELISIONS})(?!{_ALNUM})"),
        _words(
            rf"{_ALNUM}++(?:_++{_ALNUM}++)*+",
            r"-(?i:[lr][rsc]b)-",
            r"&(?:amp|lt|gt|quot|apos|nbsp|#[0-9]{1,6});",
            r"@(?=[0-9_]{0,32}[A-Za-z])[A-Za-z0-9_]++",
            rf"#(?=[0-9_]{{0,32}}{_LETTER})(?:{_ALNUM}|_)++",
        ),
    ]


def _emoticons() -> Alternative:
    """Faces and hearts made of punctuation."""
    return _words(
        rf"[>]?[:;=]['’]?[-^o]?(?:\)++|\(++(?!{_ALNUM}))",
        rf"(?<!{_ALNUM})[:;=]['’]?[-^]?[DPpOoSs3/\\|*\]\[](?!{_ALNUM}|/)",
        rf"\([-^]?[:;=](?!{_ALNUM})",
        r"</?3++(?![0-9])|\^[_.-]*\^|-[_.]++-|>[_.]++<|¯\\_\(ツ\)_/¯|\\[om]/",
    )


def _symbols() -> Alternative:
    """Ellipses, runs of one sign, arrows and rules, doubled quotes, emoji, then anything."""
    runs = "|".join(f"{re.escape(sign)}{{2,}}+" for sign in _RUNS)
    return _words(
        r"\.{2,}+|…[.…]*+|[!?]{2,}+",
        r"[-=*~+_#|<>{}]{4,}+|\\/|[-=]++>|<[-=]++|>=",
        runs,
        "['’‘`]{2}",
        rf"[{_FLAG}]{{2}}",
        rf"[{_EMOJI}]{_ATTACHED}*+(?:(?<=\u200d)[{_EMOJI}]{_ATTACHED}*+)*+",
        rf"[^{_SPACE}]{_ATTACHED}*+",
    )


def compile_scanner(
    *,
    units: Iterable[str],
    domains: Iterable[str],
    extensions: Iterable[str],
    slashed: Iterable[str],
) -> tuple[re.Pattern[str], list[Kind]]:
    """Compile the scanner; its successive matches are the words, give or take the lexicon.

    Args:
        units: What may follow a number at once and is a word of its own, for example "km".
        domains: Last part of host names, for example "com".
        extensions: Last part of file names, for example "doc".
        slashed: Abbreviations with a slash, for example "w/o".

    Returns:
        The pattern, and the kind of each of its groups, the first for group 1. A match is blanks
        and then one group, the word; only the blanks at the end of a text come with no group.
    """
    alternatives = [
        *_common(),
        _addresses(domains, extensions),
        _numbers(units),
        *_letters(slashed),
        _emoticons(),
        _symbols(),
    ]
    groups = "|".join(f"({pattern})" for _, pattern in alternatives)
    # Blanks are taken in the same step: a search would try every alternative at each of them.
    return re.compile(rf"[{_SPACE}]*+(?:{groups}|\Z)"), [kind for kind, _ in alternatives]
