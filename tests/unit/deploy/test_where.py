"""docs/where.md and the folders' pages name files that are there."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
CODE = ROOT / "services" / "parley_services"
WHERE = (ROOT / "docs" / "where.md").read_text()
SERVICES = sorted(each.parent.name for each in CODE.glob("*/servicer.py"))
PAGES = [*SERVICES, "cli", "kit"]

QUESTIONS = re.findall(r"^\| (?!where is|---)(.+?) \| (.+) \|$", WHERE, re.MULTILINE)


def paths_in(text):
    """Return what *text* names by a path: a word in backticks that has a slash or a suffix."""
    return re.findall(r"`([A-Za-z0-9_./-]+(?:/|\.(?:py|yaml|proto|md)))`", text)


@pytest.mark.parametrize(("question", "answer"), QUESTIONS, ids=[q for q, _ in QUESTIONS])
def test_a_question_is_answered_by_files_that_are_there(question, answer):
    paths = paths_in(answer)
    assert paths
    missing = [path for path in paths if not ((CODE / path).exists() or (ROOT / path).exists())]
    assert missing == []


def test_there_are_at_least_twenty_questions():
    assert len(QUESTIONS) >= 20


@pytest.mark.parametrize("name", PAGES)
def test_a_folder_has_a_page_of_at_most_thirty_lines_that_names_files_that_are_there(name):
    page = (CODE / name / "README.md").read_text()
    assert len(page.splitlines()) <= 30
    assert [path for path in paths_in(page) if not is_there(path, CODE / name)] == []


def is_there(path, folder):
    """Whether *path* is in the repository, or anywhere in *folder*."""
    if any((root / path).exists() for root in (CODE, ROOT)):
        return True
    return any(folder.rglob(path.rstrip("/")))
