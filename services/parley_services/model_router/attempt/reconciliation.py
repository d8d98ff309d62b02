"""
What a call used: its provider's figures, checked against what really passed.

A provider's figure is taken as it is while it can be true. One that is missing, zero beside
real text, or impossible is replaced by our own count, and the usage is marked as estimated.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from parley_services.kit.chat.usage import Usage
from parley_services.model_router.providers.reported_usage import ReportedUsage

TOO_LOW: Final = 4
"""A count that is smaller than our own by this factor is not believed. Vocabularies differ by
less than two; a prompt or an answer that the provider did not count differs by far more."""

SLACK_TOKENS: Final = 64
"""How far apart two counts may be whatever their ratio: short texts say little."""


class OwnCount:
    """Our own count of what passed, made when it is first looked at."""

    def __init__(
        self,
        *,
        input_token_count: Callable[[], int],
        output_token_count: Callable[[], int],
        reasoning_token_count: Callable[[], int],
        output_character_count: int,
        input_is_estimated: bool = False,
    ) -> None:
        """
        Know how to count.

        *input_is_estimated* says that parts of the input, as images, are counted by rules of
        thumb, so that they prove no figure of a provider wrong.
        """
        self._count_input = input_token_count
        self._count_output = output_token_count
        self._count_reasoning = reasoning_token_count
        self.output_character_count = output_character_count
        """Characters of text, reasoning and arguments of tools."""
        self.input_is_estimated = input_is_estimated

    @cached_property
    def input_token_count(self) -> int:
        """All that was sent."""
        return self._count_input()

    @cached_property
    def output_token_count(self) -> int:
        """Text, reasoning and arguments of tools that came."""
        return self._count_output()

    @cached_property
    def reasoning_token_count(self) -> int:
        """The part of it that is reasoning."""
        return self._count_reasoning()

    def usage(self) -> Usage:
        """Return it as what was used."""
        return Usage(
            input_token_count=self.input_token_count,
            output_token_count=self.output_token_count,
            reasoning_token_count=min(self.reasoning_token_count, self.output_token_count),
            estimated=True,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Reconciled:
    """What a call used, and what of the provider's figures was not believed."""

    usage: Usage
    contradictions: tuple[str, ...] = ()
    """As `output_zero`; for the log."""


def reconcile(
    reported: ReportedUsage | None,
    own: OwnCount,
    *,
    is_whole: bool,
    context_token_count: int = 0,
) -> Reconciled:
    """
    Return what is to be booked.

    *is_whole* says that the answer came to its end; of an answer that did not, and of a
    report from its middle, the larger of both counts is taken. More tokens than the model's
    context, *context_token_count* (0 is unknown), are not believed. Never raises.
    """
    if reported is None:
        return Reconciled(usage=own.usage())
    work = _Reconciliation(reported, own, context_token_count)
    work.read_input()
    work.read_output()
    return work.result(takes_larger=not (is_whole and reported.is_final), is_whole=is_whole)


class _Reconciliation:
    def __init__(self, reported: ReportedUsage, own: OwnCount, context_token_count: int) -> None:
        self._reported = reported
        self._own = own
        self._context_token_count = context_token_count
        self._contradictions = ["unreadable"] if reported.unreadable else []
        self._input = 0
        self._cached = 0
        self._written = 0
        self._written_1h = 0
        self._output = 0
        self._reasoning = 0

    def read_input(self) -> None:
        reported = self._reported
        self._cached = reported.cached_input_token_count or 0
        # The part that is kept for an hour may be all that the provider names.
        self._written_1h = reported.cache_write_1h_token_count or 0
        self._written = max(reported.cache_write_token_count or 0, self._written_1h)
        beside = self._cached + self._written
        said = reported.input_token_count or 0
        if reported.input_excludes_cached:
            said += beside
        elif beside > said:
            # Either they are counted beside the input, or they are wrong.
            if self._is_total(said + beside):
                said += beside
            else:
                self._contradict("cached_above_input")
                said = max(said, self._own.input_token_count)
                self._cached = self._written = self._written_1h = 0
        self._input = self._believable("input", said, self._own_input)
        self._cached = min(self._cached, self._input)
        self._written = min(self._written, self._input - self._cached)
        self._written_1h = min(self._written_1h, self._written)

    def read_output(self) -> None:
        reported = self._reported
        said = reported.output_token_count or 0
        reasoning = reported.reasoning_token_count or 0
        total = reported.total_token_count or 0
        rest = total - self._input if total else 0
        if reasoning and (reasoning > said or rest == said + reasoning):
            said += reasoning  # xAI and others count it beside the rest of the output.
        elif rest > said and not self._contradictions:
            # What the total has beyond the parts is output too: Gemini's thoughts.
            reasoning, said = max(reasoning, rest - said), rest
        self._output = self._believable("output", said, self._own_output)
        self._reasoning = min(reasoning, self._output)
        if reported.output_token_count is None and not said:
            self._contradict("output_missing")

    def result(self, *, takes_larger: bool, is_whole: bool) -> Reconciled:
        estimated = bool(self._contradictions) or not is_whole
        if takes_larger:
            own = self._own
            if own.output_token_count > self._output:
                self._output, estimated = own.output_token_count, True
                self._reasoning = max(self._reasoning, own.reasoning_token_count)
            if not is_whole:
                self._input = max(self._input, own.input_token_count)
        usage = Usage(
            input_token_count=self._input,
            cached_input_token_count=self._cached,
            cache_write_token_count=self._written,
            cache_write_1h_token_count=self._written_1h,
            output_token_count=self._output,
            reasoning_token_count=min(self._reasoning, self._output),
            estimated=estimated,
        )
        return Reconciled(usage=usage, contradictions=tuple(self._contradictions))

    def _is_total(self, input_token_count: int) -> bool:
        """Return whether the provider's total shows that the input is that long."""
        reported = self._reported
        output = reported.output_token_count or 0
        rest = (reported.total_token_count or 0) - input_token_count
        return rest in (output, output + (reported.reasoning_token_count or 0)) and rest >= 0

    def _own_input(self) -> tuple[int, int]:
        """Return our own count, and the least that the provider can have counted."""
        own = self._own.input_token_count
        return own, 1 if self._own.input_is_estimated else own

    def _own_output(self) -> tuple[int, int]:
        if self._reported.output_token_count and self._characters_fit():
            return 0, 0
        own = self._own.output_token_count
        return own, own

    def _characters_fit(self) -> bool:
        """Return whether the output is long enough for its characters, without counting them."""
        tokens = self._reported.output_token_count or 0
        return tokens * TOO_LOW * 2 >= self._own.output_character_count

    def _believable(self, part: str, said: int, count: Callable[[], tuple[int, int]]) -> int:
        own, least = count()
        if not said and least:
            self._contradict(f"{part}_zero")
            return own
        if said * TOO_LOW + SLACK_TOKENS < least:
            self._contradict(f"{part}_too_low")
            return own
        limit = self._context_token_count
        if limit and said > limit:
            real = own or self._own.output_token_count
            if said > 2 * real + SLACK_TOKENS:
                self._contradict(f"{part}_absurd")
                return real
        return said

    def _contradict(self, what: str) -> None:
        self._contradictions.append(what)
