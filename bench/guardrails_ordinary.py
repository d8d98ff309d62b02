"""
How often are ordinary texts damaged? `python -m bench.guardrails_ordinary [--json FILE]`

Judges 500 generated texts of each of forty kinds as answers and as inputs under the default
policy, and recorded answers and articles from PARLEY_BENCH_DATA as answers. A text is damaged
if anything in it is replaced or if it is cut off. The texts are the same in every run.
"""

import json
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from parley_services.guardrails.checks import Checks
from parley_services.guardrails.policy.policy_file import default_policy
from parley_services.guardrails.rules import ALL_RULES
from parley_services.guardrails.streams.scan_rules import OutputContext
from parley_services.kit.chat.finding import GuardrailAction
from parley_services.kit.chat.input_source import InputText
from rich.console import Console
from rich.table import Table

from bench.guardrails_data import data_folder
from bench.guardrails_ordinary_texts import ordinary_texts

EACH = 500
DAMAGING = (GuardrailAction.REDACT, GuardrailAction.BLOCK)


def damaged_as_answer(checks: Checks, text: str) -> set[str]:
    """Return the rules that damage *text* as an answer."""
    scanner = checks.scan_output(OutputContext())
    scanner.feed(text)
    scanner.end()
    return {each.rule_id for each in scanner.findings if each.action in DAMAGING}


def damaged_as_input(checks: Checks, text: str) -> set[str]:
    """Return the rules that damage *text* as an input."""
    findings = checks.check_input([InputText(text=text)]).texts[0].findings
    return {each.rule_id for each in findings if each.action in DAMAGING}


def recorded() -> Iterator[tuple[str, str]]:
    """Yield set and text of answers and articles that people and models wrote."""
    folder = data_folder()
    for path in sorted((folder / "vercel_ai_fixtures").rglob("*.json")):
        for text in sorted(set(_long_strings(json.loads(path.read_text())))):
            yield "recorded answers", text
    for path in sorted((folder / "xquad").glob("*.json")):
        for article in json.loads(path.read_text())["data"]:
            for paragraph in article["paragraphs"]:
                yield f"articles {path.stem[-2:]}", paragraph["context"]
    for line in (folder / "bipia" / "table_test.jsonl").read_text().splitlines():
        yield "tables of articles", json.loads(line)["context"]


def _long_strings(value: Any) -> Iterator[str]:
    match value:
        case str() if len(value) >= 100 and value.count(" ") >= 10:
            yield value
        case dict():
            for each in value.values():
                yield from _long_strings(each)
        case list():
            for each in value:
                yield from _long_strings(each)


def main() -> None:
    checks = Checks(default_policy(), ALL_RULES)
    rows: dict[str, dict[str, Any]] = {}
    for stage, judge in (("answer", damaged_as_answer), ("input", damaged_as_input)):
        totals: Counter[str] = Counter()
        damaged: defaultdict[str, Counter[str]] = defaultdict(Counter)
        sets = ordinary_texts(EACH) if stage == "input" else (*ordinary_texts(EACH), *recorded())
        for kind, text in sets:
            totals[kind] += 1
            rules = judge(checks, text)
            if rules:
                damaged[kind]["all"] += 1
                damaged[kind].update(rules)
                if "-v" in sys.argv:
                    print(stage, kind, sorted(rules), repr(text[:300]))  # noqa: T201
        for kind, total in totals.items():
            row = rows.setdefault(kind, {"texts": total})
            row[stage] = damaged[kind]["all"]
            row[f"{stage} rules"] = {
                rule: count for rule, count in sorted(damaged[kind].items()) if rule != "all"
            }
    if "--json" in sys.argv:
        Path(sys.argv[sys.argv.index("--json") + 1]).write_text(json.dumps(rows, indent=1))
    report(rows)


def report(rows: dict[str, dict[str, Any]]) -> None:
    """Print the share of damaged texts by kind."""
    table = Table("kind", "texts", "damaged as answer", "as input", "by")
    for kind, row in rows.items():
        by = ", ".join({**row.get("input rules", {}), **row["answer rules"]})
        shares = [
            f"{row[stage] / row['texts']:.1%}" if stage in row else ""
            for stage in ("answer", "input")
        ]
        table.add_row(kind, str(row["texts"]), *shares, by)
    generated = [row for row in rows.values() if "input" in row]
    texts = sum(row["texts"] for row in generated)
    shares = [
        f"{sum(row[stage] for row in generated) / texts:.2%}" for stage in ("answer", "input")
    ]
    table.add_row("all generated", str(texts), *shares, "")
    Console(width=130).print(table)


if __name__ == "__main__":
    main()
