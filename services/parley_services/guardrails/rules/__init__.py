"""The rules that come with Parley. A file's `RULE` is a rule that looks for patterns."""

from parley_services.guardrails.rule import PatternRule, Rule, RuleInfo
from parley_services.guardrails.rules import restore_placeholder
from parley_services.guardrails.rules.banned_output import (
    code_execution,
    destructive_shell,
    destructive_sql,
)
from parley_services.guardrails.rules.classified import CLASSIFIER_RULES
from parley_services.guardrails.rules.injection import (
    fake_turn,
    ignore_previous,
    jailbreak,
    prompt_extraction,
    role_override,
    special_mode,
)
from parley_services.guardrails.rules.pii import (
    date_of_birth,
    email,
    iban,
    ip_address,
    national_id,
    passport,
    payment_card,
    phone,
    us_ssn,
)
from parley_services.guardrails.rules.secret import api_key
from parley_services.guardrails.streams.answer_length import LENGTH
from parley_services.guardrails.streams.leakage import LEAK

PATTERN_RULES: tuple[PatternRule, ...] = (
    code_execution.RULE,
    destructive_shell.RULE,
    destructive_sql.RULE,
    fake_turn.RULE,
    ignore_previous.RULE,
    jailbreak.RULE,
    prompt_extraction.RULE,
    role_override.RULE,
    special_mode.RULE,
    date_of_birth.RULE,
    email.RULE,
    iban.RULE,
    ip_address.RULE,
    national_id.RULE,
    passport.RULE,
    payment_card.RULE,
    phone.RULE,
    us_ssn.RULE,
    restore_placeholder.RULE,
    api_key.RULE,
)
"""Those that look for patterns, sorted by id."""

ALL_RULES: tuple[Rule, ...] = (*PATTERN_RULES, *CLASSIFIER_RULES)
"""All of them."""

SCAN_RULES: tuple[RuleInfo, ...] = (LEAK, LENGTH)
"""What the scan of an answer looks for by itself, with no pattern and no classifier."""
