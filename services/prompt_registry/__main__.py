"""`python -m services.prompt_registry` is `parley serve prompt_registry`."""

from services.cli.serve import serve

serve(["prompt_registry"])
