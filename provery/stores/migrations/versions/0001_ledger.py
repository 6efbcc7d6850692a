"""The ledger: units, attempts, results, submissions, events, circuits."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def _text(name: str) -> "sa.Column[str]":
    return sa.Column(name, sa.Text(), nullable=False)


def _real(name: str, *, nullable: bool = False) -> "sa.Column[float]":
    return sa.Column(name, sa.Double(), nullable=nullable)


def _number(name: str, *, nullable: bool = False) -> "sa.Column[int]":
    return sa.Column(name, sa.Integer(), nullable=nullable)


def upgrade() -> None:
    op.create_table(
        "units",
        sa.Column("id", sa.Text(), primary_key=True),
        *map(_text, ("system", "stream", "key", "params", "params_sha256")),
        sa.Column("ordinal", sa.BigInteger()),
        *map(_text, ("title", "status", "workflow_id", "reason", "error_kind", "stage")),
        _number("generation"),
        _text("plan"),
        _real("created_at"),
        _real("updated_at"),
        sa.CheckConstraint(
            "status IN ('running', 'parked', 'done', 'failed', 'skipped', 'cancelled')", name="units_status"
        ),
    )
    op.create_index("units_newest", "units", ["created_at"])
    op.create_index("units_by_stream", "units", ["system", "stream", "created_at"])

    op.create_table(
        "attempts",
        sa.Column("id", sa.Text(), primary_key=True),
        *map(_text, ("memo_key", "unit_id", "params_sha256", "stage")),
        _number("shard", nullable=True),
        _number("generation"),
        _number("number"),
        *map(_text, ("workflow_id", "run_id", "activity_id", "queue", "worker", "host", "prover", "device")),
        _real("started_at"),
        _real("ended_at", nullable=True),
        *map(_text, ("outcome", "error_kind", "error")),
        _number("exit_code", nullable=True),
        _number("signal", nullable=True),
        _real("cpu_s"),
        sa.Column("peak_rss", sa.BigInteger(), nullable=False),
        _real("cost"),
        _text("note"),
    )
    op.create_index("attempts_by_memo_key", "attempts", ["memo_key"])
    op.create_index("attempts_by_unit", "attempts", ["unit_id", "started_at"])

    op.create_table(
        "stage_results",
        sa.Column("memo_key", sa.Text(), primary_key=True),
        *map(_text, ("unit_id", "params_sha256", "stage")),
        _number("shard", nullable=True),
        _number("generation"),
        *map(_text, ("attempt_id", "outputs", "facts")),
        _number("shards"),
        _real("seconds"),
        *map(_text, ("prover", "host")),
        _real("recorded_at"),
    )
    op.create_index("stage_results_by_unit", "stage_results", ["unit_id", "stage"])

    op.create_table(
        "submissions",
        sa.Column("request_key", sa.Text(), primary_key=True),
        *map(_text, ("unit_id", "destination", "detail")),
        _real("intended_at"),
        sa.Column("receipt", sa.Text()),
        _real("received_at", nullable=True),
        _real("cost"),
    )
    op.create_index("submissions_by_unit", "submissions", ["unit_id"])

    op.create_table(
        "unit_events",
        sa.Column("id", sa.Integer(), primary_key=True),
        _text("unit_id"),
        _real("at"),
        *map(_text, ("event", "detail")),
    )
    op.create_index("unit_events_by_unit", "unit_events", ["unit_id", "id"])

    op.create_table(
        "circuits",
        sa.Column("name", sa.Text(), primary_key=True),
        sa.Column("version", sa.Text(), primary_key=True),
        _text("manifest"),
        _real("added_at"),
    )
    op.create_index("circuits_newest", "circuits", ["name", "added_at"])
