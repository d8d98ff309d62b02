"""Greetings, thanks, fillers and phrases around a question that ask for nothing more."""

import re
from typing import Final

_OPENERS: Final = (
    r"how|what|who|whom|whose|when|where|why|which|can|could|do|does|did|is|are|am|was|were|"
    r"will|would|should|may|must|has|have|had"
)
"""How an English question begins."""

_IMPERATIVES: Final = (
    r"explain|describe|list|give|show|write|tell|help|summarize|summarise|define|compare|suggest|"
    r"recommend|name|provide|teach|find|create|make|generate|draft|outline|translate"
)

_GREETINGS: Final = (
    r"hi|hello|hey|hiya|greetings|good (?:morning|afternoon|evening|day)|"
    r"dear (?:team|sir|madam|sir or madam|all|support|assistant)|excuse me|sorry|"
    r"hallo|guten (?:tag|morgen|abend)|servus|moin|hola|buenas|buenos días|buenas tardes|"
    r"bonjour|bonsoir|salut|ciao|buongiorno|buonasera|olá|oi|bom dia|boa tarde|"
    r"goedemorgen|goedemiddag|goedendag|hej|cześć|dzień dobry|"
    r"привет|здравствуйте|добрый день|مرحبا|السلام عليكم|नमस्ते|halo"
)
_FILLERS: Final = (
    r"um+|uh+|er+m*|hm+|so|well|ok|okay|oh|ah|now|right|listen|actually|basically|"
    r"just wondering|i was (?:just )?wondering|i am (?:just )?wondering|i'm (?:just )?wondering|"
    r"just curious|i am curious|i'm curious|"
    r"(?:just )?(?:a |one )?(?:quick |short |small |simple )?question|"
    r"i (?:just )?have (?:a|one) (?:quick |short |small |simple )?question|"
    r"i need (?:some )?help|i need your help|can you help(?: me)?|could you help(?: me)?|"
    r"please help(?: me)?|help"
)
_ASKING: Final = (
    r"(?:(?:can|could|would|will) you )?(?:please |kindly )?"
    r"(?:tell me|let me know|explain(?: to me)?|help me understand|clarify)|"
    r"(?:i would|i'd|i) (?:just )?(?:like|love|want|need|wish) to (?:know|ask|find out|understand)|"
    r"(?:do you (?:happen to )?know|any idea|do you have any idea|i wonder)"
)
_BREAK: Final = r"\s*(?:[,:;.!?-]+\s*|\s)"

_START: Final = re.compile(
    rf"(?i)^(?:(?:{_GREETINGS})(?: there| everyone| all| team| again)?"
    rf"(?:\s*[,:;.!-]+\s*|\s+(?=(?:{_OPENERS}|please|{_FILLERS}|¿)\b))"
    rf"|(?:{_FILLERS})(?:\s*[,:;.!?-]+\s*|\s+(?=(?:{_OPENERS})\b))"
    rf"|(?:{_FILLERS})[:,]?\s+(?=(?:{_GREETINGS})\b)"
    r"|(?:please|kindly|pls|plz)\b[,:]?\s+(?=\S)"
    r"|(?:bitte|por favor|s'il vous plaît|per favore|alstublieft|пожалуйста)\b[,:]?\s+(?=\S)"
    r"|(?:请问|你好|您好|请|すみません)[，,、。!！\s]*(?=\S)"
    r")"
)
_INDIRECT: Final = re.compile(rf"(?i)^(?:{_ASKING})\b(?:{_BREAK})(?:please )?(?=(?:{_OPENERS})\b)")
_REQUEST: Final = re.compile(
    rf"(?i)^(?:can|could|would|will) you (?:please |kindly )?(?=(?:{_IMPERATIVES})\b)"
)
_END: Final = re.compile(
    r"(?i)(?:(?<=\S)[\s,.!?;:-]+(?:"
    r"please(?: and thank you)?|pls|plz|thanks|thank you|thx|many thanks|"
    r"thanks (?:a lot|so much|very much|in advance|for your help)|"
    r"thank you (?:so much|very much|in advance|for your help)|many thanks in advance|"
    r"bitte|danke|vielen dank|por favor|gracias|muchas gracias|merci|merci beaucoup|"
    r"s'il vous plaît|grazie|per favore|obrigad[oa]|alstublieft|bedankt|спасибо|شكرا"
    r")|[,.!?;:-]\s*(?:cheers|regards|(?:kind|best|warm) regards)"
    r"|[\s，。！？]*(?:谢谢|ありがとうございます|お願いします))[\s.!,;)]*$"
)
_SIGNS: Final = re.compile(r"[\s.?!。？！।؟…،,;；:]+$")
_AROUND: Final = re.compile(r"^[\"']+(?P<inner>[^\"]*?[^\"'])[\"']+(?P<sign>[.?!]*)$")
_EMOJI: Final = re.compile(
    "[\\s\u2600-\u27bf\u2b00-\u2bff\U0001f000-\U0001faff\U0001f1e6-\U0001f1ff]+$"
)
_SMILEY: Final = re.compile(r"\s+[:;]-?[)(DPp]$")
_INVERTED: Final = re.compile(r"^[¿¡\s]+")

_MOST_LAYERS: Final = 6


def unwrapped(text: str) -> tuple[str, bool]:
    """
    Return the question in the cleaned *text*, and whether it was asked indirectly.

    `Hi, could you tell me what the late fee is? Thanks!` is `what the late fee is`, indirectly.
    A text of nothing but such phrases stays as it is.
    """
    indirect = False
    for _ in range(_MOST_LAYERS):
        inner = _without_ends(text)
        if not inner:
            return text, indirect
        shorter = _START.sub("", inner, count=1)
        if shorter == inner:
            shorter = _REQUEST.sub("", inner, count=1)
        if shorter == inner:
            shorter = _INDIRECT.sub("", inner, count=1)
            indirect = indirect or shorter != inner
        if not _SIGNS.sub("", shorter):
            return inner, indirect
        if shorter == text:
            break
        text = shorter
    return text, indirect


def _without_ends(text: str) -> str:
    """Return *text* without signs, emoji, quotes and thanks around it; may be empty."""
    for _ in range(_MOST_LAYERS):
        before = text
        text = _INVERTED.sub("", text)
        text = _EMOJI.sub("", text)
        text = _SMILEY.sub("", text)
        text = _SIGNS.sub("", text)
        quoted = _AROUND.match(text)
        if quoted is not None:
            text = quoted["inner"]
        shorter = _END.sub("", text)
        text = shorter or text
        if text == before:
            break
    return text
