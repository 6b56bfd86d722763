"""Builds the word splitter's lexicon: contractions, abbreviations, prefixes, units."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from polyhead_server.words import RULES

__all__ = ["base_lexicon", "write_lexicon"]

_SPLITS = """
can|not ca|nt ca|n't wo|nt wo|n't do|nt does|nt did|nt is|nt are|nt was|nt were|nt have|nt has|nt
had|nt would|nt could|nt should|nt must|nt ai|nt need|nt dos|nt sha|n't
gon|na wan|na got|ta out|ta ought|ta ha|fta lem|me gim|me du|n|no wha|dd|ya
i|m i|ve you|re you|ve they|re they|ve we|ve he|s she|s that|s what|s there|s here|s who|s how|s
where|s let|s it|ll you|ll they|ll that|ll
't|is 't|was c'm|on y'|all d'|ye d'|you
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
        "splits": _SPLITS.split(),
        "abbreviations": sorted({f"{form}." for form in _ABBREVIATIONS.split()}),
        "abbreviations_before_number": sorted({f"{form}." for form in _BEFORE_NUMBER.split()}),
        "abbreviations_closing": sorted({f"{form}." for form in _CLOSING.split()}),
        "slashed": _SLASHED.split(),
        "suffixes": _SUFFIXES.split(),
        "prefixes": sorted(set(_PREFIXES.split())),
        "hyphenated": sorted(_HYPHENATED.split()),
        "units": sorted(set(_UNITS.split())),
        "domains": sorted(set(_DOMAINS.split())),
        "extensions": sorted(set(_EXTENSIONS.split())),
    }


def write_lexicon(lexicon: Mapping[str, object], path: Path) -> None:
    """Write a lexicon as JSON, one entry a line, the same bytes for the same lexicon."""
    lines = [
        f"  {json.dumps(key)}: {json.dumps(value, ensure_ascii=False)}"
        for key, value in lexicon.items()
    ]
    path.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")
