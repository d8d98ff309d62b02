"""Whether a request needs a large model: a score of its text that anybody can follow."""

import math
import re
from typing import Final

from services.model_router.generation import AnswerForm, GenerationRequest

THRESHOLD: Final = 1.0
"""From this score on the large model answers."""

_CODE: Final = re.compile(
    r"```|\b(?:def|class|import|SELECT|function|const|#include)\b|[{};]\s*$", re.MULTILINE
)
_REASONING: Final = re.compile(
    r"\b(?:prove|derive|step[- ]by[- ]step|explain why|compare|analy[sz]e|optimi[sz]e|design"
    r"|trade-?offs?|debug|refactor|algorithm|calculate|equation|theorem|probability|strategy"
    r"|implications?|evaluate|critique)\b",
    re.IGNORECASE,
)
_NUMBERS: Final = re.compile(r"\d+")


def difficulty(request: GenerationRequest) -> float:
    """
    Return how hard *request* is for a model, 0 or more.

    The sum of: a quarter for each doubling of the last message's length beyond 100
    characters; 0.6 for code; 0.5 for each word of reasoning, up to three; 0.1 for each
    number, up to five; 0.5 if tools may be called; 0.3 for a JSON Schema.
    """
    text = request.messages[-1].text
    score = 0.25 * max(0.0, math.log2(max(len(text), 1) / 100))
    score += 0.6 * bool(_CODE.search(text))
    score += 0.5 * min(len(_REASONING.findall(text)), 3)
    score += 0.1 * min(len(_NUMBERS.findall(text)), 5)
    score += 0.5 * bool(request.tools)
    score += 0.3 * (request.form is AnswerForm.JSON_SCHEMA)
    return score


def is_hard(request: GenerationRequest) -> bool:
    """Tell whether *request* should go to the large model."""
    return difficulty(request) >= THRESHOLD
