"""The rules that come with Parley. A file's `RULE` is a rule that looks for patterns."""

from parley_services.guardrails.answer_length import LENGTH
from parley_services.guardrails.leakage import LEAK
from parley_services.guardrails.rule import PatternRule, Rule, RuleInfo
from parley_services.guardrails.rules import (
    banned_output_code_execution,
    banned_output_destructive_shell,
    banned_output_destructive_sql,
    injection_fake_turn,
    injection_ignore_previous,
    injection_jailbreak,
    injection_prompt_extraction,
    injection_role_override,
    injection_special_mode,
    pii_date_of_birth,
    pii_email,
    pii_iban,
    pii_ip_address,
    pii_national_id,
    pii_passport,
    pii_payment_card,
    pii_phone,
    pii_us_ssn,
    restore_placeholder,
    secret_api_key,
)
from parley_services.guardrails.rules.classified import CLASSIFIER_RULES

PATTERN_RULES: tuple[PatternRule, ...] = (
    banned_output_code_execution.RULE,
    banned_output_destructive_shell.RULE,
    banned_output_destructive_sql.RULE,
    injection_fake_turn.RULE,
    injection_ignore_previous.RULE,
    injection_jailbreak.RULE,
    injection_prompt_extraction.RULE,
    injection_role_override.RULE,
    injection_special_mode.RULE,
    pii_date_of_birth.RULE,
    pii_email.RULE,
    pii_iban.RULE,
    pii_ip_address.RULE,
    pii_national_id.RULE,
    pii_passport.RULE,
    pii_payment_card.RULE,
    pii_phone.RULE,
    pii_us_ssn.RULE,
    restore_placeholder.RULE,
    secret_api_key.RULE,
)
"""Those that look for patterns, sorted by id."""

ALL_RULES: tuple[Rule, ...] = (*PATTERN_RULES, *CLASSIFIER_RULES)
"""All of them."""

SCAN_RULES: tuple[RuleInfo, ...] = (LEAK, LENGTH)
"""What the scan of an answer looks for by itself, with no pattern and no classifier."""
