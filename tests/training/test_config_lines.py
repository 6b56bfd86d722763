"""Every key of a TOML document is found at its line."""

import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polyhead_training.config_lines import key_lines, nearest_line

DOCUMENT = '''\
# name = "not me"
name = "a # b"          # comment = 1
"quoted key" = 1.5
when = 1979-05-27 07:32:00
story = """
name = "inside"
[table]
\\""" still inside """
raw = \'\'\'
[[x]]
\'\'\'
list = [ # first
  "a]", [1, 2],
  { deep = "b}" },
]
dotted.key = { x = 1, "y z" = 2 }

[table]
value = true
[table.inner]
value = -1
[[items]]
name = "one"
[[items]]
name = "two"
[items.part]
size = 1
[[items.parts]]
[[items.parts]]
size = 2
'''


@pytest.mark.parametrize(
    ("path", "line"),
    [
        (("name",), 2),
        (("quoted key",), 3),
        (("when",), 4),
        (("story",), 5),
        (("raw",), 9),
        (("list",), 12),
        (("list", 0), 13),
        (("list", 1, 1), 13),
        (("list", 2, "deep"), 14),
        (("dotted",), 16),
        (("dotted", "key", "y z"), 16),
        (("table",), 18),
        (("table", "value"), 19),
        (("table", "inner", "value"), 21),
        (("items", 0, "name"), 23),
        (("items", 1), 24),
        (("items", 1, "name"), 25),
        (("items", 1, "part", "size"), 27),
        (("items", 1, "parts", 0), 28),
        (("items", 1, "parts", 1, "size"), 30),
    ],
)
def test_each_form_of_key_is_found(path, line):
    """Strings, comments, inline tables, arrays and headers do not mislead the scan."""
    tomllib.loads(DOCUMENT)

    assert key_lines(DOCUMENT)[path] == line


def test_what_is_not_written_takes_the_line_around_it():
    """A missing key is reported at the nearest thing that encloses it."""
    lines = key_lines(DOCUMENT)

    assert nearest_line(lines, ("items", 1, "part", "colour")) == 26
    assert nearest_line(lines, ("nowhere",)) == 1


VALUES = st.recursive(
    st.integers() | st.booleans() | st.text(st.characters(codec="ascii", exclude_categories=["C"])),
    lambda inner: st.lists(inner, max_size=3),
    max_leaves=6,
)


def as_toml(value: object) -> str:
    """Write a value, each list item on its own line."""
    if isinstance(value, list):
        return "[\n" + "".join(f"{as_toml(item)},\n" for item in value) + "]"
    if isinstance(value, str):
        escaped = value.replace("\\", "\\\\").replace('"', '\\"')
        return f'"{escaped}"'
    return str(value).lower()


@given(st.dictionaries(st.from_regex(r"[a-z]{1,4}", fullmatch=True), VALUES, max_size=5))
def test_keys_are_found_after_any_value(values):
    """The line of each key is the line it was written on, whatever comes before it."""
    text, written = "", {}
    for key, value in values.items():
        written[key] = text.count("\n") + 1
        text += f"{key} = {as_toml(value)}\n"

    lines = key_lines(text)

    assert tomllib.loads(text) == values
    assert {path[0]: line for path, line in lines.items() if len(path) == 1} == written
