"""How OpenAI's APIs call the ways of choosing among tools."""

from collections.abc import Mapping
from typing import Final

from parley_services.kit.chat.message import ToolChoiceMode

TOOL_CHOICE_WORDS: Final[Mapping[ToolChoiceMode, str]] = {
    ToolChoiceMode.UNSPECIFIED: "auto",
    ToolChoiceMode.AUTO: "auto",
    ToolChoiceMode.NONE: "none",
    ToolChoiceMode.REQUIRED: "required",
}
"""A named tool is an object, other in each API."""
