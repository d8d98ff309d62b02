"""Runs commands as their users do, each in a process of its own."""

import asyncio
import os
import sys


async def parley(*arguments, **environment):
    """Run `parley ARGUMENTS` with *environment* on top; return its code and all it printed."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "parley_services.cli.main",
        *map(str, arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env={
            **os.environ,
            # Nothing is there: each service is looked for at its own address.
            "PARLEY_CLI_ADDRESS": "127.0.0.1:1",
            "NO_COLOR": "1",
            "COLUMNS": "200",
            **environment,
        },
    )
    out, _ = await process.communicate()
    return process.returncode, out.decode()
