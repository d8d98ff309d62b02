"""Turns the guardrails' values into messages. `from_proto` is the way back."""

from collections.abc import Sequence

from google.protobuf.duration_pb2 import Duration
from parley.chat.v1 import finding_pb2
from parley.guardrails.v1 import guardrails_service_pb2 as pb

from parley_services.guardrails.checks import InputReport
from parley_services.guardrails.guardrails import Audit, ListedRule
from parley_services.guardrails.stats import RuleCounts
from parley_services.guardrails.streams.output_scanner import OutputReport, Step
from parley_services.kit.chat import to_proto
from parley_services.kit.chat.finding import Finding


def input_response(report: InputReport, audit: Audit) -> pb.CheckInputResponse:
    """Return the verdict on an input."""
    blocking = report.blocking_finding
    return pb.CheckInputResponse(
        verdict=pb.Verdict.ValueType(report.verdict),
        texts=[
            pb.CheckedText(text=each.text, findings=map(to_proto.finding, each.findings))
            for each in report.texts
        ],
        placeholders=[
            pb.Placeholder(placeholder=each.placeholder, original=each.original)
            for each in report.placeholders
        ],
        blocking_finding=to_proto.finding(blocking) if blocking is not None else None,
        audit=_audit(audit),
    )


def output_response(
    steps: Sequence[Step], report: OutputReport, audit: Audit
) -> pb.CheckOutputResponse:
    """Return the verdict on a whole answer."""
    return pb.CheckOutputResponse(
        verdict=pb.Verdict.ValueType(report.verdict),
        text="".join(step for step in steps if isinstance(step, str)),
        cacheable_text=report.cacheable_text,
        findings=map(to_proto.finding, report.findings),
        format_error=report.format_error,
        audit=_audit(audit),
    )


def scan_results(steps: Sequence[Step]) -> list[pb.ScanOutputResponse]:
    """Return results of a scan, neighbouring texts as one."""
    messages: list[pb.ScanOutputResponse] = []
    text = ""
    for step in steps:
        if isinstance(step, str):
            text += step
            continue
        if text:
            messages.append(pb.ScanOutputResponse(released=text))
            text = ""
        if isinstance(step, Finding):
            messages.append(pb.ScanOutputResponse(intervention=to_proto.finding(step)))
        else:
            messages.append(pb.ScanOutputResponse(tool_call=to_proto.tool_call(step)))
    if text:
        messages.append(pb.ScanOutputResponse(released=text))
    return messages


def scan_completed(report: OutputReport, audit: Audit) -> pb.ScanOutputResponse:
    """Return the result that closes a scan."""
    return pb.ScanOutputResponse(
        completed=pb.ScanOutputResponse.Completed(
            verdict=pb.Verdict.ValueType(report.verdict),
            cacheable_text=report.cacheable_text,
            format_error=report.format_error,
            audit=_audit(audit),
            findings=map(to_proto.finding, report.findings),
        )
    )


def rule(listed: ListedRule) -> pb.Rule:
    """Return a rule as a policy uses it."""
    info = listed.info
    return pb.Rule(
        rule_id=info.rule_id,
        stages=[finding_pb2.FindingStage.ValueType(stage) for stage in sorted(info.stages)],
        action=finding_pb2.GuardrailAction.ValueType(listed.action),
        severity=finding_pb2.Severity.ValueType(info.severity),
        category=info.category,
        description=info.description,
        source=info.source,
        baseline=info.baseline,
        max_hold_character_count=listed.max_hold_characters,
    )


def rule_counts(counts: RuleCounts) -> pb.GetRuleStatsResponse.RuleStats:
    """Return the counts of a rule."""
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
