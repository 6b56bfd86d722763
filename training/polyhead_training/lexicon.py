"""Builds the word splitter's lexicon: hand-written English plus what a treebank adds.

The hand-written base is general knowledge of English. The list of affixes that stay with their
word follows the addendum to the Penn Treebank's guidelines for web text. ``learn_lexicon`` adds
the forms that a treebank treats otherwise than the base, and drops those that it contradicts.
"""

from __future__ import annotations

import gzip
import json
import re
from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from polyhead_server.words import RULES, WordSplitter

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

__all__ = ["GoldSentence", "base_lexicon", "learn_lexicon", "read_gold", "write_lexicon"]

Span = tuple[int, int]

_SPLITS = """
can|not ca|nt ca|n't wo|nt wo|n't do|nt does|nt did|nt is|nt are|nt was|nt were|nt have|nt has|nt
had|nt would|nt could|nt should|nt must|nt ai|nt need|nt dos|nt sha|n't
gon|na wan|na got|ta out|ta ought|ta ha|fta lem|me gim|me du|n|no wha|dd|ya
i|m i|ve you|re you|ve they|re they|ve we|ve he|s she|s that|s what|s there|s here|s who|s how|s
where|s Let|s it|ll you|ll they|ll that|ll
't|is 't|was 'T|is 'T|was c'm|on y'|all d'|ye d'|you
a|lot
"""
_ABBREVIATIONS = """
mr mrs ms messrs mmes dr drs prof rev hon gov gen col lt capt cmdr cpl sgt maj adm pres supt
sen sens rep reps st ste mt ft jr sr esq
inc corp co cos ltd llc plc bros assn dept univ inst natl intl govt mfg
ave blvd rd hwy pkwy sq apt bldg
jan feb apr aug sept sep oct nov dec tues thurs thur tue thu fri mon
vs cf viz approx est ext attn arr arrv dep misc resp eg ie esp
ala ariz ark calif colo conn del fla ga ind kan ky la md mich minn mo mont neb nev okla ore pa
penn tenn tex va vt wis wyo que ont
ph.d d.d.s et.al w.va op.cit ibid incl trans eds vol vols encl illus
tbsp tsp tel mob asst ass't
"""
_CLOSING = "etc al a.m p.m o.k lb lbs oz mph hr hrs mins secs yr yrs fax b.c a.d b.c.e c.e bn mn"
_BEFORE_NUMBER = """
no nos fig figs sec secs ch pp pg p pt art arts para mar sat sun wed jun jul min max ver v
eq ref cap c d b ca r sect tab app ed
"""
_PREFIXES = """
agro ante anti arch bi bio co counter cross cyber de e eco ex extra hyper inter intra macro mega
meta micro mid mini multi neo non over pan para peri post pre pro proto pseudo psycho quasi re semi
socio sub super trans tri ultra un uni
"""
_SUFFIXES = "esque ette fest fold gate itis less most rama wise"
_SLASHED = "w/o w/out w/in b/c b/t b/w n/a l/c i/o a/c"
_HYPHENATED = "e-mail e-mails e-mailed e-mailing e-commerce e-book e-books uh-huh uh-oh"
_UNITS = """
am pm AM PM Am Pm a.m p.m A.M P.M k K m M b bn B mm MM mn km kg lb lbs ft cm g mg ml l oz hr hrs
h min mins sec secs mph kph kmh hz Hz khz kHz KHz mhz MHz Mhz ghz GHz Ghz gb GB Gb mb MB Mb kb KB
kB tb TB w W kw kW KW mw MW kWh MWh v V x yr yrs mi hh sq p C F c f bp pts pt ppm hp cc mAh
million billion trillion percent dollars days day hours hour minutes minute weeks week months month
years year miles mile feet foot inch inches meters metres people persons times
"""
_DOMAINS = """
com org net edu gov mil info biz co.uk org.uk ac.uk com.au co.jp co.in co.nz ac.jp de fr nl eu ca
tv io ly uk ru cn jp au ch se fi gl gle fm
"""
_EXTENSIONS = """
doc docx xls xlsx ppt pptx pdf txt rtf csv tsv zip gz tar rar exe dll jpg jpeg png gif bmp tif tiff
mp3 mp4 avi mov wav html htm xml json yaml yml css js py java cpp php asp url ini cfg log sql sh bat
"""


def base_lexicon() -> dict[str, object]:
    """The hand-written lexicon.

    Returns:
        Lists of strings by entry name, as :class:`polyhead_server.words.WordSplitter` reads them.
    """
    return {
        "rules": RULES,
        "splits": sorted(set(_SPLITS.split())),
        "abbreviations": sorted({f"{form}." for form in _ABBREVIATIONS.split()}),
        "abbreviations_before_number": sorted({f"{form}." for form in _BEFORE_NUMBER.split()}),
        "abbreviations_closing": sorted({f"{form}." for form in _CLOSING.split()}),
        "slashed": sorted(_SLASHED.split()),
        "suffixes": _SUFFIXES.split(),
        "prefixes": sorted(set(_PREFIXES.split())),
        "hyphenated": sorted(_HYPHENATED.split()),
        "units": sorted(set(_UNITS.split())),
        "domains": sorted(set(_DOMAINS.split())),
        "extensions": sorted(set(_EXTENSIONS.split())),
    }


@dataclass(frozen=True, slots=True)
class GoldSentence:
    """A sentence as written and its words.

    Attributes:
        text: The raw text.
        words: Code point spans [start, end) of the words, in order.
    """

    text: str
    words: tuple[Span, ...]


def read_gold(path: Path) -> Iterator[GoldSentence]:
    """Read the sentences of a CoNLL-U file, plain or gzipped.

    Raises:
        ValueError: A word is not found in its sentence's text.
    """
    with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as packed:
        yield from _read_sentences(line.decode("utf-8") for line in packed)


def _read_sentences(lines: Iterable[str]) -> Iterator[GoldSentence]:
    """Gather the lines of each sentence."""
    text, rows = "", list[list[str]]()
    for line in lines:
        if line.startswith("# text = "):
            text = line[len("# text = ") :].rstrip("\n")
        elif line[:1].isdigit():
            rows.append(line.split("\t", 2)[:2])
        elif not line.strip() and rows:
            yield GoldSentence(text, tuple(_align(text, rows)))
            rows = []


def _align(text: str, rows: Iterable[list[str]]) -> Iterator[Span]:
    """Find the surface of each word; one whose letters differ from the surface is left out."""
    at, limit, last = 0, 0, 0
    for identifier, form in rows:
        if "." in identifier:
            continue
        if "-" in identifier:
            at = _find(text, form, at)
            limit, last = at + len(form), int(identifier.partition("-")[2])
            continue
        inside = int(identifier) <= last
        if inside and not text.startswith(form, at):
            at = limit
            continue
        start = _find(text, form, at)
        at = start + len(form)
        yield (start, at)


def _find(text: str, form: str, at: int) -> int:
    """Position of a form after blanks."""
    while text[at : at + 1].isspace():
        at += 1
    if not text.startswith(form, at):
        raise ValueError(f"word {form!r} is not at offset {at} of its text")
    return at


_FORM = re.compile(r"(?<![\w@#./'’-])[A-Za-z]+(?:['’-][A-Za-z]+)*+(?![\w@'’/-]|\.\w)")
_DOTTED_FORM = re.compile(r"(?<![\w.'-])[A-Za-z]{1,6}\.(?=\s+\S|[,)])")
_ENOUGH = 3
_MAJORITY = 0.75


def _count(sentences: Iterable[GoldSentence], pattern: re.Pattern[str]) -> dict[str, Counter[str]]:
    """Count how each form is written in words, for example "do|n't", by lower-case form."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for sentence in sentences:
        starts = {start for start, _ in sentence.words}
        ends = {end for _, end in sentence.words}
        for match in pattern.finditer(sentence.text):
            start, end = match.span()
            if start in starts and end in ends:
                form = match[0].lower().replace("’", "'")
                marks = (("|" if start + i in starts and i else "") + c for i, c in enumerate(form))
                counts[form]["".join(marks)] += 1
    return counts


def _decisions(counts: Mapping[str, Counter[str]]) -> dict[str, str]:
    """The usual way to write each form, where the treebank is clear enough."""
    clear = {}
    for form, ways in counts.items():
        way, count = ways.most_common(1)[0]
        if count >= _ENOUGH and count >= _MAJORITY * ways.total():
            clear[form] = way
    return clear


def _current(splitter: WordSplitter, form: str) -> str:
    """How the splitter writes a form."""
    text = f"{form} x"
    return "|".join(text[start:end] for start, end in splitter.split(text)[:-1])


def _depends(form: str, lexicon: Mapping[str, object]) -> bool:
    """Tell whether the rules look at what follows this abbreviation: "No.", "A."."""
    numbered = cast("list[str]", lexicon["abbreviations_before_number"])
    return form in numbered or len(form) == len("A.")


def learn_lexicon(
    sentences: Iterable[GoldSentence], base: Mapping[str, object] | None = None
) -> dict[str, object]:
    """Merge a lexicon with what a treebank says of contractions, hyphens and abbreviations.

    Args:
        sentences: The treebank; the order does not matter.
        base: What to start from; :func:`base_lexicon` if None.

    Returns:
        A new lexicon. An entry changes only for a form seen three times or more that the treebank
        writes one way in three cases of four and the base lexicon another.
    """
    merged = dict(base_lexicon() if base is None else base)
    splitter, sentences = WordSplitter(merged), list(sentences)
    entries = {
        key: set(cast("list[str]", merged[key]))
        for key in ("splits", "hyphenated", "abbreviations")
    }
    for form, way in _decisions(_count(sentences, _FORM)).items():
        if way == _current(splitter, form):
            continue
        if way != form and "|-" not in way:
            entries["splits"].add(way)
        elif way == form and "-" in form:
            entries["hyphenated"].add(form)
        elif way == form:
            entries["splits"] = {e for e in entries["splits"] if e.replace("|", "") != form}
    for form, way in _decisions(_count(sentences, _DOTTED_FORM)).items():
        if way == form != _current(splitter, form) and not _depends(form, merged):
            entries["abbreviations"].add(form)
    return merged | {key: sorted(values) for key, values in entries.items()}


def write_lexicon(lexicon: Mapping[str, object], path: Path) -> None:
    """Write a lexicon as JSON, one entry a line, the same bytes for the same lexicon."""
    lines = [
        f"  {json.dumps(key)}: {json.dumps(value, ensure_ascii=False)}"
        for key, value in lexicon.items()
    ]
    path.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")
