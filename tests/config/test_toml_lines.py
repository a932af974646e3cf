"""The line of each key is found, whatever stands between."""

from __future__ import annotations

from foundation.config.toml_lines import lines_of

TEXT = '''\
# name = "a comment"
name = "a"  # = [
fabric.port = 1
roles = [
  "name = 3",  # ]
  "[membership]",
]
text = """
[table]
port = 3
"""
quoted = "a \\" ] # ["

[ membership . redial ]
first_s = 1
[strategies."a.b:C"]
'x y' = { z = [
  1] }
[[list]]
last = \'\'\'one\'\'\'
end = 1
'''


def test_lines_of_keys_and_tables() -> None:
    """Comments, texts over several lines and lists hide nothing, and are no keys themselves."""
    assert lines_of(TEXT) == {
        ("name",): 2,
        ("fabric", "port"): 3,
        ("roles",): 4,
        ("text",): 8,
        ("quoted",): 12,
        ("membership", "redial"): 14,
        ("membership", "redial", "first_s"): 15,
        ("strategies", "a.b:C"): 16,
        ("strategies", "a.b:C", "x y"): 17,
        ("list",): 19,
        ("list", "last"): 20,
        ("list", "end"): 21,
    }
