"""What the guardrails read from their environment, once, at start."""

from pathlib import Path

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from parley_services.guardrails.format.format_checker import FormatBounds
from parley_services.guardrails.format.worker_pool import WorkerBounds
from parley_services.guardrails.offload import OffloadBounds
from parley_services.guardrails.text.limits import Limits
from parley_services.kit.bounded_json import JsonBounds
from parley_services.kit.settings import ParleySettings


class GuardrailsSettings(ParleySettings):
    """How the guardrails judge."""

    model_config = SettingsConfigDict(env_prefix="PARLEY_GUARDRAILS_")

    prepare_rules: bool = True
    """Whether to run the rules once over a sample text at start. It takes about 0.1
    seconds and spares the first answers the building of RE2's automata; tests switch it off."""

    policy_path: Path | None = None
    """YAML file with the policies of tenants and templates. Without it, the default,
    everybody has the policy in which each rule does what it says itself. A file that
    cannot take effect as it is stops the start."""

    presidio_model: str = ""
    """Name or folder of the spaCy model by which `pii.person_name` and `pii.address` find
    names and places in inputs. Needs the extra `presidio`. Each input is then judged by a
    thread and counts as a long text, since a model takes milliseconds. Empty, the default:
    these two rules do not exist, since Parley comes with no such model."""

    max_input_bytes: int = Field(default=1024 * 1024, ge=1)
    """Bytes of UTF-8 of all input texts of one request together; more is refused before any
    rule looks at it. The default is longer than the context of most models."""

    max_image_bytes: int = Field(default=20 * 1024 * 1024, ge=0)
    """Bytes of base64 of all images of one request that are sent in data URLs."""

    max_answer_bytes: int = Field(default=1024 * 1024, ge=1)
    """Bytes of UTF-8 of one answer, above which a scan is refused. For a limit that ends an
    answer instead, use `max_answer_characters` of a policy."""

    max_context_bytes: int = Field(default=2 * 1024 * 1024, ge=1)
    """Bytes of UTF-8 of what is said about the turn of an answer: system text, user texts
    and placeholders. The default is room for the largest input and a long system text."""

    long_text_bytes: int = Field(default=16 * 1024, ge=1)
    """Size from which a text is judged by a thread and not on the event loop. The default is
    what takes some milliseconds at worst."""

    long_text_threads: int = Field(default=2, ge=1, le=64)
    """Threads that judge long texts. Two, so that one long text does not hold up another."""

    max_waiting_long_texts: int = Field(default=32, ge=1)
    """Long texts that are judged or wait for a thread; more are refused as overloaded. The
    default keeps at most 32 MiB of text waiting."""

    max_schema_bytes: int = Field(default=256 * 1024, ge=1)
    """Bytes of UTF-8 of the JSON Schema of an answer; a larger one is refused."""

    max_schema_parts: int = Field(default=20_000, ge=1)
    """Objects, lists and plain values of a JSON Schema, each counted as often as it is
    referred to; a schema that comes to more is refused. The default is some ten times what
    the largest schemas of public APIs come to."""

    schema_processes: int = Field(default=1, ge=1, le=16)
    """Processes that check JSON Schemas whose cost is not known beforehand, as those that
    refer to themselves. They are started when first needed and take some 30 MB each."""

    schema_seconds: float = Field(default=1.0, gt=0)
    """Time for one such schema, with one answer. Then its process is killed and the schema
    refused."""

    schema_memory_bytes: int = Field(default=512 * 1024 * 1024, ge=64 * 1024 * 1024)
    """Address space of such a process, above which it ends and the schema is refused."""

    max_waiting_schemas: int = Field(default=64, ge=1)
    """Such schemas that are checked or wait for a process; more are refused as overloaded."""

    @property
    def format_bounds(self) -> FormatBounds:
        """The bounds of schemas that these settings amount to."""
        return FormatBounds(
            json=JsonBounds(
                max_bytes=self.max_schema_bytes, max_depth=64, max_values=self.max_schema_parts
            ),
            max_parts=self.max_schema_parts,
        )

    @property
    def worker_bounds(self) -> WorkerBounds:
        """The bounds of processes that these settings amount to."""
        return WorkerBounds(
            processes=self.schema_processes,
            seconds=self.schema_seconds,
            memory_bytes=self.schema_memory_bytes,
            max_waiting=self.max_waiting_schemas,
        )

    @property
    def limits(self) -> Limits:
        """The limits that these settings amount to."""
        return Limits(
            max_input_bytes=self.max_input_bytes,
            max_image_bytes=self.max_image_bytes,
            max_answer_bytes=self.max_answer_bytes,
            max_context_bytes=self.max_context_bytes,
        )

    @property
    def offload_bounds(self) -> OffloadBounds:
        """The bounds of threads that these settings amount to."""
        return OffloadBounds(
            from_bytes=self.long_text_bytes,
            threads=self.long_text_threads,
            max_waiting=self.max_waiting_long_texts,
        )
