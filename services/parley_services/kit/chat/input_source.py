"""Where a text of a turn comes from, which decides the rules that judge it."""

from parley_services.kit.chat.finding import FindingStage
from parley_services.kit.chat.wire_enum import WireEnum


class InputSource(WireEnum):
    """Where an input text comes from."""

    UNSPECIFIED = 0
    USER = 1
    HISTORY_USER = 2
    HISTORY_ASSISTANT = 3
    VARIABLE = 4
    DOCUMENT = 5
    TOOL = 6

    @property
    def stage(self) -> FindingStage:
        """The stage whose rules judge such a text."""
        if self in (InputSource.DOCUMENT, InputSource.TOOL):
            return FindingStage.CONTEXT
        return FindingStage.INPUT
