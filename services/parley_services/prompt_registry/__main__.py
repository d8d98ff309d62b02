"""`python -m parley_services.prompt_registry` is `parley serve prompt_registry`."""

from parley_services.cli.process.serve import serve

serve(["prompt_registry"])
