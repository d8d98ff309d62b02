"""
How well do the PII rules find what they look for? `python -m bench.guardrails_pii`

Reads presidio_research/generated_large.json (microsoft/presidio-research, MIT) from the
folder PARLEY_BENCH_DATA. A finding counts if it overlaps a gold span of its type; texts
are synthetic, from templates and fake identities.
"""

import json
from collections import Counter

from parley_services.guardrails.matching.failures import Failures
from parley_services.guardrails.matching.text_plan import TextPlan
from parley_services.guardrails.policy.policy_file import default_policy
from parley_services.guardrails.rules import PATTERN_RULES
from parley_services.kit.chat.finding import FindingStage
from rich.console import Console
from rich.table import Table

from bench.guardrails_data import data_folder

GOLD = {
    "CREDIT_CARD": "pii.payment_card",
    "EMAIL_ADDRESS": "pii.email",
    "US_SSN": "pii.us_ssn",
    "IBAN_CODE": "pii.iban",
    "IP_ADDRESS": "pii.ip_address",
    "PHONE_NUMBER": "pii.phone",
}


Span = tuple[str, int, int]
"""A rule's id, the first character and one past the last."""


def overlaps(one: Span, others: list[Span]) -> bool:
    """Whether *one* shares a character with one of *others* of the same rule."""
    return any(one[0] == each[0] and one[1] < each[2] and each[1] < one[2] for each in others)


def main() -> None:
    path = data_folder() / "presidio_research" / "generated_large.json"
    rows = json.loads(path.read_text())
    rules = [rule for rule in PATTERN_RULES if rule.info.category == "pii"]
    plan = TextPlan(
        [(rule, default_policy().action(rule.info, FindingStage.INPUT)) for rule in rules]
    )
    right: Counter[str] = Counter()
    wrong: Counter[str] = Counter()
    missed: Counter[str] = Counter()
    for row in rows:
        gold = [
            (GOLD[span["entity_type"]], span["start_position"], span["end_position"])
            for span in row["spans"]
            if span["entity_type"] in GOLD
        ]
        found = [
            (each.hit.rule.info.rule_id, each.start, each.end)
            for each in plan.find(row["full_text"], Failures()).found
        ]
        for each in found:
            (right if overlaps(each, gold) else wrong)[each[0]] += 1
        for each in gold:
            missed[each[0]] += not overlaps(each, found)
    table = Table(title=f"{len(rows)} texts")
    for title in ("rule", "right", "wrong", "missed", "precision", "recall"):
        table.add_column(title, justify="left" if title == "rule" else "right")
    for rule_id in GOLD.values():
        hits, extra, lost = right[rule_id], wrong[rule_id], missed[rule_id]
        precision = f"{hits / max(hits + extra, 1):.3f}"
        recall = f"{hits / max(hits + lost, 1):.3f}"
        table.add_row(rule_id, str(hits), str(extra), str(lost), precision, recall)
    Console().print(table)


if __name__ == "__main__":
    main()
