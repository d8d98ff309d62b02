"""
Python client of Parley.

    async with Parley("localhost:50050", api_key=key) as parley:
        async with parley.chat("How do I reset my password?") as stream:
            async for piece in stream.text():
                print(piece, end="")
        print(stream.completed.cost_nano_usd)
"""

from parley_client.client import Parley
from parley_client.errors import ParleyError
from parley_client.stream import ChatStream

__all__ = ["ChatStream", "Parley", "ParleyError"]
