"""`python -m parley_services.semantic_cache` is `parley serve semantic_cache`."""

from parley_services.cli.process.serve import serve

serve(["semantic_cache"])
