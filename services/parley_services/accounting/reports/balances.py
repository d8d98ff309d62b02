"""Proves the figures that are kept beside the ledger: they must be its sums."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from parley_services.accounting.ledger.entry import (
    GENESIS,
    Account,
    Entry,
    Fault,
    FaultKind,
    StreamHead,
)
from parley_services.accounting.subjects import SUITE, SubjectKey, keys_of
from parley_services.kit.chat.subject import Subject


@dataclass(frozen=True, slots=True, kw_only=True)
class Balance:
    """What is kept of one subject."""

    used_nano_usd: int
    """All that was ever booked."""
    reserved_nano_usd: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """What one running turn sets aside."""

    subject: Subject
    amount_nano_usd: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RolledUp:
    """What the rollups of a stream say, and how far they go."""

    sequence: int
    cost_nano_usd: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """Where a stream begins in the database, and what was booked before."""

    sequence: int = 0
    row_hash: bytes = GENESIS
    cost_nano_usd: int = 0
    used: Mapping[str, int] = field(default_factory=dict)
    """What each subject had used, by the text of its key."""


FROM_THE_FIRST = Opening()


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptFigures:
    """All that is kept beside the ledger, as it was at one moment."""

    heads: Sequence[StreamHead]
    balances: Mapping[str, Balance]
    """By the text of the subject's key."""
    holds: Sequence[Hold]
    rolled_up: Mapping[str, RolledUp]
    """By tenant."""
    openings: Mapping[str, Opening] = field(default_factory=dict)
    """By tenant; none for a stream that is here from its first entry on."""


_NOTHING = Balance(used_nano_usd=0, reserved_nano_usd=0)


class BalanceCheck:
    """Adds up the entries of streams and compares. Feed it all entries up to the heads."""

    def __init__(self, figures: KeptFigures) -> None:
        self._figures = figures
        self._last = {head.tenant_id: head.sequence for head in figures.heads}
        self._used: defaultdict[SubjectKey, int] = defaultdict(int)
        self._rolled_up: defaultdict[str, int] = defaultdict(int)
        for tenant_id, opening in figures.openings.items():
            self._rolled_up[tenant_id] = opening.cost_nano_usd
            for text, used in opening.used.items():
                self._used[SubjectKey.of(text)] += used

    def feed(self, entries: Iterable[Entry]) -> None:
        """Add *entries*. Those that came after the figures were read count for nothing."""
        for entry in entries:
            if entry.sequence > self._last.get(entry.tenant_id, 0):
                continue
            self.add(entry)

    def add(self, entry: Entry) -> None:
        """Add one entry to the sums of its subjects."""
        for key in paying_keys(entry):
            self._used[key] += entry.cost_nano_usd
        rolled = self._figures.rolled_up.get(entry.tenant_id)
        if rolled is not None and entry.sequence <= rolled.sequence:
            self._rolled_up[entry.tenant_id] += entry.cost_nano_usd

    def finish(self, tenant_id: str) -> Iterator[Fault]:
        """Yield what does not add up; of one tenant, or with an empty id of all."""
        reserved: defaultdict[SubjectKey, int] = defaultdict(int)
        for hold in self._figures.holds:
            for key in keys_of(hold.subject):
                reserved[key] += hold.amount_nano_usd
        known = {SubjectKey.of(text) for text in self._figures.balances}
        for key in sorted(known | self._used.keys() | reserved.keys(), key=lambda key: key.text):
            if tenant_id and key.tenant_id != tenant_id:
                continue
            kept = self._figures.balances.get(key.text, _NOTHING)
            for kind, wanted, found in (
                (FaultKind.BALANCE, self._used[key], kept.used_nano_usd),
                (FaultKind.HOLD, reserved[key], kept.reserved_nano_usd),
            ):
                if wanted != found:
                    yield _fault(key, kind, wanted, found)
        for name, rolled in sorted(self._figures.rolled_up.items()):
            if tenant_id in ("", name) and self._rolled_up[name] != rolled.cost_nano_usd:
                yield Fault(
                    tenant_id=name,
                    kind=FaultKind.ROLLUP,
                    expected_nano_usd=self._rolled_up[name],
                    found_nano_usd=rolled.cost_nano_usd,
                )


def paying_keys(entry: Entry) -> Sequence[SubjectKey]:
    """Return whose budgets an entry counts against. A shadow call is the suite's alone."""
    return (SUITE,) if entry.account is Account.SHADOW else keys_of(entry.subject)


def _fault(key: SubjectKey, kind: FaultKind, expected: int, found: int) -> Fault:
    return Fault(
        tenant_id=key.tenant_id,
        kind=kind,
        subject=key.name,
        expected_nano_usd=expected,
        found_nano_usd=found,
    )
