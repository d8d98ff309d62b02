"""The script of the simulated provider."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import yaml

from parley_services.kit.chat.message import Role, Tool, ToolChoiceMode
from parley_services.model_router.generation import GenerationRequest

SCRIPT_PATH: Final = Path(__file__).parent / "answers.yaml"

_WORD: Final = re.compile(r"[a-z0-9]+")
_QUOTED_WORDS: Final = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One answer and the words that call for it."""

    words: tuple[frozenset[str], ...]
    """One of each set must be in the question."""
    text: str

    def fits(self, question: frozenset[str]) -> bool:
        """Return whether the question has all the words."""
        return all(not choice.isdisjoint(question) for choice in self.words)


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """Answers to common questions, and a sensible one to all others."""

    entries: tuple[Entry, ...]
    """Those with the most words first."""
    otherwise: str

    @classmethod
    def load(cls, path: Path = SCRIPT_PATH) -> "Script":
        """Read the script of the package."""
        document = yaml.safe_load(path.read_text())
        entries = [
            Entry(
                words=tuple(frozenset(choice.split("|")) for choice in each["words"]),
                text=each["text"],
            )
            for each in document["answers"]
        ]
        entries.sort(key=lambda entry: -len(entry.words))
        return cls(entries=tuple(entries), otherwise=document["otherwise"])

    def answer(self, request: GenerationRequest) -> str:
        """Return the answer to the last message."""
        last = request.messages[-1]
        if last.role is Role.TOOL:
            return f"The tool answered: {last.text}"
        words = frozenset(_WORD.findall(last.text.lower()))
        for entry in self.entries:
            if entry.fits(words):
                return entry.text
        return self.otherwise.replace("{question}", _shortened(last.text))


def tool_to_call(request: GenerationRequest) -> Tool | None:
    """Return the tool that a model would call: the one asked for, or one the text is about."""
    if not request.tools or request.tool_choice.mode is ToolChoiceMode.NONE:
        return None
    if request.tool_choice.mode is ToolChoiceMode.NAMED:
        named = (tool for tool in request.tools if tool.name == request.tool_choice.tool_name)
        return next(named, None)
    last = request.messages[-1]
    if last.role is Role.TOOL:
        return None
    words = set(_WORD.findall(last.text.lower()))
    for tool in request.tools:
        if words & {word for word in _WORD.findall(tool.name.lower()) if len(word) > 3}:
            return tool
    return request.tools[0] if request.tool_choice.mode is ToolChoiceMode.REQUIRED else None


def _shortened(text: str) -> str:
    words = text.split()
    short = " ".join(words[:_QUOTED_WORDS])
    return f"{short} ..." if len(words) > _QUOTED_WORDS else short
