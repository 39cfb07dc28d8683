"""The records store's schema, step by step (Alembic)."""
