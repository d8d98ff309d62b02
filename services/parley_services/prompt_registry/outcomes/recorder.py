"""
Takes in outcomes and ratings, many in one commit. Imports neither grpc nor protobuf.

Every turn reports, and a commit costs more than what is in it. So what arrives is gathered for
a moment and shares a commit, as does what arrives while one is under way.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from parley_services.kit.chat.message import ResponseFormat
from parley_services.kit.errors import InvalidArgument, NotFound, Overloaded
from parley_services.prompt_registry.experiments.experiment import ExperimentMode
from parley_services.prompt_registry.experiments.shadow import (
    GivenAnswer,
    ShadowComparison,
    compare,
)
from parley_services.prompt_registry.outcomes.outcome import (
    Outcome,
    Rating,
    Tally,
    TallyKey,
    TurnTexts,
)
from parley_services.prompt_registry.outcomes.turn_texts import TextPolicy
from parley_services.prompt_registry.stores.store import CountedOutcome, OutcomeStore
from parley_services.prompt_registry.templates.catalogue import Catalogue
from parley_services.prompt_registry.templates.template import PRODUCTION

MAX_WAITING: Final = 10_000
"""Outcomes that may wait for a commit; above it a report is refused and sent again later."""

MAX_BATCH: Final = 500
"""Outcomes of one commit, so that the first of them does not wait for ever."""

GATHER_SECONDS: Final = 0.02
"""How long outcomes are gathered before they are committed together. Whoever reports waits
that long for the answer, off the path of any chat: long enough for a burst, and short enough
that few reporters at once still report hundreds of turns a second."""


@dataclass(slots=True)
class _Waiting:
    counted: CountedOutcome
    done: asyncio.Future[None]


class OutcomeRecorder:
    """Outcomes on their way into the store. `run` commits them until it is cancelled."""

    def __init__(
        self,
        *,
        store: OutcomeStore,
        catalogue: Catalogue,
        text_policy: TextPolicy,
        gather_seconds: float = GATHER_SECONDS,
    ) -> None:
        self._store = store
        self._catalogue = catalogue
        self._text_policy = text_policy
        self._gather_seconds = gather_seconds
        self._waiting: list[_Waiting] = []
        self._arrived = asyncio.Event()
        self.changed_templates: set[str] = set()
        """Templates whose counts changed; whoever looks at the counts empties it."""
        self.changed = asyncio.Event()
        """Set when a template was added there."""

    async def report(self, outcome: Outcome, texts: TurnTexts | None = None) -> None:
        """
        Count *outcome*; return when it is committed.

        *texts* are kept, redacted, if the tenant wants that. The same turn again changes
        nothing. Raises InvalidArgument naming each field that is wrong, NotFound for a
        version that does not exist, Overloaded if too many wait, DependencyUnavailable. On
        cancel it may still be committed.
        """
        key = self._key(outcome)
        if texts is not None:
            texts = await self._text_policy.of(
                texts,
                request_id=outcome.request_id,
                tenant_id=outcome.tenant_id,
                template=outcome.template,
            )
        counted = CountedOutcome(outcome=outcome, key=key, texts=texts)
        if len(self._waiting) >= MAX_WAITING:
            raise Overloaded("Too many outcomes wait to be stored: send it again later.")
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Waiting(counted, done))
        self._arrived.set()
        await done

    async def report_shadow(
        self,
        outcome: Outcome,
        *,
        texts: TurnTexts,
        answer: GivenAnswer | None,
        response_format: ResponseFormat | None = None,
    ) -> ShadowComparison | None:
        """
        Count how an arm did that ran beside *answer*, and compare the two.

        *response_format* is what the turn asked for in place of each version's own form.
        Return how they compare, None if either failed. Raises what `report` raises.
        """
        if not (outcome.experiment_id and outcome.arm):
            raise InvalidArgument.field("outcome.arm", "Name the experiment and the arm that ran.")
        outcome = replace(outcome, is_shadow=True)
        template = self._catalogue.template(outcome.template)
        version = template.version(outcome.version)
        if answer is not None and not outcome.error_reason:
            given = template.version(answer.version)
            # In a thread: long texts take milliseconds, and other reports go on meanwhile.
            comparison = await asyncio.to_thread(
                compare,
                texts.output_text,
                answer,
                shadow_format=response_format or version.content.response_format,
                answer_format=response_format or given.content.response_format,
            )
            outcome = replace(
                outcome,
                comparison=comparison,
                format_failed=outcome.format_failed or not comparison.shadow_format_valid,
            )
        await self.report(outcome, texts)
        return outcome.comparison

    async def rate(self, rating: Rating) -> None:
        """
        Set the rating of a turn, in place of an earlier one.

        Its comment is kept, redacted, if the tenant wants texts kept. Raises NotFound if the
        tenant has no such turn, or its outcome was not reported yet.
        """
        comment = await self._text_policy.comment(
            rating.comment, request_id=rating.request_id, tenant_id=rating.tenant_id
        )
        key = await self._store.rate(replace(rating, comment=comment))
        if key is None:
            raise NotFound(
                "The tenant has no turn of that id, or its outcome has not been reported yet.",
                resource_type="turn",
                resource_name=rating.request_id[:64],
            )
        self._tell({key.template})

    async def tallies(self, template: str) -> Mapping[TallyKey, Tally]:
        """Return all counts of *template*. Raises NotFound."""
        self._catalogue.template(template)
        return await self._store.tallies(template)

    async def run(self) -> None:
        """Commit what arrives, until cancelled; what waits then is refused as Overloaded."""
        try:
            while True:
                await self._arrived.wait()
                await asyncio.sleep(self._gather_seconds)
                self._arrived.clear()
                while self._waiting:
                    batch, self._waiting = self._waiting[:MAX_BATCH], self._waiting[MAX_BATCH:]
                    await self._commit(batch)
        finally:
            for each in self._waiting:
                if not each.done.done():
                    each.done.set_exception(
                        Overloaded("The registry is closing: send the outcome again later.")
                    )
            self._waiting.clear()

    async def _commit(self, batch: Sequence[_Waiting]) -> None:
        try:
            await self._store.record([each.counted for each in batch])
        except Exception as error:
            for each in batch:
                if not each.done.done():
                    each.done.set_exception(error)
            return
        except BaseException:
            for each in batch:
                each.done.cancel()
            raise
        for each in batch:
            if not each.done.done():
                each.done.set_result(None)
        self._tell({each.counted.key.template for each in batch})

    def _tell(self, templates: set[str]) -> None:
        self.changed_templates |= templates
        self.changed.set()

    def _key(self, outcome: Outcome) -> TallyKey:
        template = self._catalogue.template(outcome.template)
        template.version(outcome.version)
        epoch = 0
        if outcome.experiment_id:
            experiment = template.experiment(outcome.experiment_id)
            if outcome.is_shadow and experiment.mode is not ExperimentMode.SHADOW:
                # Its turns would count as evidence among those that users saw.
                raise InvalidArgument.field(
                    "outcome.experiment_id", "This experiment runs no arm beside the answer."
                )
            epoch = experiment.epoch
        elif not outcome.arm:
            production = template.find_label(PRODUCTION)
            if production is not None and production.version == outcome.version:
                epoch = production.generation
        return TallyKey(
            template=outcome.template,
            version=outcome.version,
            experiment_id=outcome.experiment_id,
            arm=outcome.arm,
            epoch=epoch,
        )
