"""`python -m services.model_router` is `parley serve model_router`."""

from services.cli.serve import serve

serve(["model_router"])
