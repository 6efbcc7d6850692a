"""How Alembic runs a migration: on the connection, and in the transaction, that ``provery.stores.schema`` hands it."""

from alembic import context

from provery.stores.tables import LedgerModel

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=LedgerModel.metadata,
    version_table=context.config.attributes["version_table"],
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()
