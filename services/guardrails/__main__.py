"""`python -m services.guardrails` is `parley serve guardrails`."""

from services.cli.serve import serve

serve(["guardrails"])
