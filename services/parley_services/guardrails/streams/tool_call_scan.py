"""Judges the tools that a model calls."""

from collections.abc import Iterator
from dataclasses import replace

from parley_services.guardrails.matching.finders import Hit, every_hit
from parley_services.guardrails.streams.leakage import LEAK
from parley_services.guardrails.streams.output_scanner import OutputScanner, Step, output_finding
from parley_services.guardrails.text.json_text import JsonText, Piece
from parley_services.guardrails.text.normalization import view, visible
from parley_services.kit.bounded_json import JsonRefused, load
from parley_services.kit.chat.finding import Finding, GuardrailAction
from parley_services.kit.chat.message import ResponseFormat, ResponseFormatType, ToolCall

_JSON = ResponseFormat(type=ResponseFormatType.JSON_OBJECT)


def scan_tool_call(answer: OutputScanner, call: ToolCall) -> list[Step]:
    """
    Return *call* of *answer* as it may run, after what was done about it; nothing after a block.

    Its arguments are judged as a JSON answer is, and besides in a row, since a text may be
    spread over several values. Text of the answer that is held back stays so.

    Raises InputTooLarge when the answer exceeds its limit.
    """
    if answer.blocking_finding is not None:
        return []
    answer.count(call.arguments_json)
    arguments, findings = _without_spread_values(answer, call.arguments_json)
    steps: list[Step] = [each for each in findings if each.action is not GuardrailAction.FLAG]
    blocking = next((each for each in findings if each.action is GuardrailAction.BLOCK), None)
    if blocking is None:
        scanner = OutputScanner(
            answer.rules,
            replace(answer.context, response_format=_JSON, system_text=""),
            replacements=answer.replacements,
            restores=answer.rules.restores_tool_arguments,
        )
        scanned = [*scanner.feed(arguments), *scanner.end()]
        steps += [step for step in scanned if isinstance(step, Finding)]
        findings += scanner.findings
        blocking = scanner.blocking_finding
        arguments = "".join(step for step in scanned if isinstance(step, str))
    answer.add(findings, blocking)
    if blocking is None:
        steps.append(replace(call, arguments_json=arguments))
    return steps


def _without_spread_values(answer: OutputScanner, arguments: str) -> tuple[str, list[Finding]]:
    """
    Return *arguments* without values that are spread over several keys, and what was found.

    Of personal data only what the baseline rules find is taken for spread: it has check digits
    or a form of its own, where others may be the figures of a table.
    """
    try:
        load(arguments)
    except JsonRefused:
        return arguments, []
    json = JsonText(arguments)
    if len(json.tokens) < 2:
        return arguments, []
    findings: list[Finding] = []
    if _leaks(answer, json):
        whole = 0, len(arguments)
        return arguments, [output_finding(LEAK, GuardrailAction.BLOCK, *whole)]
    for hit, pieces in _spread_hits(answer, json):
        span = json.span(pieces)
        match hit.action:
            case GuardrailAction.REDACT if hit.rule.info.baseline:
                if answer.replacements.is_own(hit):
                    continue
                json.replace(pieces, answer.replacements.placeholder(hit, hit.value))
            case GuardrailAction.BLOCK | GuardrailAction.FLAG:
                pass
            case _:
                continue
        findings.append(output_finding(hit.rule.info, hit.action, *span))
    return json.result(), findings


def _leaks(answer: OutputScanner, json: JsonText) -> bool:
    watch = answer.context.watch(answer.rules)
    if watch is None:
        return False
    try:
        return watch.feed(json.in_a_row().text) is not None or watch.end()
    except Exception as error:
        answer.replacements.failures.note(LEAK.rule_id, error)
        return True


def _spread_hits(answer: OutputScanner, json: JsonText) -> Iterator[tuple[Hit, list[Piece]]]:
    row = json.in_a_row()
    seen = view(row.text, visible())
    plan = answer.rules.plan
    if not plan.may_hit(seen.data, 0):
        return
    for finder in plan.finders:
        for hit in every_hit(finder, seen.data, answer.replacements.failures):
            pieces = row.pieces(*seen.span(hit.start, hit.end))
            if len(pieces) > 1:
                yield hit, pieces
