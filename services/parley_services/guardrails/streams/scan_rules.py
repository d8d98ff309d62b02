"""What the scan of an answer goes by."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from parley_services.guardrails.classify.judge import Judge
from parley_services.guardrails.streams.leakage import LeakWatch
from parley_services.guardrails.streams.stream_plan import StreamPlan
from parley_services.guardrails.text.limits import DEFAULT_LIMITS, Limits, utf8_length
from parley_services.kit.chat.finding import GuardrailAction, Placeholder
from parley_services.kit.chat.message import ResponseFormat


@dataclass(frozen=True, slots=True, kw_only=True)
class ScanRules:
    """The rules of one policy for answers, compiled."""

    plan: StreamPlan
    judges: Sequence[Judge] = ()
    """Look at the whole answer at its end and can only flag it."""

    leak_watch: Callable[[str], LeakWatch] | None = None
    """Makes what watches for leaks of a system text; None if they may pass."""

    length_rule: tuple[int, GuardrailAction] | None = None
    """The most characters of an answer and what is done about more."""

    blocks_numbers: bool = False
    """Whether a number in JSON that must be hidden stops the answer. Else it becomes a string."""

    restores_tool_arguments: bool = True
    """Whether placeholders are turned back in the arguments of tool calls."""

    limits: Limits = DEFAULT_LIMITS


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputContext:
    """What a check of an answer needs to know about its turn."""

    system_text: str = ""
    """The rendered system text, which must not leak."""

    placeholders: tuple[Placeholder, ...] = ()
    """Placeholders to turn back for this user. None: they stay."""

    response_format: ResponseFormat = field(default_factory=ResponseFormat)

    user_texts: tuple[str, ...] = ()
    """What the user sent, so that an answer may repeat the user's own data."""

    def watch(self, rules: ScanRules) -> LeakWatch | None:
        """Return what watches for leaks of the system text, None if nothing may leak."""
        if rules.leak_watch is None or not self.system_text:
            return None
        return rules.leak_watch(self.system_text)

    @property
    def size_bytes(self) -> int:
        """Bytes of all its texts but the schema as UTF-8."""
        placeholders = (text for each in self.placeholders for text in (each.original, "x" * 32))
        return sum(map(utf8_length, (self.system_text, *self.user_texts, *placeholders)))
