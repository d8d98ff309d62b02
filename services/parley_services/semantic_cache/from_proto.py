"""Reads the domain's values out of the messages of `parley.semantic_cache.v1`."""

from parley.semantic_cache.v1 import semantic_cache_service_pb2 as pb

from parley_services.kit.chat import from_proto
from parley_services.semantic_cache.entry import Answer
from parley_services.semantic_cache.partition import Partition
from parley_services.semantic_cache.store.store import Selection


def partition(message: pb.Partition) -> Partition:
    """Return what must be equal for an answer to be reused."""
    return Partition(
        tenant_id=message.tenant_id,
        user_id=message.user_id,
        template=message.template,
        template_version=message.template_version,
        model_class=message.model_class,
        fingerprint=message.fingerprint,
    )


def answer(message: pb.Answer) -> Answer:
    """Return an answer without its finish reason: only one reason is ever kept."""
    return Answer(
        text=message.text,
        provider=message.provider,
        model=message.model,
        usage=from_proto.usage(message.usage),
        cost_nano_usd=message.cost_nano_usd,
    )


def selection(message: pb.PurgeEntriesRequest) -> Selection:
    """Return which entries a purge removes."""
    return Selection(
        tenant_id=message.tenant_id,
        entry_id=message.entry_id,
        template=message.template,
        template_version=message.template_version,
        tag=message.tag,
    )
