"""`python -m parley_services.model_router` is `parley serve model_router`."""

from parley_services.cli.process.serve import serve

serve(["model_router"])
