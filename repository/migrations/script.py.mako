"""${message}"""

revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}


def upgrade() -> None:
    from alembic import op

    ${upgrades if upgrades else "pass"}
