"""An entry as the payload of a point in Qdrant, the same for every adapter."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from parley_services.kit.chat.usage import Usage
from parley_services.semantic_cache.entry import Answer, Entry
from parley_services.semantic_cache.partition import Partition
from parley_services.semantic_cache.verify.calibration import Observation

KEYWORD_FIELDS: Final = ("partition", "template", "tags")
"""Indexed for equality. `tenant_id` is too, as the field that separates tenants."""

INTEGER_FIELDS: Final = ("template_version",)
"""Indexed for equality."""

FLOAT_FIELDS: Final = ("create_time", "expire_time")
"""Indexed for ranges and order."""


def payload_of(entry: Entry) -> dict[str, Any]:
    """Return the payload of *entry*."""
    partition, answer, usage = entry.partition, entry.answer, entry.answer.usage
    return {
        "tenant_id": partition.tenant_id,
        "partition": partition.key,
        "user_id": partition.user_id,
        "template": partition.template,
        "template_version": partition.template_version,
        "model_class": partition.model_class,
        "fingerprint": partition.fingerprint.hex(),
        "text": entry.text,
        "answer": answer.text,
        "provider": answer.provider,
        "model": answer.model,
        "usage": [
            usage.input_token_count,
            usage.cached_input_token_count,
            usage.cache_write_token_count,
            usage.output_token_count,
            usage.reasoning_token_count,
            int(usage.estimated),
        ],
        "cost_nano_usd": answer.cost_nano_usd,
        "create_time": entry.create_time,
        "expire_time": entry.expire_time,
        "tags": list(entry.tags),
        **observations_to(entry.observations),
    }


def observations_to(observations: Sequence[Observation]) -> dict[str, Any]:
    """Return the part of a payload that holds *observations*; empty without any."""
    if not observations:
        return {}
    return {"observations": [[each.score, float(each.correct)] for each in observations]}


def entry_of(entry_id: str, payload: Mapping[str, Any]) -> Entry:
    """Return the entry whose payload this is. Raises KeyError for a foreign payload."""
    tokens = payload["usage"]
    return Entry(
        entry_id=entry_id,
        partition=Partition(
            tenant_id=payload["tenant_id"],
            user_id=payload["user_id"],
            template=payload["template"],
            template_version=payload["template_version"],
            model_class=payload["model_class"],
            fingerprint=bytes.fromhex(payload["fingerprint"]),
        ),
        text=payload["text"],
        answer=Answer(
            text=payload["answer"],
            provider=payload["provider"],
            model=payload["model"],
            usage=Usage(
                input_token_count=tokens[0],
                cached_input_token_count=tokens[1],
                cache_write_token_count=tokens[2],
                output_token_count=tokens[3],
                reasoning_token_count=tokens[4],
                estimated=bool(tokens[5]),
            ),
            cost_nano_usd=payload["cost_nano_usd"],
        ),
        create_time=payload["create_time"],
        expire_time=payload["expire_time"],
        tags=tuple(payload["tags"]),
        observations=tuple(
            Observation(score=score, correct=bool(correct))
            # Entries of an earlier version have none.
            for score, correct in payload.get("observations", ())
        ),
    )
