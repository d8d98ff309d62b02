"""`python -m parley_services.guardrails` is `parley serve guardrails`."""

from parley_services.cli.process.serve import serve

serve(["guardrails"])
