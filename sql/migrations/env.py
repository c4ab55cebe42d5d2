"""What Alembic runs to migrate: online, on the connection that it was given."""

from alembic import context

from sql.tables import METADATA

if hasattr(context, "config"):  # absent where the module is imported outside a migration
    context.configure(
        connection=context.config.attributes["connection"],
        target_metadata=METADATA,
        render_as_batch=True,
    )
    with context.begin_transaction():
        context.run_migrations()
