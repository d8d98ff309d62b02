"""`python -m services.orchestrator` is `parley serve orchestrator`."""

from services.cli.serve import serve

serve(["orchestrator"])
