"""
What a command sees and changes, and how commands are committed together.

All that decides about money runs in *commands*: short functions of a `LedgerTransaction` that
neither wait nor do I/O. The store takes the commands that have come together, locks the ledger,
reads all rows that they need, runs them one after the other, writes what changed and commits
once. So every command is atomic over all levels of its subject, no two commands run at the same
time, on whatever replica, and the price of the lock and of the disk is shared.
TigerBeetle argues for the same: https://docs.tigerbeetle.com/concepts/oltp/.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, TypeVar

from parley_services.accounting.clock_reader import Timestamp
from parley_services.accounting.ledger.entry import Entry, StreamHead, append
from parley_services.accounting.ledger.output_length import OutputLength
from parley_services.accounting.ledger.turn import Turn, TurnKey
from parley_services.accounting.limits.alerts import Alert
from parley_services.accounting.limits.allowances import Limits
from parley_services.accounting.limits.usage_counters import UsageCounter
from parley_services.accounting.subjects import SubjectKey, SubjectLevel
from parley_services.kit.chat.subject import Subject

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
LengthKey = tuple[str, str]
"""Tenant and template."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadSet:
    """The rows that a command reads or writes."""

    turn: TurnKey | None = None
    reservation_id: str = ""
    """Finds the turn where its key is not known."""
    subject: Subject | None = None
    """Whose usage counters; those of the turn's own subject are read in any case."""
    length: LengthKey | None = None


class LedgerTransaction:
    """
    The rows that a group of commands needs, what the commands did to them, and when.

    *limits* are those that hold, by the text of the subject's key; for a subject that is
    not among them *defaults* hold.
    """

    def __init__(
        self,
        *,
        timestamp: Timestamp,
        usage_counters: dict[str, UsageCounter],
        limits: Mapping[str, Limits],
        defaults: Mapping[SubjectLevel, Limits],
        turns: dict[TurnKey, Turn],
        heads: dict[str, StreamHead],
        lengths: dict[LengthKey, OutputLength],
    ) -> None:
        self.timestamp = timestamp
        """When all of it happens."""
        self._counters = usage_counters
        self._limits = limits
        self._defaults = defaults
        self._turns = turns
        self._by_reservation = {
            turn.reservation_id: key for key, turn in turns.items() if turn.reservation_id
        }
        self._heads = heads
        self._lengths = lengths
        self.changed_counters: dict[str, UsageCounter] = {}
        self.changed_turns: dict[TurnKey, Turn] = {}
        self.changed_heads: dict[str, StreamHead] = {}
        self.changed_lengths: dict[LengthKey, OutputLength] = {}
        self.new_entries: list[Entry] = []
        self.new_alerts: list[Alert] = []

    def limits(self, key: SubjectKey) -> Limits:
        """Return the limits that hold for *key*."""
        return self._limits.get(key.text) or self._defaults[key.level]

    def counter(self, key: SubjectKey) -> UsageCounter:
        """Return the counter of *key*. Whoever changes it says so by `counter_changed`."""
        text = key.text
        counter = self._counters.get(text)
        if counter is None:
            counter = self._counters[text] = UsageCounter(key_text=text)
        return counter

    def counter_changed(self, counter: UsageCounter) -> None:
        """Have *counter* written."""
        self.changed_counters[counter.key_text] = counter

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


class Command(Protocol[T_co]):
    """
    One decision about money.

    `run` raises a ServiceError to refuse; what it changed before that is kept, so it
    changes nothing before unless that is to be kept, as an alert is.
    """

    @property
    def read_set(self) -> ReadSet:
        """The rows to read."""
        ...

    def run(self, transaction: LedgerTransaction) -> T_co:
        """Decide, and change the rows."""
        ...


class LedgerStore(Protocol):
    """Where the ledger is."""

    async def commit(self, command: Command[T]) -> T:
        """
        Run *command* and return its result after the commit.

        Raises what the command raises, DependencyUnavailable if the store is away or full,
        Overloaded if too many commands wait. On cancel the command may still be committed.
        """
        ...

    def wall_time(self, monotonic_ns: int) -> datetime:
        """Return when, by the wall clock, the monotonic part of a timestamp is."""
        ...

    async def booked_attempts(self, keys: Collection[TurnKey]) -> Mapping[TurnKey, tuple[int, ...]]:
        """Return the numbers of the attempts that are booked, of the turns that are known."""
        ...
