"""A store in memory: for tests, and for a trial that shall leave nothing behind."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import TypeVar

from parley_services.kit.errors import Conflict
from parley_services.prompt_registry.experiments.rollback_records import Rollback
from parley_services.prompt_registry.outcomes.outcome import (
    Evaluation,
    Rating,
    Tally,
    TallyKey,
    rating_change,
    tally_of,
)
from parley_services.prompt_registry.stores.store import (
    Changes,
    CountedOutcome,
    EvaluationFilter,
    Page,
    TemplateChange,
)
from parley_services.prompt_registry.templates.template import LabelMove, Template

T = TypeVar("T")


class MemoryStore:
    """A `RegistryStore` that forgets everything when its process ends."""

    def __init__(self) -> None:
        self._revision = 0
        self._templates: dict[str, Template] = {}
        self._moves: list[LabelMove] = []
        self._rollbacks: list[Rollback] = []
        self._evaluations: dict[tuple[str, str, str], Evaluation] = {}
        self._keys: dict[tuple[str, str, str], TallyKey] = {}
        self._tallies: dict[TallyKey, Tally] = {}
        self._assignments: dict[tuple[str, str], str] = {}

    async def revision(self) -> int:
        return self._revision

    async def changes(self, after_revision: int) -> Changes:
        changed = [each for each in self._templates.values() if each.revision > after_revision]
        return Changes(revision=self._revision, templates=tuple(changed))

    async def save(self, before: Template | None, change: TemplateChange) -> int:
        after = change.after
        stored = self._templates.get(after.name)
        if (stored.revision if stored else 0) != (before.revision if before else 0):
            raise Conflict(f"Template {after.name} was changed by somebody else: try again.")
        taken = {
            each.experiment_id
            for template in self._templates.values()
            if template.name != after.name
            for each in template.experiments
        }
        if any(each.experiment_id in taken for each in after.experiments):
            raise Conflict("An experiment of that id exists on another template.")
        self._revision += 1
        self._templates[after.name] = replace(after, revision=self._revision)
        self._moves.extend(change.moves)
        self._rollbacks.extend(change.rollbacks)
        return self._revision

    async def label_moves(self, template: str, *, position: int, limit: int) -> Page[LabelMove]:
        moves = [each for each in reversed(self._moves) if each.template == template]
        return _page(moves, position, limit)

    async def rollbacks(self, template: str, *, position: int, limit: int) -> Page[Rollback]:
        found = [each for each in reversed(self._rollbacks) if template in ("", each.template)]
        return _page(found, position, limit)

    async def record(self, outcomes: Sequence[CountedOutcome]) -> int:
        new = 0
        for each in outcomes:
            outcome = each.outcome
            identity = (outcome.tenant_id, outcome.request_id, outcome.lane)
            if identity in self._keys:
                continue
            new += 1
            self._keys[identity] = each.key
            self._evaluations[identity] = Evaluation(outcome=outcome, texts=each.texts)
            self._add(each.key, tally_of(outcome))
        return new

    async def rate(self, rating: Rating) -> TallyKey | None:
        identity = (rating.tenant_id, rating.request_id, "")
        evaluation = self._evaluations.get(identity)
        if evaluation is None:
            return None
        self._add(self._keys[identity], rating_change(evaluation.stars, rating.stars))
        self._evaluations[identity] = replace(
            evaluation, stars=rating.stars, comment=rating.comment
        )
        return self._keys[identity]

    async def tallies(self, template: str) -> Mapping[TallyKey, Tally]:
        return {key: tally for key, tally in self._tallies.items() if key.template == template}

    async def evaluations(
        self, chosen: EvaluationFilter, *, position: int, limit: int
    ) -> Page[Evaluation]:
        found = [
            each if chosen.include_texts else replace(each, texts=None, comment="")
            for each in self._evaluations.values()
            if _is_chosen(chosen, each)
        ]
        return _page(found, position, limit)

    async def forget_evaluations(self, before: datetime, *, limit: int) -> int:
        old = [
            identity
            for identity, each in self._evaluations.items()
            if each.outcome.end_time < before
        ][:limit]
        for identity in old:
            del self._evaluations[identity], self._keys[identity]
        return len(old)

    async def forget_texts(
        self, before: datetime, *, tenants: Collection[str] | None, limit: int
    ) -> int:
        unwanted = [
            identity
            for identity, each in self._evaluations.items()
            if (each.texts is not None or each.comment)
            and (
                each.outcome.end_time < before
                or (tenants is not None and each.outcome.tenant_id not in tenants)
            )
        ][:limit]
        for identity in unwanted:
            self._evaluations[identity] = replace(
                self._evaluations[identity], texts=None, comment=""
            )
        return len(unwanted)

    async def keep_assignment(self, experiment_id: str, unit: str, arm: str) -> str:
        return self._assignments.setdefault((experiment_id, unit), arm)

    def _add(self, key: TallyKey, tally: Tally) -> None:
        self._tallies[key] = self._tallies.get(key, Tally()) + tally


def _page(items: Sequence[T], position: int, limit: int) -> Page[T]:
    end = position + limit
    return Page(items=tuple(items[position:end]), next_position=end if end < len(items) else None)


def _is_chosen(chosen: EvaluationFilter, each: Evaluation) -> bool:
    outcome = each.outcome
    return (
        chosen.template in ("", outcome.template)
        and chosen.tenant_id in ("", outcome.tenant_id)
        and (chosen.start_time is None or outcome.end_time >= chosen.start_time)
        and (chosen.end_time is None or outcome.end_time < chosen.end_time)
    )
