"""Reads policies from YAML: the one in the package, and the operator's."""

from collections.abc import Mapping, Sequence
from functools import cache
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Annotated, Final, Literal, TypeAlias

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from parley_services.guardrails.policy.policy import HiddenNumbers, Policies, Policy
from parley_services.guardrails.rule import ClassifierRule, EntityRule, PatternRule, Rule, RuleInfo
from parley_services.guardrails.rules import ALL_RULES, SCAN_RULES
from parley_services.guardrails.streams.answer_length import LENGTH
from parley_services.kit.chat.finding import FindingStage, GuardrailAction

ActionName: TypeAlias = Annotated[
    Literal["off", "flag", "redact", "block"],
    # YAML 1.1 reads a bare `off` as false.
    BeforeValidator(lambda value: "off" if value is False else value),
]
StageName: TypeAlias = Literal["input", "output", "context"]


_ACTIONS: Final[Mapping[str, GuardrailAction]] = {
    "off": GuardrailAction.UNSPECIFIED,
    "flag": GuardrailAction.FLAG,
    "redact": GuardrailAction.REDACT,
    "block": GuardrailAction.BLOCK,
}

DEFAULT_NAME: Final = "default"
"""The policy of everybody who is assigned no other."""


class PolicyInvalid(ValueError):
    """A policy file cannot take effect as it is; the text says where and why."""


class _PolicySection(BaseModel):
    model_config = ConfigDict(extra="forbid")

    restore: bool | None = None
    restore_tool_arguments: bool | None = None
    hidden_numbers: HiddenNumbers | None = None
    max_answer_characters: Annotated[int, Field(ge=1)] | None = None
    rules: dict[str, ActionName | dict[StageName, ActionName]] = Field(default_factory=dict)


class _Assignment(BaseModel):
    model_config = ConfigDict(extra="forbid")

    policy: str
    tenant: str = ""
    template: str = ""


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid")

    policies: dict[str, _PolicySection]
    assign: list[_Assignment] = Field(default_factory=list)


def load_policies(path: Path | None, rules: Sequence[Rule]) -> Policies:
    """
    Return the policies of the file at *path*, or without one the default for everybody.

    Where a policy says nothing, the packaged default holds.

    Raises PolicyInvalid for a file that cannot be read, that names an unknown rule, an
    action that the rule cannot do or that would weaken a baseline rule, and for a policy or
    an assignment that would never apply.
    """
    base = default_policy()
    if path is None:
        return Policies(default=base)
    file = _read(path)
    policies = {
        name: _policy(name, section, rules, base) for name, section in file.policies.items()
    }
    default = policies.pop(DEFAULT_NAME, base)
    assigned: dict[tuple[str, str], Policy] = {}
    for each in file.assign:
        key = (each.tenant, each.template)
        if key == ("", ""):
            raise PolicyInvalid(
                f"An assignment of {each.policy!r} names neither tenant nor template: what holds "
                "for everybody is the policy `default`."
            )
        if key in assigned:
            raise PolicyInvalid(f"{_who(*key)} is assigned a policy twice: keep one.")
        if each.policy not in policies:
            raise PolicyInvalid(f"{_who(*key)} is assigned the unknown policy {each.policy!r}.")
        assigned[key] = policies[each.policy]
    unused = policies.keys() - {policy.name for policy in assigned.values()}
    if unused:
        raise PolicyInvalid(f"Nobody is assigned {', '.join(sorted(unused))}: assign or remove it.")
    return Policies(default=default, assigned=assigned)


@cache
def default_policy() -> Policy:
    """Return the packaged default. Raises PolicyInvalid if it cannot take effect."""
    file = _read(resources.files(__package__).joinpath("default.yaml"))
    return _policy(DEFAULT_NAME, file.policies[DEFAULT_NAME], ALL_RULES, Policy(name=DEFAULT_NAME))


def _read(path: Path | Traversable) -> _File:
    try:
        return _File.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise PolicyInvalid(f"{path} cannot be read: {error.strerror}.") from error
    except yaml.YAMLError as error:
        raise PolicyInvalid(f"{path} is not YAML: {error}") from error
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors()
        )
        raise PolicyInvalid(f"{path} is not a policy file: {problems}.") from error


def _policy(name: str, section: _PolicySection, rules: Sequence[Rule], base: Policy) -> Policy:
    by_id = {rule.info.rule_id: rule for rule in rules}
    infos = {info.rule_id: info for info in (*SCAN_RULES, *(rule.info for rule in rules))}
    actions: dict[tuple[str, FindingStage], GuardrailAction] = {}
    for rule_id, wanted in section.rules.items():
        info = infos.get(rule_id)
        if info is None:
            raise PolicyInvalid(f"The policy {name!r} names the unknown rule {rule_id!r}.")
        for stage, action in _by_stage(wanted, info).items():
            problem = _problem(info, by_id.get(rule_id), stage, action)
            if problem:
                raise PolicyInvalid(
                    f"The policy {name!r} cannot {_name(action)} by {rule_id} at "
                    f"{stage.key}: {problem}."
                )
            actions[rule_id, stage] = action
    return Policy(
        name=name,
        actions={**base.actions, **actions},
        restore=base.restore if section.restore is None else section.restore,
        restore_tool_arguments=(
            base.restore_tool_arguments
            if section.restore_tool_arguments is None
            else section.restore_tool_arguments
        ),
        hidden_numbers=section.hidden_numbers or base.hidden_numbers,
        max_answer_characters=section.max_answer_characters or base.max_answer_characters,
    )


def _by_stage(
    wanted: ActionName | dict[StageName, ActionName], info: RuleInfo
) -> dict[FindingStage, GuardrailAction]:
    if isinstance(wanted, str):
        return {stage: _ACTIONS[wanted] for stage in info.stages}
    return {FindingStage[stage.upper()]: _ACTIONS[action] for stage, action in wanted.items()}


def _problem(
    info: RuleInfo, rule: Rule | None, stage: FindingStage, action: GuardrailAction
) -> str:
    """Return why the rule cannot do that there, empty if it can."""
    if stage not in info.stages:
        return "the rule does not look there"
    if info.action is GuardrailAction.RESTORE:
        return "it is set by `restore`"
    if info.baseline and action < info.action:
        return f"it is a baseline rule and does at least {info.action.key}"
    if action is GuardrailAction.REDACT and not (
        isinstance(rule, PatternRule | EntityRule) and rule.label
    ):
        return "it has nothing to put in the place of what it finds"
    if (
        action is GuardrailAction.BLOCK
        and stage is FindingStage.OUTPUT
        and isinstance(rule, ClassifierRule)
    ):
        return "it judges whole answers, which have been shown by then"
    if rule is None and info is not LENGTH and action is GuardrailAction.FLAG:
        return "it can only block or be off"
    return ""


def _name(action: GuardrailAction) -> str:
    return next(name for name, each in _ACTIONS.items() if each is action)


def _who(tenant: str, template: str) -> str:
    parts = [f"tenant {tenant!r}"] * bool(tenant) + [f"template {template!r}"] * bool(template)
    return " with ".join(parts)
