"""README names every method that is not implemented, and no other."""

import importlib
import re
from pathlib import Path

from tests.support.processes import SERVICES

README = (Path(__file__).parents[2] / "README.md").read_text()


def declared_and_implemented():
    for service in SERVICES:
        name = f"{service.title().replace('_', '')}Service"
        stubs = importlib.import_module(f"parley.{service}.v1.{service}_service_pb2_grpc")
        base = getattr(stubs, f"{name}Servicer")
        module = importlib.import_module(f"parley_services.{service}.servicer")
        (servicer,) = (
            value
            for value in vars(module).values()
            if isinstance(value, type) and issubclass(value, base) and value is not base
        )
        for method, default in vars(base).items():
            if callable(default) and not method.startswith("_"):
                yield method, getattr(servicer, method) is not default


def test_readme_lists_what_is_not_implemented():
    missing = {method for method, is_there in declared_and_implemented() if not is_there}
    (line,) = re.findall(r"^Methods that answer UNIMPLEMENTED.*$", README, re.MULTILINE)
    assert set(re.findall(r"`(\w+)`", line)) == missing
