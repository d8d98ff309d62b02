"""What a model wrote in one attempt, and how many tokens that is."""

from collections.abc import Sequence

from parley_services.kit.models.tokens import count_tokens
from parley_services.model_router.providers.provider import (
    ProviderEvent,
    ReasoningDelta,
    TextDelta,
    ToolCallDone,
)


class WrittenText:
    """
    Text, reasoning and arguments of tools of one attempt, counted by its model's tokenizer.

    Each piece is counted once, however often the count is asked for. Where pieces meet, a word
    may count twice, so the count errs on the larger side, by one token a time that it is
    asked for.
    """

    def __init__(self, model: str) -> None:
        """Count as *model*, by the provider's name."""
        self._model = model
        self._pieces: list[str] = []
        self._token_count = 0
        self._reasoning_pieces: list[str] = []
        self._reasoning_token_count = 0
        self.character_count = 0

    def add(self, events: Sequence[ProviderEvent]) -> None:
        """Add what *events* carry."""
        for event in events:
            match event:
                case TextDelta(text=text):
                    self._add(text)
                case ReasoningDelta(text=text):
                    self._add(text)
                    self._reasoning_pieces.append(text)
                case ToolCallDone(call=call):
                    self._add(call.name)
                    self._add(call.arguments_json)
                case _:
                    pass

    def token_count(self, unfinished: str = "") -> int:
        """Return the tokens of all that was written, and of *unfinished*, which is still open."""
        if self._pieces:
            self._token_count += count_tokens("".join(self._pieces), self._model)
            self._pieces.clear()
        return self._token_count + (count_tokens(unfinished, self._model) if unfinished else 0)

    def reasoning_token_count(self) -> int:
        """Return the tokens of the reasoning among it."""
        if self._reasoning_pieces:
            reasoning = "".join(self._reasoning_pieces)
            self._reasoning_token_count += count_tokens(reasoning, self._model)
            self._reasoning_pieces.clear()
        return self._reasoning_token_count

    def _add(self, text: str) -> None:
        self._pieces.append(text)
        self.character_count += len(text)
