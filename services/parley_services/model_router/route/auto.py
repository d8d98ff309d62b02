"""Whether a request needs a large model: a score of its text, learnt from recorded answers."""

import base64
import math
import sys
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import orjson

from parley_services.kit.chat.message import ResponseFormatType, Role
from parley_services.model_router.generation import GenerationRequest
from parley_services.model_router.route.auto_features import grams, reasoning_word_count, surface

WEIGHTS_PATH: Final = Path(__file__).parent / "weights" / "auto.json"

THRESHOLD: Final = 0.11
"""From this score on the large model answers. About a quarter of the questions that the
weights were learnt from are above it: beyond that the large model gains next to nothing
over a random choice of as many questions."""

REASONING_WORD: Final = 0.03
MAX_REASONING_WORDS: Final = 3
TOOLS: Final = 0.1
SCHEMA: Final = 0.05
"""What is added for what the recorded questions do not have, by judgement: words that ask
for reasoning, tools that may be called, a JSON Schema to be kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AutoScore:
    """
    Says by how much a large model's answer is likely to be better than a small one's.

    A linear model (ridge regression) over the words and pairs of words and the form of the
    last message of the user. Takes about 0.1 ms for a message of 200 words.
    """

    base: float
    surface_weights: Sequence[float]
    gram_weights: Sequence[int]
    """In units of `gram_unit`."""
    gram_unit: float

    @classmethod
    def load(cls, path: Path = WEIGHTS_PATH) -> "AutoScore":
        """Read the weights of the package."""
        document = orjson.loads(path.read_bytes())
        weights = array("h", base64.b64decode(document["grams"]))
        if sys.byteorder == "big":
            weights.byteswap()
        return cls(
            base=document["base"],
            surface_weights=tuple(document["surface"].values()),
            gram_weights=weights,
            gram_unit=document["unit"],
        )

    def of(self, request: GenerationRequest) -> float:
        """
        Return the score of *request*: 0 is no better, 1 is right instead of wrong.

        To what the model predicts are added 0.03 for each word of reasoning, up to three;
        0.1 if tools may be called; 0.05 for a JSON Schema.
        """
        asked = (each.text for each in reversed(request.messages) if each.role is Role.USER)
        text = next(asked, request.messages[-1].text)
        score = self.of_text(text)
        score += REASONING_WORD * min(reasoning_word_count(text), MAX_REASONING_WORDS)
        score += TOOLS * bool(request.tools)
        score += SCHEMA * (request.response_format.type is ResponseFormatType.JSON_SCHEMA)
        return score

    def of_text(self, text: str) -> float:
        """Return what the model predicts for *text* alone."""
        score = self.base
        for weight, value in zip(self.surface_weights, surface(text), strict=True):
            score += weight * value
        if found := grams(text):
            weights = self.gram_weights
            total = sum(weights[each] for each in found)
            score += total * self.gram_unit / math.sqrt(len(found))
        return score
