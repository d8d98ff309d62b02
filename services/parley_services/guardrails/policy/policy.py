"""Which rule does what, for whom."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from parley_services.guardrails.rule import RuleInfo
from parley_services.kit.chat.finding import FindingStage, GuardrailAction


class HiddenNumbers(Enum):
    """What becomes of a number in JSON that must be hidden, for which JSON has no placeholder."""

    STRING = "string"
    """A string takes its place."""

    BLOCK = "block"


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What each rule does at each stage."""

    name: str
    actions: Mapping[tuple[str, FindingStage], GuardrailAction] = field(default_factory=dict)
    """Where the policy differs from what the rule itself says."""

    restore: bool = True
    """Whether the answer's placeholders are turned back for the user who sent the values."""

    restore_tool_arguments: bool = True
    """Whether they are turned back in the arguments of tools that the model calls, too."""

    hidden_numbers: HiddenNumbers = HiddenNumbers.STRING
    max_answer_characters: int | None = None
    """The longest answer, by `limit.answer_length`; None for any."""

    def action(self, info: RuleInfo, stage: FindingStage) -> GuardrailAction:
        """Return what *info*'s rule does at *stage*; OFF where it does not look."""
        if stage not in info.stages:
            return GuardrailAction.UNSPECIFIED
        return self.actions.get((info.rule_id, stage), info.action)


@dataclass(frozen=True, slots=True, kw_only=True)
class Policies:
    """All policies, and who has which."""

    default: Policy
    assigned: Mapping[tuple[str, str], Policy] = field(default_factory=dict)
    """By tenant and template, either of them empty for any."""

    def find(self, tenant_id: str, template: str) -> Policy:
        """Return the policy that is most specific to *tenant_id* and *template*."""
        for key in ((tenant_id, template), (tenant_id, ""), ("", template)):
            if key in self.assigned:
                return self.assigned[key]
        return self.default

    @property
    def all(self) -> tuple[Policy, ...]:
        """Every policy once."""
        found = {policy.name: policy for policy in (self.default, *self.assigned.values())}
        return tuple(found.values())
