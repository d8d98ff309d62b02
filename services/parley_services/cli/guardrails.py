"""`parley guardrails`: what the guardrails would say."""

import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import grpc
import orjson
import typer
from parley.chat.v1 import finding_pb2
from parley.guardrails.v1 import guardrails_service_pb2 as pb
from parley.guardrails.v1 import guardrails_service_pb2_grpc as pb_grpc
from rich.table import Table
from rich.text import Text

from parley_services.cli.connection import open_peers, run
from parley_services.cli.console import console, error_console, styled
from parley_services.cli.enums import short_name

app = typer.Typer(help="What the guardrails say about a text, and said.", no_args_is_help=True)

_TIMEOUT_SECONDS = 30.0
_STYLES = {
    finding_pb2.GUARDRAIL_ACTION_BLOCK: "bold white on red",
    finding_pb2.GUARDRAIL_ACTION_REDACT: "black on yellow",
    finding_pb2.GUARDRAIL_ACTION_FLAG: "black on cyan",
    finding_pb2.GUARDRAIL_ACTION_RESTORE: "black on green",
}


@app.command("try")
def try_text(
    text: Annotated[str, typer.Argument(help="The text, or - to read it from standard input.")],
    output: Annotated[bool, typer.Option(help="Judge it as an answer of a model.")] = False,
    tenant: Annotated[str, typer.Option(help="Under the policy of this tenant.")] = "",
    template: Annotated[str, typer.Option(help="Under the policy of this template.")] = "",
) -> None:
    """Show in colour what is found in a text, and what would become of it."""
    given = sys.stdin.read() if text == "-" else text
    verdict, findings, changed = run(_judge(given, output, tenant, template))
    marked = Text(given)
    for finding in findings:
        marked.stylize(_STYLES.get(finding.action, ""), finding.start, finding.end)
    console.print(marked)
    table = Table("rule", "action", "severity", "category", "from", "to", "score")
    for finding in findings:
        table.add_row(
            finding.rule_id,
            short_name(finding_pb2.GuardrailAction, finding.action),
            short_name(finding_pb2.Severity, finding.severity),
            finding.category,
            str(finding.start),
            str(finding.end),
            f"{finding.score:.2f}",
        )
    if findings:
        console.print(table)
    console.print(styled("verdict: ", (short_name(pb.Verdict, verdict), "bold")))
    if changed != given and verdict != pb.VERDICT_BLOCK:
        console.print("becomes: ", Text(changed), sep="")


@app.command()
def report(
    file: Annotated[
        Path,
        typer.Argument(help='JSON Lines with "text" and "blocked", true where it should be.'),
    ],
    output: Annotated[bool, typer.Option(help="Judge them as answers of a model.")] = False,
) -> None:
    """Print how often texts are blocked that should be, and that should not."""
    try:
        rows = [orjson.loads(line) for line in file.read_bytes().splitlines() if line.strip()]
        labelled = [(str(row["text"]), bool(row["blocked"])) for row in rows]
    except (OSError, orjson.JSONDecodeError, KeyError, TypeError) as error:
        error_console.print(
            styled((str(file), "red"), ' is no JSON Lines file of "text" and "blocked".')
        )
        raise typer.Exit(2) from error
    blocked = run(_judge_all([text for text, _ in labelled], output))
    counts = Counter(zip((wanted for _, wanted in labelled), blocked, strict=True))
    table = Table("", "blocked", "passed", "share blocked")
    for wanted, title in ((True, "should be blocked"), (False, "should pass")):
        hits, misses = counts[wanted, True], counts[wanted, False]
        share = f"{hits / (hits + misses):.1%}" if hits + misses else ""
        table.add_row(title, str(hits), str(misses), share)
    console.print(table)


@app.command()
def rules(
    tenant: Annotated[str, typer.Option(help="Under the policy of this tenant.")] = "",
    template: Annotated[str, typer.Option(help="Under the policy of this template.")] = "",
) -> None:
    """List the rules of a policy: what each does, where, and how much of a stream it may hold."""
    answer = run(_ask_rules(tenant, template))
    table = Table("rule", "stages", "action", "severity", "baseline", "may hold")
    for rule in answer.rules:
        action = short_name(finding_pb2.GuardrailAction, rule.action) if rule.action else "off"
        table.add_row(
            rule.rule_id,
            ", ".join(short_name(finding_pb2.FindingStage, stage) for stage in rule.stages),
            action,
            short_name(finding_pb2.Severity, rule.severity),
            "yes" if rule.baseline else "",
            str(rule.max_hold_character_count or ""),
        )
    console.print(styled("policy: ", (answer.policy, "bold")))
    console.print(table)


@app.command()
def stats() -> None:
    """Show what each rule did since the service started, and the share of texts it blocked."""
    answer = run(_ask_stats())
    table = Table("rule", "runs", "hits", "flagged", "redacted", "blocked", "rate", "failed")
    for each in answer.rules:
        rate = f"{each.block_count / each.run_count:.2%}" if each.run_count else ""
        table.add_row(
            each.rule_id,
            str(each.run_count),
            str(each.hit_count),
            str(each.flag_count),
            str(each.redact_count),
            str(each.block_count),
            rate,
            str(each.failure_count),
        )
    console.print(table)


async def _ask_rules(tenant: str, template: str) -> pb.ListRulesResponse:
    async with open_peers() as peers:
        return await _stub(peers.channel("guardrails")).ListRules(
            pb.ListRulesRequest(tenant_id=tenant, template=template), timeout=_TIMEOUT_SECONDS
        )


async def _ask_stats() -> pb.GetRuleStatsResponse:
    async with open_peers() as peers:
        return await _stub(peers.channel("guardrails")).GetRuleStats(
            pb.GetRuleStatsRequest(), timeout=_TIMEOUT_SECONDS
        )


async def _judge(
    text: str, output: bool, tenant: str, template: str
) -> tuple[pb.Verdict.ValueType, Sequence[finding_pb2.Finding], str]:
    async with open_peers() as peers:
        return await _ask(_stub(peers.channel("guardrails")), text, output, tenant, template)


async def _judge_all(texts: Sequence[str], output: bool) -> list[bool]:
    async with open_peers() as peers:
        stub = _stub(peers.channel("guardrails"))
        verdicts = [(await _ask(stub, text, output, "", ""))[0] for text in texts]
    return [verdict == pb.VERDICT_BLOCK for verdict in verdicts]


async def _ask(
    stub: "pb_grpc.GuardrailsServiceAsyncStub", text: str, output: bool, tenant: str, template: str
) -> tuple[pb.Verdict.ValueType, Sequence[finding_pb2.Finding], str]:
    if output:
        context = pb.OutputContext(tenant_id=tenant, template=template)
        answer = await stub.CheckOutput(
            pb.CheckOutputRequest(context=context, text=text), timeout=_TIMEOUT_SECONDS
        )
        return answer.verdict, answer.findings, answer.text
    given = pb.InputText(source=pb.INPUT_SOURCE_USER, text=text)
    checked = await stub.CheckInput(
        pb.CheckInputRequest(tenant_id=tenant, template=template, texts=[given]),
        timeout=_TIMEOUT_SECONDS,
    )
    return checked.verdict, checked.texts[0].findings, checked.texts[0].text


def _stub(channel: grpc.aio.Channel) -> "pb_grpc.GuardrailsServiceAsyncStub":
    stub: pb_grpc.GuardrailsServiceAsyncStub = pb_grpc.GuardrailsServiceStub(channel)
    return stub
