"""Converts between the guardrails' protobuf messages and their domain."""

from collections.abc import Sequence

from google.protobuf.duration_pb2 import Duration
from parley.chat.v1 import finding_pb2
from parley.guardrails.v1 import guardrails_service_pb2 as pb

from parley_services.guardrails.answer_format import AnswerFormat, AnswerFormatType
from parley_services.guardrails.checks import InputReport, InputText
from parley_services.guardrails.guardrails import Audit, ListedRule
from parley_services.guardrails.output_scanner import OutputContext, OutputReport, Step
from parley_services.guardrails.stats import RuleCounts
from parley_services.guardrails.verdict import Finding, InputSource, Placeholder


def input_texts(request: pb.CheckInputRequest) -> list[InputText]:
    """Return the texts of *request*; a source of a later version counts as the user's."""
    known = {int(source) for source in InputSource}
    return [
        InputText(text=each.text, source=InputSource(each.source if each.source in known else 0))
        for each in request.texts
    ]


def output_context(message: pb.OutputContext) -> OutputContext:
    """Return *message* as the domain has it."""
    return OutputContext(
        system_text=message.system_text,
        placeholders=tuple(
            Placeholder(placeholder=each.placeholder, original=each.original)
            for each in message.placeholders
        ),
        answer_format=AnswerFormat(
            type=AnswerFormatType(message.response_format.type),
            json_schema=message.response_format.json_schema,
        ),
        user_texts=tuple(message.user_texts),
    )


def input_response(report: InputReport, audit: Audit) -> pb.CheckInputResponse:
    """Return *report* as a message."""
    blocking = report.blocking_finding
    return pb.CheckInputResponse(
        verdict=pb.Verdict.ValueType(report.verdict),
        texts=[
            pb.CheckedText(text=each.text, findings=map(finding_message, each.findings))
            for each in report.texts
        ],
        placeholders=[
            pb.Placeholder(placeholder=each.placeholder, original=each.original)
            for each in report.placeholders
        ],
        blocking_finding=finding_message(blocking) if blocking is not None else None,
        audit=_audit(audit),
    )


def output_response(
    steps: Sequence[Step], report: OutputReport, audit: Audit
) -> pb.CheckOutputResponse:
    """Return what a whole answer came to as a message."""
    return pb.CheckOutputResponse(
        verdict=pb.Verdict.ValueType(report.verdict),
        text="".join(step for step in steps if isinstance(step, str)),
        cacheable_text=report.cacheable_text,
        findings=map(finding_message, report.findings),
        format_error=report.format_error,
        audit=_audit(audit),
    )


def step_messages(steps: Sequence[Step]) -> list[pb.ScanOutputResponse]:
    """Return *steps* as messages, neighbouring texts as one."""
    messages: list[pb.ScanOutputResponse] = []
    text = ""
    for step in steps:
        if isinstance(step, str):
            text += step
            continue
        if text:
            messages.append(pb.ScanOutputResponse(released=text))
            text = ""
        messages.append(pb.ScanOutputResponse(intervention=finding_message(step)))
    if text:
        messages.append(pb.ScanOutputResponse(released=text))
    return messages


def completed_message(report: OutputReport, audit: Audit) -> pb.ScanOutputResponse:
    """Return the message that closes a scan."""
    return pb.ScanOutputResponse(
        completed=pb.ScanOutputResponse.Completed(
            verdict=pb.Verdict.ValueType(report.verdict),
            cacheable_text=report.cacheable_text,
            format_error=report.format_error,
            audit=_audit(audit),
            findings=map(finding_message, report.findings),
        )
    )


def finding_message(finding: Finding) -> finding_pb2.Finding:
    """Return *finding* as a message."""
    return finding_pb2.Finding(
        rule_id=finding.rule_id,
        stage=finding_pb2.FindingStage.ValueType(finding.stage),
        action=finding_pb2.GuardrailAction.ValueType(finding.action),
        severity=finding_pb2.Severity.ValueType(finding.severity),
        category=finding.category,
        start=finding.start,
        end=finding.end,
        score=finding.score,
    )


def rule_message(rule: ListedRule) -> pb.Rule:
    """Return *rule* as a message."""
    info = rule.info
    return pb.Rule(
        rule_id=info.rule_id,
        stages=[finding_pb2.FindingStage.ValueType(stage) for stage in sorted(info.stages)],
        action=finding_pb2.GuardrailAction.ValueType(rule.action),
        severity=finding_pb2.Severity.ValueType(info.severity),
        category=info.category,
        description=info.description,
        source=info.source,
        baseline=info.is_floor,
        max_hold_character_count=rule.max_hold_characters,
    )


def counts_message(counts: RuleCounts) -> pb.GetRuleStatsResponse.RuleStats:
    """Return *counts* as a message."""
    return pb.GetRuleStatsResponse.RuleStats(
        rule_id=counts.rule_id,
        run_count=counts.run_count,
        hit_count=counts.hit_count,
        block_count=counts.block_count,
        failure_count=counts.failure_count,
        flag_count=counts.flag_count,
        redact_count=counts.redact_count,
        restore_count=counts.restore_count,
    )


def _audit(audit: Audit) -> pb.Audit:
    duration = Duration()
    duration.FromNanoseconds(round(audit.duration_seconds * 1e9))
    return pb.Audit(
        policy=audit.policy,
        rule_ids=audit.rule_ids,
        normalized_text_sha256=audit.normalized_text_sha256,
        duration=duration,
        failed_rule_ids=audit.failed_rule_ids,
    )
