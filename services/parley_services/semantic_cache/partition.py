"""Where an answer may be reused: all that must be equal but the text."""

import hashlib
import re
import unicodedata
import uuid
from dataclasses import dataclass
from functools import lru_cache

_BLANKS = re.compile(r"[ \t]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Partition:
    """
    The boundary that no entry crosses. Two turns share answers only if all fields are equal.

    *user_id* is empty where a template shares answers among the users of a tenant.
    *fingerprint* is a hash of system text, earlier messages, other variables, sampling
    parameters, tools and response format.
    """

    tenant_id: str
    user_id: str = ""
    template: str = ""
    template_version: int = 0
    model_class: str = ""
    fingerprint: bytes = b""

    @property
    def key(self) -> str:
        """SHA-256 of all fields in hexadecimal, each led by its length."""
        return _key(self)


@lru_cache(maxsize=4096)
def _key(partition: Partition) -> str:
    digest = hashlib.sha256()
    for part in (
        partition.tenant_id.encode(),
        partition.user_id.encode(),
        partition.template.encode(),
        str(partition.template_version).encode(),
        partition.model_class.encode(),
        partition.fingerprint,
    ):
        # The length first, so that ("ab", "c") and ("a", "bc") differ.
        digest.update(len(part).to_bytes(8, "big"))
        digest.update(part)
    return digest.hexdigest()


def normalise(text: str) -> str:
    """
    Return *text* in the form whose equality makes an exact hit.

    NFC, one kind of line end, no blanks around; on a single line, runs of blanks become
    one. Nothing else changes: NFKC would make `x²` equal to `x2`, letter case tells
    `Polish` from `polish`, and indentation means something in code.
    """
    text = unicodedata.normalize("NFC", text).replace("\r\n", "\n").strip()
    return text if "\n" in text else _BLANKS.sub(" ", text)


def entry_id_of(partition: Partition, text: str) -> str:
    """
    Return the id, a UUID, of the one entry that *text* can have in *partition*.

    It is a hash of both, so that an exact lookup reads a single entry by its id and
    needs neither a vector nor a filter, and storing twice replaces.
    """
    digest = hashlib.sha256(f"{partition.key}\n{normalise(text)}".encode()).digest()
    return str(uuid.UUID(bytes=digest[:16], version=5))


def is_entry_id(text: str) -> bool:
    """Return whether *text* has the form of an entry's id."""
    try:
        return str(uuid.UUID(text)) == text
    except ValueError:
        return False
