"""The adapter with modules that are made by hand; neither Presidio nor spaCy is needed."""

from contextlib import contextmanager
from types import SimpleNamespace

import pytest
from parley_services.guardrails.names.entity import Entity, EntityKind
from parley_services.guardrails.names.presidio_finder import (
    PART_CHARACTERS,
    PresidioFinder,
    PresidioMissing,
    open_presidio_finder,
)


class Analyzer:
    """Finds the word Anna, as Presidio says it."""

    def __init__(self, **made_with):
        self.made_with = made_with
        self.calls = []

    def analyze(self, text, language, entities):
        self.calls.append((text, language, entities))
        start = text.find("Anna")
        if start < 0:
            return []
        return [SimpleNamespace(entity_type="PERSON", start=start, end=start + 4, score=0.85)]


class Pipeline:
    """A spaCy pipeline in German with one component that assigns *assigns*."""

    lang = "de"
    pipe_names = ("component",)

    def __init__(self, assigns, zones):
        self._assigns = assigns
        self._zones = zones

    def get_pipe_meta(self, name):
        return SimpleNamespace(assigns=self._assigns)

    @contextmanager
    def memory_zone(self):
        self._zones.append("entered")
        yield
        self._zones.append("left")


class Modules:
    """Imports what is used of Presidio and spaCy, all but *missing*."""

    def __init__(self, *, missing="", assigns=("doc.ents",), error=None):
        self._missing = missing
        self._error = error
        self.zones = []
        self.pipeline = Pipeline(assigns, self.zones)
        self._modules = {
            "presidio_analyzer": SimpleNamespace(
                AnalyzerEngine=self._analyzer, RecognizerRegistry=SimpleNamespace
            ),
            "presidio_analyzer.nlp_engine": SimpleNamespace(SpacyNlpEngine=SimpleNamespace),
            "presidio_analyzer.predefined_recognizers": SimpleNamespace(
                SpacyRecognizer=SimpleNamespace
            ),
            "spacy": SimpleNamespace(load=self._load),
        }

    def __call__(self, name):
        if name == self._missing:
            raise ModuleNotFoundError(name)
        return self._modules[name]

    def _load(self, model):
        if self._error is not None:
            raise self._error
        return self.pipeline

    def _analyzer(self, **made_with):
        self.analyzer = Analyzer(**made_with)
        return self.analyzer


def anna(start):
    return Entity(kind=EntityKind.PERSON, start=start, end=start + 4, score=0.85)


def test_what_presidio_finds_comes_as_entities_in_the_models_language():
    modules = Modules()
    finder = open_presidio_finder("/models/de", load_module=modules)
    assert finder.find("Frau Anna") == [anna(5)]
    assert modules.analyzer.calls == [("Frau Anna", "de", ["PERSON", "LOCATION"])]
    assert modules.zones == ["entered", "left"]


def test_the_engine_has_the_loaded_model_and_no_other_recognizer():
    modules = Modules()
    open_presidio_finder("/models/de", load_module=modules)
    made_with = modules.analyzer.made_with
    assert made_with["nlp_engine"].nlp == {"de": modules.pipeline}
    assert made_with["supported_languages"] == ["de"]
    (recognizer,) = made_with["registry"].recognizers
    assert recognizer.supported_entities == ["PERSON", "LOCATION"]


@pytest.mark.parametrize("missing", ["presidio_analyzer", "spacy"])
def test_a_missing_extra_is_named(missing):
    with pytest.raises(PresidioMissing, match="extra `presidio`"):
        open_presidio_finder("de", load_module=Modules(missing=missing))


@pytest.mark.parametrize(
    ("modules", "reason"),
    [
        (Modules(error=OSError("E050")), "'de' cannot be loaded"),
        (Modules(assigns=("token.tag",)), "'de' finds no names"),
    ],
)
def test_a_model_that_is_of_no_use_is_named(modules, reason):
    with pytest.raises(PresidioMissing, match=reason):
        open_presidio_finder("de", load_module=modules)


@pytest.mark.parametrize("separator", ["\n", " ", "-"])
def test_a_long_text_is_read_in_parts(separator):
    analyzer = Analyzer()
    text = ("x" * 99 + separator) * (PART_CHARACTERS // 50) + "Anna"
    finder = PresidioFinder(analyzer, language="en")
    assert finder.find(text) == [anna(len(text) - 4)]
    parts = [part for part, _, _ in analyzer.calls]
    assert "".join(parts) == text
    assert max(map(len, parts)) <= PART_CHARACTERS
    assert len(parts) == 3


def test_a_part_ends_at_the_end_of_a_line_before_it_ends_between_words():
    analyzer = Analyzer()
    text = "x" * (PART_CHARACTERS - 20) + "\nAnna " + "y" * PART_CHARACTERS
    PresidioFinder(analyzer, language="en").find(text)
    assert analyzer.calls[1][0].startswith("Anna ")


def test_an_error_of_the_model_comes_out():
    class Failing:
        def analyze(self, text, language, entities):
            raise ValueError("E088")

    with pytest.raises(ValueError, match="E088"):
        PresidioFinder(Failing(), language="en").find("Anna")
