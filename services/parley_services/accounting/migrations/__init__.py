"""Alembic revisions of accounting's tables, oldest first."""
