"""Tables of what the prompt registry keeps."""

from collections.abc import Collection, Iterable

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp
from parley.prompt_registry.v1 import prompt_registry_service_pb2 as pb
from rich.table import Table

from parley_services.cli.console import console, dollars


def version_table(versions: Iterable[pb.TemplateVersion]) -> Table:
    """Return *versions* with who made them and why."""
    table = Table("version", "made", "by", "note", "content", title="Versions")
    for each in versions:
        table.add_row(
            str(each.version),
            at(each.create_time),
            each.author,
            each.note,
            each.content_sha256[:12],
        )
    return table


def move_table(moves: Iterable[pb.LabelMove]) -> Table:
    """Return *moves* of labels."""
    table = Table("label", "from", "to", "moved", "by", "note", title="Labels")
    for each in moves:
        table.add_row(
            each.label,
            str(each.from_version or "-"),
            str(each.to_version or "-"),
            at(each.create_time),
            each.author,
            each.note,
        )
    return table


def rollback_table(rollbacks: Iterable[pb.Rollback]) -> Table:
    """Return *rollbacks* with their reasons."""
    table = Table("from", "to", "at", "by itself", "reason", title="Rollbacks")
    for each in rollbacks:
        table.add_row(
            str(each.from_version),
            str(each.to_version),
            at(each.create_time),
            "yes" if each.automatic else "no",
            each.reason,
        )
    return table


def outcome_table(summaries: Iterable[pb.OutcomeSummary]) -> Table:
    """Return how versions and arms do."""
    table = Table(
        "version", "experiment", "arm", "turns", "errors", "blocked", "wrong form", "cached",
        "p50", "p95", "p99", "first p50", "cost", "stars",
    )  # fmt: skip
    for each in summaries:
        errors = sum(each.error_counts.values())
        table.add_row(
            str(each.version),
            each.experiment_id or "-",
            each.arm or "-",
            str(each.request_count),
            share(errors, each.request_count),
            share(each.guardrail_block_count, each.request_count),
            share(each.format_failure_count, each.request_count),
            share(each.cache_hit_count, each.request_count),
            *(seconds(time) for time in (each.latency_p50, each.latency_p95, each.latency_p99)),
            seconds(each.first_delta_latency_p50),
            dollars(each.cost_nano_usd),
            f"{each.mean_stars:.2f} of {each.rating_count}" if each.rating_count else "-",
        )
    return table


def shadow_table(summaries: Iterable[pb.OutcomeSummary]) -> Table:
    """Return how arms that ran beside compare to what users got."""
    table = Table(
        "arm", "pairs", "similarity", "length", "wrong form", "users' wrong form",
        "time", "users' time", "cost", "users' cost", title="Beside the answers",
    )  # fmt: skip
    for each in summaries:
        pairs = each.shadow
        table.add_row(
            f"{each.experiment_id}/{each.arm}",
            str(pairs.pair_count),
            f"{pairs.mean_similarity:.2f}",
            f"{pairs.mean_length_ratio:.2f}x",
            share(pairs.shadow_format_failure_count, pairs.pair_count),
            share(pairs.answer_format_failure_count, pairs.pair_count),
            seconds(pairs.mean_shadow_latency),
            seconds(pairs.mean_answer_latency),
            dollars(pairs.shadow_cost_nano_usd),
            dollars(pairs.answer_cost_nano_usd),
        )
    return table


def print_outcomes(summaries: Collection[pb.OutcomeSummary]) -> None:
    """Show how versions and arms do, and below it how those that ran beside compare."""
    console.print(outcome_table(summaries))
    shadows = [each for each in summaries if each.HasField("shadow")]
    if shadows:
        console.print(shadow_table(shadows))


def experiment_table(experiments: Iterable[pb.Experiment]) -> Table:
    """Return *experiments* with where they stand."""
    table = Table("experiment", "template", "mode", "state", "covers", "arms")
    for each in experiments:
        step = f", step {each.ramp_step_index + 1} of {len(each.ramp_steps)}"
        table.add_row(
            each.experiment_id,
            each.template,
            enum_name(pb.ExperimentMode, each.mode) + (step if each.ramp_steps else ""),
            enum_name(pb.ExperimentState, each.state),
            f"{each.coverage:.0%}",
            ", ".join(f"{arm.name} {arm.version} ({arm.weight:.0%})" for arm in each.arms),
        )
    return table


def at(time: Timestamp) -> str:
    """Return a time in UTC, to the second."""
    return f"{time.ToDatetime():%Y-%m-%d %H:%M:%S}"


def seconds(span: Duration) -> str:
    """Return a span in seconds; a dash for none."""
    value = span.ToNanoseconds() / 1e9
    return f"{value:.2f} s" if value else "-"


def share(count: int, total: int) -> str:
    """Return a count with its share."""
    return f"{count} ({count / total:.1%})" if total else str(count)


def enum_name(wrapper: type, number: int) -> str:
    """Return the name of an enum's value, short and in lower case."""
    return str(wrapper.Name(number)).rsplit("_", 1)[-1].lower()  # type: ignore[attr-defined]
