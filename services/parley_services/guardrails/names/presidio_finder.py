"""Names and places by Presidio and a spaCy model: the extra `presidio`."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from importlib import import_module
from threading import Lock
from typing import Any, Final, Protocol

from parley_services.guardrails.names.entity import Entity, EntityKind

PART_CHARACTERS: Final = 10_000
"""The longest text that the model sees at once. A spaCy model takes about 1 GB for 100,000
characters and refuses 1,000,000 (its error E088)."""

_KINDS: Final = {"PERSON": EntityKind.PERSON, "LOCATION": EntityKind.PLACE}
"""https://microsoft.github.io/presidio/supported_entities/"""


class PresidioMissing(Exception):
    """The extra is not installed, or the model cannot be used; the text says which."""


class Result(Protocol):
    """What is used of Presidio's RecognizerResult."""

    entity_type: str
    start: int
    end: int
    score: float


class Analyzer(Protocol):
    """What is used of Presidio's AnalyzerEngine."""

    def analyze(self, text: str, language: str, entities: list[str]) -> Sequence[Result]: ...


class PresidioFinder:
    """
    An `EntityFinder` by Presidio's analyzer. Open it with `open_presidio_finder`.

    A text is read in parts of at most 10,000 characters, cut at the end of a line or else at
    white space; a name that is split by a cut may be missed.
    """

    def __init__(
        self,
        analyzer: Analyzer,
        *,
        language: str,
        memory_zone: Callable[[], AbstractContextManager[object]] = nullcontext,
    ) -> None:
        """
        *memory_zone* is entered around each part: what the model keeps of a text, such as
        words that it had not seen before, is gone when it is left.
        """
        self._analyzer = analyzer
        self._language = language
        self._memory_zone = memory_zone
        # A part at a time: the zone is one for all threads, and the model holds the
        # interpreter's lock nearly all the time anyway.
        self._lock = Lock()

    def find(self, text: str) -> list[Entity]:
        return [entity for start, part in _parts(text) for entity in self._find_in(part, start)]

    def _find_in(self, part: str, offset: int) -> list[Entity]:
        with self._lock, self._memory_zone():
            results = self._analyzer.analyze(
                text=part, language=self._language, entities=list(_KINDS)
            )
            return [
                Entity(
                    kind=_KINDS[each.entity_type],
                    start=offset + each.start,
                    end=offset + each.end,
                    score=float(each.score),
                )
                for each in results
            ]


def open_presidio_finder(
    model: str, *, load_module: Callable[[str], Any] = import_module
) -> PresidioFinder:
    """
    Return a finder by the spaCy *model*, the name of a package or a folder.

    The texts are taken to be in the model's language. Nothing is downloaded. *load_module*
    imports presidio_analyzer and spacy. Raises PresidioMissing.
    """
    try:
        presidio = load_module("presidio_analyzer")
        engines = load_module("presidio_analyzer.nlp_engine")
        recognizers = load_module("presidio_analyzer.predefined_recognizers")
        spacy = load_module("spacy")
    except ImportError as error:
        raise PresidioMissing("install parley with the extra `presidio`") from error
    try:
        pipeline = spacy.load(model)
    except Exception as error:
        # A folder that is not there, of another version or not a model: no common class.
        raise PresidioMissing(f"the spaCy model {model!r} cannot be loaded") from error
    if not any("doc.ents" in pipeline.get_pipe_meta(each).assigns for each in pipeline.pipe_names):
        raise PresidioMissing(f"the spaCy model {model!r} finds no names")
    language = pipeline.lang
    # Presidio's own loading would download a model that is not there.
    engine = engines.SpacyNlpEngine(models=[{"lang_code": language, "model_name": model}])
    engine.nlp = {language: pipeline}
    # Only this recognizer: the others look for what has rules of its own.
    recognizer = recognizers.SpacyRecognizer(
        supported_language=language, supported_entities=list(_KINDS)
    )
    analyzer = presidio.AnalyzerEngine(
        registry=presidio.RecognizerRegistry(
            recognizers=[recognizer], supported_languages=[language]
        ),
        nlp_engine=engine,
        supported_languages=[language],
    )
    return PresidioFinder(
        analyzer,
        language=language,
        # New in spaCy 3.8.
        memory_zone=getattr(pipeline, "memory_zone", nullcontext),
    )


def _parts(text: str) -> Iterator[tuple[int, str]]:
    start = 0
    while start < len(text):
        end = _cut(text, start)
        yield start, text[start:end]
        start = end


def _cut(text: str, start: int) -> int:
    end = start + PART_CHARACTERS
    if end >= len(text):
        return len(text)
    for separator in ("\n", " "):
        place = text.rfind(separator, start + PART_CHARACTERS // 2, end)
        if place >= 0:
            return place + 1
    return end
