"""Whatever is printed is text: no markup, no emoji names, nothing that acts on the terminal."""

import io
import re
from pathlib import Path

import parley_services.cli
import pytest
from hypothesis import given
from hypothesis import strategies as st
from parley_services.cli.console import Terminal, styled, visible
from rich.table import Table

FOREIGN = [
    "x[/foo]",
    "[red]not red[/red]",
    "[link=https://example.com]x[/link]",
    "ipv4:a:port",
    ":smile:",
    "\\[escaped]",
]
HARMFUL = ["\x1b[2J", "\x9b31m", "a\rb", "a\bb", "\u202eevil", "\u2066x"]


def printed(*renderables, terminal=False):
    out = io.StringIO()
    console = Terminal(file=out, width=200, force_terminal=terminal)
    for each in renderables:
        console.print(each)
    return out.getvalue()


def table_of(text):
    table = Table(text, title=text)
    table.add_row(text)
    return table


@pytest.mark.parametrize("text", FOREIGN)
def test_foreign_text_stands_as_it_is(text):
    assert printed(text) == f"{text}\n"
    assert printed(styled((text, "red"), " is away")) == f"{text} is away\n"
    assert printed(table_of(text)).count(text) == 3


@pytest.mark.parametrize("text", HARMFUL)
def test_nothing_acts_on_the_terminal(text):
    out = printed(text, styled((text, "red")), table_of(text))
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", out)


@given(st.text())
def test_what_is_visible_is_harmless_and_stays_so(text):
    shown = visible(text)
    assert shown == visible(shown)
    assert shown.isprintable() or set(shown) & set("\t\n") or not text.isprintable()


def test_our_own_style_still_reaches_a_terminal():
    assert "\x1b[31m" in printed(styled(("away", "red")), terminal=True)


def test_no_command_prints_markup_or_another_console():
    for path in Path(parley_services.cli.__file__).parent.rglob("*.py"):
        if path.name == "console.py":
            continue
        code = path.read_text()
        assert "rich.markup" not in code, path
        assert not re.search(r"\bConsole\(|markup=True|emoji=True", code), path
        assert not re.search(r"\[/?(?:bold|dim|red|green|yellow|cyan)\]", code), path
