"""Notices when an answer repeats the system text."""

from collections import deque
from typing import Final

from parley_services.guardrails.rule import RuleInfo
from parley_services.kit.chat.finding import FindingStage, GuardrailAction, Severity

WORDS_IN_A_ROW: Final = 10
"""So many words of the system text in a row stop an answer. Answers repeat a phrase of
their instructions by chance; ten words in a row they do not."""

LEAK = RuleInfo(
    rule_id="leak.system_prompt",
    stages=frozenset({FindingStage.OUTPUT}),
    action=GuardrailAction.BLOCK,
    severity=Severity.MEDIUM,
    category="system_prompt_leak",
    description=f"Repeats {WORDS_IN_A_ROW} words in a row of the system text.",
    source="OWASP LLM07:2025; Zhang et al. 2023, https://arxiv.org/abs/2307.06865 (n-gram match)",
)

_AROUND_WORDS: Final = ".,;:!?\"'()[]{}<>*_`#-"


class LeakWatch:
    """
    Follows an answer word by word.

    It holds nothing back: the answer is stopped after the last of the words, which is
    always found when the white space after it comes, so that the place does not depend on
    how the answer was cut.
    """

    def __init__(self, system_text: str) -> None:
        words = [each for word in system_text.split() if (each := _bare(word))]
        self._runs = {
            tuple(words[start : start + WORDS_IN_A_ROW])
            for start in range(len(words) - WORDS_IN_A_ROW + 1)
        }
        self._last: deque[str] = deque(maxlen=WORDS_IN_A_ROW)
        self._word = ""

    def feed(self, text: str) -> int | None:
        """Return how much of *text* may still count, None if all of it."""
        if not self._runs:
            return None
        begin = 0
        for place, symbol in enumerate(text):
            if symbol.isspace():
                if self._completes(text[begin:place]):
                    return place
                begin = place + 1
        self._word += text[begin:]
        return None

    def end(self) -> bool:
        """Whether the answer's last word completes such words in a row."""
        return self._completes("")

    def _completes(self, rest: str) -> bool:
        word, self._word = _bare(self._word + rest), ""
        if not word:
            return False
        self._last.append(word)
        return tuple(self._last) in self._runs


def _bare(word: str) -> str:
    return word.strip(_AROUND_WORDS).casefold()
