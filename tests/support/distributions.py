"""Builds the two distributions and installs one as a user would, without a network."""

import re
import subprocess
import sys
import venv
import zipfile
from importlib import metadata
from pathlib import Path

ROOT = Path(__file__).parents[2]
PROJECTS = {"parley_suite": ROOT, "parley_client": ROOT / "clients" / "python"}


def build_wheel(distribution, folder):
    """Build the wheel of *distribution* into *folder*; return its path."""
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)],
        cwd=PROJECTS[distribution],
        check=True,
        capture_output=True,
    )
    (wheel,) = folder.glob(f"{distribution}-*.whl")
    return wheel


def top_level_names(wheel):
    """Return what *wheel* puts into a site, but for the folder about itself."""
    with zipfile.ZipFile(wheel) as archive:
        names = {name.split("/")[0] for name in archive.namelist()}
    return {name for name in names if not name.endswith(".dist-info")}


def requirements(wheel):
    """Return the distributions that *wheel* asks for, without extras and versions."""
    with zipfile.ZipFile(wheel) as archive:
        (path,) = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        fields = archive.read(path).decode()
    found = re.findall(r"^Requires-Dist: ([A-Za-z0-9_.-]+)(.*)$", fields, re.MULTILINE)
    return {name for name, rest in found if "extra ==" not in rest}


def fresh_environment(folder, wheel):
    """
    Make an environment with *wheel*, what it asks for, and nothing else; return its Python.

    What it asks for is linked from this environment, so no index is asked.
    """
    venv.create(folder, symlinks=True, with_pip=False)
    (site,) = folder.glob("lib/python*/site-packages")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    for name in _closure(requirements(wheel)):
        _link(metadata.distribution(name), site)
    return folder / "bin" / "python"


def _closure(names):
    """Return *names* and all that they ask for, in turn."""
    found, open_names = set(), list(names)
    while open_names:
        name = open_names.pop()
        if name in found:
            continue
        found.add(name)
        for each in metadata.distribution(name).requires or ():
            if "extra ==" not in each:
                open_names.append(re.match(r"[A-Za-z0-9_.-]+", each)[0])
    return found


def _link(distribution, site):
    """Link each file, since several distributions share a folder, as `google`."""
    for file in distribution.files or ():
        target = site / file
        if ".." in file.parts or target.exists() or target.suffix == ".pyc":
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        target.symlink_to(distribution.locate_file(file))
