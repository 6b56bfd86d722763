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
ave blvd rd hwy pkwy sq apt bldg ste
jan feb apr aug sept sep oct nov dec tues thurs thur tue thu fri mon
etc vs al ca cf viz approx est ext attn arr arrv dep misc resp
ala ariz ark calif colo conn del fla ga ind kan ky la md mich minn mo mont neb nev okla ore pa
penn tenn tex va vt wis wyo que ont
ph.d m.d b.a m.a b.s m.s d.d.s p.s r.n j.d
e.g eg i.e ie a.k.a et.al n.b p.m a.m o.k b.c a.d b.c.e c.e u.s u.k u.n u.s.a u.s.s.r e.u d.c l.a
p.o f.b.i c.i.a t.v r.i.p v.p c.e.o n.y n.j n.c s.c n.d s.d w.va u.s.c
lb lbs oz mph hr hrs mins secs yr yrs tbsp tsp tel fax mob asst ass't
bn mn trans ed eds vol vols ser encl illus
op.cit ibid incl
"""
_BEFORE_NUMBER = """
no nos fig figs sec secs ch pp pg p pt art arts vol para mar sat sun wed jun jul min max ver v
eq ref cap c d b ca r sect tab app
"""
_PREFIXES = """
anti non pre pro post ex co re multi mid e semi sub neo intra un ultra pseudo quasi counter
micro mini mega hyper bi tri dis extra arch psycho trans de uber proto meta
"""
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
