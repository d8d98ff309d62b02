"""`python -m services.semantic_cache` is `parley serve semantic_cache`."""

from services.cli.serve import serve

serve(["semantic_cache"])
