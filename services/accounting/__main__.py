"""`python -m services.accounting` is `parley serve accounting`."""

from services.cli.serve import serve

serve(["accounting"])
