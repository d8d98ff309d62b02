r"""
Characters that came as halves of a surrogate pair.

Servers in JavaScript cut texts by UTF-16 units, so that "\ud83d" may end one frame and
"\ude00" begin the next.
"""


def mend_surrogates(text: str) -> str:
    """Return *text* with halves joined to characters, and one that is alone replaced."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def split_half(text: str) -> tuple[str, str]:
    """Return *text* without the first half of a character at its end, and that half."""
    if text and "\ud800" <= text[-1] <= "\udbff":
        return text[:-1], text[-1]
    return text, ""
