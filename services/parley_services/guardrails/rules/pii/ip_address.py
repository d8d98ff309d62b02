"""Addresses of the Internet Protocol."""

import ipaddress
from typing import Final

from parley_services.guardrails.patterns.regex import compile_regex
from parley_services.guardrails.rule import Candidate, PatternRule, RuleInfo, Span
from parley_services.guardrails.rules.pii.evidence import found, words_before, words_near
from parley_services.kit.chat.finding import FindingStage, GuardrailAction, Severity


def _is_address(candidate: str) -> Span | None:
    # A fifth number, as in 1.2.3.4.5, makes it a version or a section.
    if candidate.count(".") not in (0, 3):
        return None
    text = candidate.rstrip(":")
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    if address.is_unspecified or (address.version == 6 and not _is_plain_to_see(text)):
        return None
    return 0, len(text)


def _is_plain_to_see(text: str) -> bool:
    """Whether *text*, with colons, can hardly be a scope of a program or an address of hardware."""
    groups = text.split(":")
    if "::" not in text:
        return any(len(each) > 2 for each in groups)
    return len(groups[0]) == 4 and any(each.isdigit() for each in text) and text.count(":") > 2


_near = words_near(
    r"ip|ips|ipv4|ipv6|address|addresses|addr|remote_addr|x-forwarded-for|adresse|dirección|ssh"
    r"|ping|traceroute|whois|nslookup"
)
_before = words_before(r"host|client|peer|visitor|user|login|banned|blocked|attacker|server")
_version = words_near(r"version|versions|v|release|update|upgrade|build|oid|section|chrome|firefox")
_joined = compile_regex(r"[\w:./\-]\z")

_NOBODYS: Final = tuple(
    map(
        ipaddress.ip_network,
        # Masks and broadcasts, and resolvers that everybody may ask.
        ("255.0.0.0/8", "8.8.8.8", "8.8.4.4", "1.1.1.1", "1.0.0.1", "9.9.9.9"),
    )
)
"""What names no one's machine."""


def _in_an_input(candidate: Candidate) -> bool:
    """Take every address that may be somebody's, but no version and no range."""
    address = ipaddress.ip_address(candidate.value)
    if found(_joined, candidate.before) or candidate.after.startswith("/"):
        return False
    if address.is_loopback or any(address in each for each in _NOBODYS):
        return False
    return address.version == 6 or not found(_version, candidate.before)


def _in_an_answer(candidate: Candidate) -> bool:
    """Take what the whole world can reach, where a word near it says that it is an address."""
    if not _in_an_input(candidate):
        return False
    address = ipaddress.ip_address(candidate.value)
    if "::" not in candidate.value and address.version == 6:
        return True
    return (
        address.is_global
        and not address.is_multicast
        and (found(_near, candidate.before) or found(_before, candidate.before))
    )


RULE = PatternRule(
    info=RuleInfo(
        rule_id="pii.ip_address",
        stages=frozenset({FindingStage.INPUT, FindingStage.OUTPUT, FindingStage.CONTEXT}),
        action=GuardrailAction.REDACT,
        severity=Severity.MEDIUM,
        category="pii",
        description="An IPv4 or IPv6 address.",
        source="RFC 791, RFC 4291 section 2.2; Regulation (EU) 2016/679 recital 30",
    ),
    patterns=(
        r"\.?\b\d{1,3}(?:\.\d{1,3}){3,5}\b",
        # Of more groups than an address has, so that a fingerprint is seen whole and refused.
        r"(?:\b[0-9a-f]{1,4}|:):(?:[0-9a-f]{0,4}:){0,40}(?:\d{1,3}(?:\.\d{1,3}){3}|[0-9a-f]{0,4})\b",
    ),
    accept=_is_address,
    evidence={
        FindingStage.INPUT: _in_an_input,
        FindingStage.CONTEXT: _in_an_input,
        FindingStage.OUTPUT: _in_an_answer,
    },
    label="IP",
    same_value=str.casefold,
)
