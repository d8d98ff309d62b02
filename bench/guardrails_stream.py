"""
How much of an answer do the guardrails hold back? `python -m bench.guardrails_stream`

Scans ordinary texts with all default rules, cut in two ways: into the tokens of o200k, which
put the space before the word, and into words with the space after them. After each chunk
three things are measured:

* *before the word*: whether all is released but the last word, the characters since the last
  white space. A chunk that ends in white space leaves no such word, so all must be released.
* *at all*: whether all is released, the word that is being written too.
* the characters that are held.

Reads public texts from PARLEY_BENCH_DATA. A text is followed up to the first thing that a
rule finds in it.
"""

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
import quicktok
from parley_services.guardrails.checks import Checks
from parley_services.guardrails.policy.policy_file import default_policy
from parley_services.guardrails.rules import ALL_RULES
from parley_services.guardrails.streams.scan_rules import OutputContext
from rich.console import Console
from rich.table import Table

from bench.guardrails_data import data_folder

MAX_TEXTS = 300


@dataclass(slots=True)
class Held:
    """What was held after each chunk of a corpus."""

    before_the_word: list[bool] = field(default_factory=list)
    lengths: list[int] = field(default_factory=list)

    def add(self, held: str) -> None:
        self.before_the_word.append(len(held.lstrip().split()) > 1 or held[-1:].isspace())
        self.lengths.append(len(held))


def corpora() -> dict[str, list[str]]:
    """Return texts by the set that they are from."""
    folder = data_folder()

    def rows(path: str) -> list[dict[str, object]]:
        return [json.loads(line) for line in (folder / path).read_text().splitlines()]

    return {
        "MT-Bench": [turn for row in rows("mt_bench/question.jsonl") for turn in row["turns"]],
        "LLMRouter questions": [
            row["question"]
            for row in json.loads((folder / "llmrouter9/dcrouter_train.json").read_text())
        ],
        "e-mails": [row["context"] for row in rows("bipia/email_test.jsonl")],
        "Arena Hard, half code": [
            row["turns"][0]["content"] for row in rows("arena_hard/question.jsonl")
        ],
    }


def follow(checks: Checks, pieces: list[str], held: Held) -> None:
    """Scan *pieces* and note what is held after each of them."""
    scanner = checks.scan_output(OutputContext())
    waiting = ""
    for piece in pieces:
        waiting += piece
        for step in scanner.feed(piece):
            if not isinstance(step, str):
                return
            waiting = waiting[len(step) :]
        held.add(waiting)


def cuttings() -> Iterator[tuple[str, Callable[[str], list[str]]]]:
    encoding = quicktok.get_encoding("o200k_base")
    yield "o200k tokens", lambda text: [encoding.decode([each]) for each in encoding.encode(text)]
    yield "words, space after", lambda text: re.findall(r"\S*\s+|\S+\Z", text)


def main() -> None:
    checks = Checks(default_policy(), ALL_RULES)
    table = Table(title="chunks after which nothing is held, and characters that are held")
    for title in ("texts", "cut into", "chunks", "before the word", "at all", "p50", "p95", "max"):
        table.add_column(title, justify="left" if title in ("texts", "cut into") else "right")
    for name, texts in corpora().items():
        for cutting, cut in cuttings():
            held = Held()
            for text in texts[:MAX_TEXTS]:
                follow(checks, cut(text), held)
            lengths = np.array(held.lengths)
            table.add_row(
                name,
                cutting,
                f"{len(lengths):,}",
                f"{1 - np.mean(held.before_the_word):.1%}",
                f"{np.mean(lengths == 0):.1%}",
                *(f"{np.percentile(lengths, share):.0f}" for share in (50, 95, 100)),
            )
    Console().print(table)


if __name__ == "__main__":
    main()
