"""Takes the code generated from the protos along into the sdist and the wheel, as `parley`."""

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class GeneratedProtos(BuildHookInterface[Any]):
    """In the repository the code is in `protos/gen`, in an sdist beside this file."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if version == "editable":
            return
        here = Path(self.root)
        code = here / "parley"
        if not code.is_dir():
            code = here.parents[1] / "protos" / "gen" / "parley"
        build_data["force_include"][str(code)] = "parley"
