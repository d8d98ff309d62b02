"""docs/operations.md lists every setting, as the code has it."""

from pathlib import Path

from parley_services.cli.process.settings import as_markdown, sections

OPERATIONS = (Path(__file__).parents[3] / "docs" / "operations.md").read_text()


def test_every_setting_is_documented_as_it_is():
    missing = [each.title for each in sections() if as_markdown(each).strip() not in OPERATIONS]
    assert not missing, f"stale: {missing}; run `make docs`"


def test_every_setting_says_what_it_means():
    silent = [s.name for section in sections() for s in section.settings if not s.meaning]
    assert silent == []
