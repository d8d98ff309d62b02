"""Doubles for the semantic cache, with their behaviour in the constructor."""

from dataclasses import replace

from parley_services.semantic_cache.embed.embedder import EmbedderUnavailable
from parley_services.semantic_cache.entry import Answer, Candidate, Entry
from parley_services.semantic_cache.partition import Partition, entry_id_of
from parley_services.semantic_cache.store.store import StoreUnavailable

PARTITION = Partition(
    tenant_id="acme",
    template="general_chat",
    template_version=3,
    model_class="small",
    fingerprint=b"\x01" * 32,
)


def entry(text="How do I reset my password?", partition=PARTITION, **fields):
    """An entry that lives from second 0 to second 1,000,000,000,000."""
    answer = fields.pop("answer", "Click on Forgot password.")
    return Entry(
        **{
            "entry_id": entry_id_of(partition, text),
            "partition": partition,
            "text": text,
            "answer": Answer(text=answer, cost_nano_usd=5_000),
            "create_time": 0.0,
            "expire_time": 1e12,
            **fields,
        }
    )


class TableEmbedder:
    """Gives the vector that *vectors* holds for a text, [1, 0, 0] for others."""

    name = "table-3"
    dimension = 3

    def __init__(self, vectors=None, *, away=False):
        self.vectors = vectors or {}
        self.away = away
        self.texts = []

    async def embed(self, text, payer):
        self.texts.append(text)
        if self.away:
            raise EmbedderUnavailable("away")
        return self.vectors.get(text, [1.0, 0.0, 0.0])


class WordCosine:
    """Compares texts by the share of words that both have."""

    def cosine(self, one, other):
        first, second = set(one.lower().split()), set(other.lower().split())
        return len(first & second) / max(1, len(first | second))


class ListStore:
    """Keeps entries in a dict. *away* fails every call; *careless* ignores all filters."""

    def __init__(self, *, away=False, careless=False):
        self.entries = {}
        self.vectors = {}
        self.away = away
        self.careless = careless
        self.calls = []

    def _called(self, name):
        self.calls.append(name)
        if self.away:
            raise StoreUnavailable("away")

    def _selected(self, selection, now=None):
        return [
            each
            for each in self.entries.values()
            if self.careless
            or (
                selection.tenant_id in ("", each.partition.tenant_id)
                and selection.partition in (None, each.partition)
                and selection.entry_id in ("", each.entry_id)
                and selection.template in ("", each.partition.template)
                and selection.template_version in (0, each.partition.template_version)
                and (not selection.tag or selection.tag in each.tags)
                and (now is None or each.expire_time > now)
            )
        ]

    async def get(self, entry_id):
        self._called("get")
        return self.entries.get(entry_id)

    async def nearest(self, vector, selection, *, now, floor, limit):
        self._called("nearest")
        found = [
            Candidate(entry=each, similarity=_cosine(vector, self.vectors[each.entry_id]))
            for each in self._selected(selection, now)
            if self.vectors[each.entry_id] is not None
        ]
        found = [each for each in found if self.careless or each.similarity >= floor]
        return sorted(found, key=lambda each: -each.similarity)[:limit]

    async def put(self, entry, vector):
        self._called("put")
        self.entries[entry.entry_id] = entry
        self.vectors[entry.entry_id] = vector

    async def learn(self, entry_id, observations):
        self._called("learn")
        if entry_id in self.entries:
            kept = self.entries[entry_id]
            self.entries[entry_id] = replace(kept, observations=tuple(observations))

    async def remove(self, selection):
        self._called("remove")
        selected = self._selected(selection)
        for each in selected:
            del self.entries[each.entry_id]
        return len(selected)

    async def remove_expired(self, now):
        self._called("remove_expired")
        self.entries = {key: e for key, e in self.entries.items() if e.expire_time > now}

    async def remove_oldest(self, selection, count):
        self._called("remove_oldest")
        oldest = sorted(self._selected(selection), key=lambda each: each.create_time)[:count]
        for each in oldest:
            del self.entries[each.entry_id]
        return len(oldest)

    async def count(self, selection):
        self._called("count")
        return len(self._selected(selection))

    async def byte_count(self):
        self._called("byte_count")
        return 0

    async def maintain(self):
        self._called("maintain")


def _cosine(one, other):
    def length(vector):
        return sum(x * x for x in vector) ** 0.5

    product = sum(x * y for x, y in zip(one, other, strict=True))
    return product / (length(one) * length(other) or 1.0)
