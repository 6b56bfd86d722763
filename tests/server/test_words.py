"""The word splitter: what is one word, what is cut, and what holds for any text at all."""

import json
import time
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polyhead_server.words import LexiconError, WordSplitter, default_lexicon

SPLITTER = WordSplitter(default_lexicon())


def words(text):
    """Surface forms of the words of a text."""
    return [text[start:end] for start, end in SPLITTER.split(text)]


def is_blank(char):
    """Tell whether a character separates words and belongs to none."""
    return char.isspace() or unicodedata.category(char) == "Cc"


# Each row is a text with "|" at every cut that is not a blank.
EXAMPLES = {
    "contractions": [
        "I do|n't know , we ca|n't|.",
        "DO|N'T , Wo|n't , is|n’t , have|n't|?",
        "I|'m , you|'re , they|'ve , she|'ll , he|’d",
        "would|n't|'ve",
        "can|not , Can|not , gon|na , wan|na , got|ta , c'm|on",
        "do|nt , ca|nt , did|nt",
        "'t|is , 'T|was",
        "Let|'s go",
    ],
    "possessives": [
        "Bush|'s , China|’s , Al|-|Qaeda|'s",
        "the Joneses|' and neighbours|’ cars",
        "O'Connell|'s",
    ],
    "apostrophes inside names": ["O'Brien , Ba'athist , al|-|Qa'ida , d'etat , rock 'n' roll"],
    "treebank tokens given apart": ["it 's do n't ca n't they 've -lrb- hm -rrb- `` ok ''"],
    "abbreviations": [
        "the U.S. and the U.K. agree",
        "Mr. Smith , Dr. No|, Gen. Lee , St. Paul",
        "Acme Inc. of Washington|, D.C.|, said",
        "(|e.g.|, i.e. this|, etc.|)",
        "on Jan. 5 at 5 p.m. in Sept. 2001",
        "J. R. R. Tolkien",
        "No. 5",
        "U.S.|-|led",
    ],
    "periods that end a sentence": [
        "I said no|. Then I left|.",
        "cats|, dogs|, etc|.",
        "He lives in the U.S|.",
        "It closed at 5 p.m|. They left|.",
        "than I|. Then",
        "good|.|Then",
    ],
    "addresses": [
        "see http://example.com/a-b?c=d&e=f#g|. Then",
        "(|www.example.com|)|, Example.org|!",
        "mail me@example.co.uk|, or first.last+tag@mail.example.com|.",
        "comp.sources.unix",
        "open report-2.final.pdf|, data.xls|.",
        "t.co/AbC123",
    ],
    "emoticons": [":) :-( ;) :D :P =) :'( <3 ^_^ (: :/", "great|:)", "thanks| :)|."],
    "ellipses and repeated signs": [
        "wait|... what|?! no|!!! hm|.... well|… --- *** ====",
        "one|--|two , one|—|two",
    ],
    "hyphens": [
        "so|-|called , well|-|known , state|-|of|-|the|-|art , 24|-|year|-|old",
        "e-mail , non-profit , anti-war , pre-owned , mid-1980s , co-workers , ex-wife",
        "clock-wise , co‑operate",
        "F|-|16 , US|-|based",
    ],
    "slashes": ["and|/|or , he|/|she , w/o , 3|/|4 , 11/28/2000"],
    "numbers": [
        "1,000,000.50 , 3.14 , 10:30 , 5th , 1990s , '90s , 60's",
        "713-853-3989 , 345-9945 , 1-800-555-1234 , 2001-05-06",
        "5|-|10 , 1969|-|1970 , AS400 , Q1",
    ],
    "units": ["5|pm , 7:30|AM , 10|km , 3|m , 75|k , 3|x|5"],
    "money and percent": ["$|5 , US$|3.5|m , £|30 , 50|% , $|1,000.00"],
    "quotes and brackets": ['"|Yes|,|" she said (|twice|) [|sic|]', "“|Yes|” , ‘|no|’ , ''|hm|''"],
    "signs among letters": [
        "AT&T , R&D , p&l , f*ck , SH*T , plays|*|That , he|&|she , C|++ , #|1"
    ],
    "tweets": ["@user_1|: look at #ThisTag2|, &amp; @two|'s"],
    "emoji": ["👍🏽 👨‍👩‍👧 ❤️ 1️⃣ 🇺🇸|🇬🇧 😂|😂 so|😂"],
    "other scripts": ["שלום עולם|. مرحبا , naïve café , 你好|。 नमस्ते , cafe\u0301"],
}


@pytest.mark.parametrize("row", [row for rows in EXAMPLES.values() for row in rows])
def test_examples(row):
    """A text is cut at blanks and exactly where its row says."""
    expected = row.replace("|", " ").split()
    assert words(row.replace("|", "")) == expected


def test_curly_apostrophes_split_as_straight_ones():
    """The spans depend on the letters, not on the kind of apostrophe."""
    straight = "don't John's I'm wouldn't've 'tis O'Neil's cats' 'em"
    assert SPLITTER.split(straight) == SPLITTER.split(straight.replace("'", "’"))


def test_offsets_are_code_points():
    """Spans index the Python string, also after characters outside the basic plane."""
    assert SPLITTER.split("😀 don't\n\tgo") == [(0, 1), (2, 4), (4, 7), (9, 11)]


@pytest.mark.parametrize("text", ["", " ", "\n\t \r\n", "\x00\x01\x7f\x85"])
def test_texts_without_words(text):
    """Blanks and control characters alone hold no words."""
    assert SPLITTER.split(text) == []


def test_control_characters_separate_words():
    """A NUL cuts a word and belongs to neither part."""
    assert words("a\x00b\x1fc.\x7f") == ["a", "b", "c", "."]


def test_lone_surrogates_keep_their_offsets():
    """A str that is not valid Unicode text is split all the same."""
    assert SPLITTER.split("a \ud800b \udc00") == [(0, 1), (2, 4), (5, 6)]


def test_letters_that_grow_in_lower_case_keep_offsets():
    """A capital I with dot has two code points in lower case; offsets count the original."""
    assert words("İn-İzmir İ.İ. x") == ["İn", "-", "İzmir", "İ.İ.", "x"]


def test_zero_width_characters_stay_with_their_word():
    """Joiners, soft hyphens and direction marks are parts of words."""
    assert words("basic\u00adally \u200fab\u200dc\u200e") == [
        "basic\u00adally",
        "\u200fab\u200dc\u200e",
    ]


def test_paragraph_end_takes_the_period():
    """An abbreviation before an empty line ends its sentence; before a line break it does not."""
    assert words("Acme Inc.\n\nNext") == ["Acme", "Inc", ".", "Next"]
    assert words("Mr.\nSmith") == ["Mr.", "Smith"]
    assert words("Mr.  Smith") == ["Mr.", "Smith"]


MIXED = st.lists(
    st.one_of(
        st.text(max_size=4),
        st.characters(categories=["Cs", "Cc", "Cf", "Mn", "So"]),
        st.sampled_from(
            ["don't", "can", "not", "'", "’s", "-", "--", ".", "...", "U.S", "http://", "@", "#",
             "5", "pm", "/", ":", ")", "(", "a", "e.g", "com", "\u200d", "😀", "🇺", " ", "\n", "_"]
        ),
    ),
    max_size=12,
).map("".join)  # fmt: skip


@given(MIXED)
def test_spans_are_ordered_and_within_the_text(text):
    """Spans are not empty, do not overlap, and come in order."""
    spans = SPLITTER.split(text)
    bounds = [bound for span in spans for bound in span]
    assert bounds == sorted(bounds)
    assert all(start < end <= len(text) for start, end in spans)


@given(MIXED)
def test_words_cover_just_what_is_not_blank(text):
    """Every character is either blank or in one word, never both."""
    covered = [index for span in SPLITTER.split(text) for index in range(*span)]
    assert covered == [index for index, char in enumerate(text) if not is_blank(char)]


@given(MIXED, st.sampled_from(["\n\n", " \n\n ", "\x00\n\n"]))
def test_paragraphs_do_not_touch_each_other(text, gap):
    """What follows an empty line changes nothing before it, and moves with it."""
    spans, shift = SPLITTER.split(text + "x."), len(text + "x.") + len(gap)
    both = SPLITTER.split(f"{text}x.{gap}{text}x.")
    assert both == [*spans, *((start + shift, end + shift) for start, end in spans)]


@given(MIXED)
def test_same_text_same_spans(text):
    """A splitter keeps no state; another from a copy of the lexicon gives the same."""
    copy = WordSplitter(json.loads(json.dumps(default_lexicon())))
    assert SPLITTER.split(text) == copy.split(text) == SPLITTER.split(text)


UNITS_OF_LONG_TEXT = [
    *("a", "!", "a.", "a-", "a'", "s's", "1.", "1-", "1,", "@", "a@", "http://", "www.", "a&", ":"),
    *("(", "_a", "#", "#0", "-_.", "<", "^_", "a.b@c.", "com.", "'", ".", "=-", " ", "!?", ":-"),
    *("\u200d", "😀\u200d", "\ud800", "a\u0301", "…"),
]


@pytest.mark.parametrize("unit", UNITS_OF_LONG_TEXT)
def test_one_endless_word_takes_linear_time(unit):
    """50,000 characters of one kind take about 0.1 s; scanned once per character, half a minute."""
    text = (unit * 50_000)[:50_000]
    begun = time.process_time()
    spans = SPLITTER.split(text)
    assert time.process_time() - begun < 8
    assert sum(end - start for start, end in spans) == len(text.replace(" ", ""))


def test_unknown_rules_are_refused():
    """A lexicon made for other rules cannot be read by guessing."""
    with pytest.raises(LexiconError, match="'ud-english-2'"):
        WordSplitter({**default_lexicon(), "rules": "ud-english-2"})
    with pytest.raises(LexiconError, match="None"):
        WordSplitter({})


@pytest.mark.parametrize("value", [None, "mr.", [""], [1], {"mr.": 1}])
def test_malformed_entries_are_named(value):
    """An entry that is not a list of non-empty strings is named in the error."""
    with pytest.raises(LexiconError, match="'abbreviations'"):
        WordSplitter({**default_lexicon(), "abbreviations": value})


@pytest.mark.parametrize("split", ["cannot", "can|", "|not", "can||not"])
def test_splits_need_two_pieces(split):
    """A split with an empty piece would make an empty word."""
    with pytest.raises(LexiconError, match="two or more"):
        WordSplitter({**default_lexicon(), "splits": [split]})


def test_an_entry_of_the_lexicon_decides():
    """What a bundle's own lexicon says holds, in any of the usual letter cases."""
    own = {**default_lexicon(), "splits": ["alot|of"], "hyphenated": ["so-called"]}
    text = "Alotof so-called cannot"
    found = [text[start:end] for start, end in WordSplitter(own).split(text)]
    assert found == ["Alot", "of", "so-called", "cannot"]


def test_the_packaged_lexicon_is_small_and_fresh():
    """The lexicon travels in every bundle; a caller may change its copy."""
    first = default_lexicon()
    assert len(json.dumps(first)) < 60_000
    first.clear()
    assert default_lexicon()["rules"] == "ud-english-1"
