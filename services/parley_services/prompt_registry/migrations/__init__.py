"""Alembic revisions of the prompt registry's tables, oldest first."""
