"""`python -m parley_services.orchestrator` is `parley serve orchestrator`."""

from parley_services.cli.process.serve import serve

serve(["orchestrator"])
