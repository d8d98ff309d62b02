"""What the semantic cache reads from its environment, once, at start."""

from decimal import Decimal
from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr
from pydantic_settings import SettingsConfigDict

from parley_services.kit.settings import ParleySettings


class SemanticCacheSettings(ParleySettings):
    """Where answers are kept, for how long, and how near a question must be to get one."""

    model_config = SettingsConfigDict(env_prefix="PARLEY_SEMANTIC_CACHE_")

    store: Literal["edge", "qdrant"] = "edge"
    """Where answers are kept. `edge`, the default, is Qdrant's engine in this process, in
    the folder `semantic_cache` of PARLEY_DATA_DIR, which one process at a time can open.
    `qdrant` is a server, which any number of caches can share."""

    qdrant_url: str = "http://localhost:6333"
    """Address of the Qdrant server. Its gRPC port is set on its own."""

    qdrant_grpc_port: int = Field(default=6334, ge=1, le=65535)
    """gRPC port of the Qdrant server. The default is Qdrant's own."""

    qdrant_api_key: SecretStr = SecretStr("")
    """API key of the Qdrant server. Empty, the default: it asks for none."""

    qdrant_collection: str = "parley_answers"
    """First part of the collection's name; the embedder's name follows, so that vectors of
    two embedders never mix."""

    store_timeout_seconds: float = Field(default=0.15, gt=0)
    """Seconds that a Qdrant server may take for a lookup before it counts as a miss. The
    default is far less than a model takes to answer."""

    embedder: Literal["wordllama", "openai"] = "wordllama"
    """What turns texts into vectors. `wordllama`, the default, needs no network and about
    25 µs a text. `openai` asks an endpoint that speaks OpenAI's embeddings API."""

    openai_base_url: str = "https://api.openai.com/v1"
    """Address of that endpoint, up to and with its version."""

    openai_api_key: SecretStr = SecretStr("")
    """API key of that endpoint."""

    openai_model: str = "text-embedding-3-small"
    """Model of that endpoint."""

    openai_dimension: int = Field(default=1536, ge=8, le=4096)
    """Length of that model's vectors. The default is that of text-embedding-3-small."""

    openai_price_usd_per_million: Decimal | None = Field(default=None, ge=0)
    """US dollars for 1,000,000 tokens of that model; 0 for an endpoint of your own. Unset, the
    default: OpenAI's price, and no start with a model of which none is known, since nothing
    may be free by accident."""

    embedding_record_limit: int = Field(default=100_000, ge=1)
    """Calls of a paid embedder that may wait to be told to accounting. Beyond it texts are not
    embedded, and only exact hits are found."""

    openai_timeout_seconds: float = Field(default=0.2, gt=0)
    """Seconds that the endpoint may take before a lookup goes on with exact hits only."""

    onnx_folder: Path | None = None
    """Folder with `model.onnx` and its `tokenizer.json`, a stronger embedder such as
    all-MiniLM-L6-v2 that looks again at candidates that `trained` may give. Needs the extra
    `onnx`. None, the default: no second look."""

    onnx_timeout_seconds: float = Field(default=0.1, gt=0)
    """Seconds that the second look may take before the first verdict holds. A new text takes
    some milliseconds, one that was seen before none."""

    verifier: Literal["trained", "rules"] = "trained"
    """What judges a near question. `trained`, the default, refuses by rules and then by a
    probability learnt from English question pairs. `rules` serves only questions of the
    same words; set the similarity threshold to 0.92 with it."""

    max_false_hit_rate: float = Field(default=0.02, ge=0, le=0.1)
    """Share of near questions needing another answer that `trained` may give this one, 0 to
    0.1, as measured on Quora Question Pairs. The default serves more than a plain cosine
    of 0.92 does, with 2 % false hits against 4.6 %. Below 0.001 nothing that differs by a
    word is served."""

    max_error_rate: float = Field(default=0.0, ge=0, le=0.5)
    """Share of all lookups that may get a wrong answer, above 0 up to 0.5, where entries
    learn by themselves which questions they serve; 0.02 is a good start. While an entry is
    unsure, the model answers and the entry learns. 0, the default: they do not learn."""

    policies_file: Path | None = None
    """A YAML file of policies by tenant and template, read once at start. None, the default:
    the settings here hold for all."""

    similarity_threshold: float = Field(default=0.70, ge=0, le=1)
    """Cosine from which a stored question is looked at, 0 to 1. It must pass the verifier
    as well, so this bounds work rather than errors. The default is what `trained` was
    measured with."""

    fallback_similarity_threshold: float = Field(default=0.70, ge=0, le=1)
    """The same while no model can be reached. With `rules` and a threshold of 0.92, set a
    lower one here."""

    ttl_seconds: float = Field(default=3600.0, gt=0)
    """Seconds that an answer may be given. The default is one hour, shortened by up to 10 %
    at random so that answers made together do not all expire together."""

    time_bound_ttl_seconds: float = Field(default=0.0, ge=0)
    """The same for questions and answers about now, such as prices or the weather. 0, the
    default, does not keep them."""

    tenant_capacity: int = Field(default=10_000, ge=4)
    """Entries that one tenant may have. Above it the oldest quarter goes."""

    capacity: int = Field(default=100_000, ge=4)
    """Entries of all tenants together. Above it the oldest quarter goes."""

    candidates: int = Field(default=5, ge=1, le=50)
    """Nearest entries that one lookup verifies at most."""

    semantic_characters: int = Field(default=2_000, ge=1)
    """Longer texts are matched exactly only, since one vector says too little about them."""

    show_original_text: bool = False
    """Whether hits and explanations show the text that an answer was written for. Off by
    default: it may be another user's."""

    maintenance_interval_seconds: float = Field(default=5.0, gt=0)
    """Seconds between rounds that keep the statistics, remove expired entries and, once a
    minute, write what is pending to disk. What was stored in the last minute may be lost in a
    power cut, not in a crash."""
