"""The services that the cache calls."""
