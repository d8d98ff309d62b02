"""Python client of Parley."""
