"""The services that the router calls."""
