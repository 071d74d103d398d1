"""The migrations of the catalog's schema (Alembic). Ships as `orchestrator.migrations`."""
