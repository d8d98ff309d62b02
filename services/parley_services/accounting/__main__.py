"""`python -m parley_services.accounting` is `parley serve accounting`."""

from parley_services.cli.process.serve import serve

serve(["accounting"])
