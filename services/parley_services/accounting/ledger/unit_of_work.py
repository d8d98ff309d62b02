"""
What a step sees and changes, and how steps are committed together.

All that decides about money runs in *steps*: short functions of the books that neither wait
nor do I/O. The store takes the steps that have come together, locks the books, reads all
rows that they need, runs them one after the other, writes what changed and commits once. So
every step is atomic over all levels of its subject, no two steps run at the same time, on
whatever replica, and the price of the lock and of the disk is shared.
TigerBeetle argues for the same: https://docs.tigerbeetle.com/concepts/oltp/.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Protocol, TypeVar

from parley_services.accounting.ledger.entry import Entry, StreamHead, append
from parley_services.accounting.ledger.output_length import OutputLength
from parley_services.accounting.ledger.turn import Turn, TurnKey
from parley_services.accounting.limits.alerts import Alert
from parley_services.accounting.limits.allowances import Limits
from parley_services.accounting.limits.usage_counters import Meter
from parley_services.accounting.subjects import SubjectKey, SubjectLevel
from parley_services.kit.chat.subject import Subject

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
LengthKey = tuple[str, str]
"""Tenant and template."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs:
    """The rows that a step reads or writes."""

    turn: TurnKey | None = None
    reservation_id: str = ""
    """Finds the turn where its key is not known."""
    subject: Subject | None = None
    """Whose meters; those of the turn's own subject are read in any case."""
    length: LengthKey | None = None


class Books:
    """
    The rows that a group of steps needs, and what the steps did to them.

    *limits* are those that hold, by the text of the subject's key; for a subject that is
    not among them *defaults* hold.
    """

    def __init__(
        self,
        *,
        meters: dict[str, Meter],
        limits: Mapping[str, Limits],
        defaults: Mapping[SubjectLevel, Limits],
        turns: dict[TurnKey, Turn],
        heads: dict[str, StreamHead],
        lengths: dict[LengthKey, OutputLength],
    ) -> None:
        self._meters = meters
        self._limits = limits
        self._defaults = defaults
        self._turns = turns
        self._by_reservation = {
            turn.reservation_id: key for key, turn in turns.items() if turn.reservation_id
        }
        self._heads = heads
        self._lengths = lengths
        self.changed_meters: dict[str, Meter] = {}
        self.changed_turns: dict[TurnKey, Turn] = {}
        self.changed_heads: dict[str, StreamHead] = {}
        self.changed_lengths: dict[LengthKey, OutputLength] = {}
        self.new_entries: list[Entry] = []
        self.new_alerts: list[Alert] = []

    def limits(self, key: SubjectKey) -> Limits:
        """Return the limits that hold for *key*."""
        return self._limits.get(key.text) or self._defaults[key.level]

    def meter(self, key: SubjectKey) -> Meter:
        """Return the meter of *key*. Whoever changes it says so by `meter_changed`."""
        text = key.text
        meter = self._meters.get(text)
        if meter is None:
            meter = self._meters[text] = Meter(key_text=text)
        return meter

    def meter_changed(self, meter: Meter) -> None:
        """Have *meter* written."""
        self.changed_meters[meter.key_text] = meter

    def turn(self, key: TurnKey) -> Turn | None:
        """Return a turn, None if it is not known."""
        return self._turns.get(key)

    def turn_of(self, reservation_id: str) -> Turn | None:
        """Return the turn that has a reservation, None if there is none."""
        key = self._by_reservation.get(reservation_id)
        return None if key is None else self._turns[key]

    def put_turn(self, turn: Turn) -> None:
        """Have *turn* written."""
        self._turns[turn.key] = turn
        self.changed_turns[turn.key] = turn
        if turn.reservation_id:
            self._by_reservation[turn.reservation_id] = turn.key

    def append(self, entry: Entry) -> Entry:
        """Append *entry* to its tenant's stream and return it as it is written."""
        head = self._heads.get(entry.tenant_id) or StreamHead(tenant_id=entry.tenant_id)
        head, chained = append(head, entry)
        self._heads[entry.tenant_id] = self.changed_heads[entry.tenant_id] = head
        self.new_entries.append(chained)
        return chained

    def alert(self, alert: Alert) -> None:
        """Give an alert."""
        self.new_alerts.append(alert)

    def length(self, key: LengthKey) -> OutputLength:
        """Return what is known of the answers of a template."""
        return self._lengths.get(key) or OutputLength()

    def put_length(self, key: LengthKey, length: OutputLength) -> None:
        """Have what is known of a template's answers written."""
        self._lengths[key] = self.changed_lengths[key] = length


class Step(Protocol[T_co]):
    """
    One decision about money.

    `run` raises a ServiceError to refuse; what it changed before that is kept, so it
    changes nothing before unless that is to be kept, as an alert is.
    """

    @property
    def needs(self) -> Needs:
        """The rows to read."""
        ...

    def run(self, books: Books) -> T_co:
        """Decide, and change the books."""
        ...


class LedgerStore(Protocol):
    """Where the books are."""

    async def commit(self, step: Step[T]) -> T:
        """
        Run *step* on the books and return its result after the commit.

        Raises what the step raises, DependencyUnavailable if the store is away or full,
        Overloaded if too many steps wait. On cancel the step may still be committed.
        """
        ...

    async def booked_attempts(self, keys: Collection[TurnKey]) -> Mapping[TurnKey, tuple[int, ...]]:
        """Return the numbers of the attempts that are booked, of the turns that are known."""
        ...
