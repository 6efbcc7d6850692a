"""Lanes: accounts, submissions, signed transactions."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def _text(name: str) -> "sa.Column[str]":
    return sa.Column(name, sa.Text(), nullable=False)


def _real(name: str, *, nullable: bool = False) -> "sa.Column[float]":
    return sa.Column(name, sa.Double(), nullable=nullable)


def _large(name: str, *, nullable: bool = False) -> "sa.Column[int]":
    return sa.Column(name, sa.BigInteger(), nullable=nullable)


def upgrade() -> None:
    op.create_table(
        "lanes",
        sa.Column("id", sa.Text(), primary_key=True),
        _large("chain_id"),
        *map(_text, ("sender", "holder")),
        sa.Column("paused", sa.Boolean(), nullable=False),
        *map(_text, ("reason", "max_fee")),
        _real("updated_at"),
    )
    op.create_table(
        "lane_submissions",
        sa.Column("request_key", sa.Text(), primary_key=True),
        *map(_text, ("lane", "unit_id", "system", "stream", "key")),
        _large("ordinal", nullable=True),
        *map(_text, ("call", "entered_by")),
        _real("entered_at"),
        *map(_text, ("phase", "waits_for", "reason", "want", "max_fee")),
        _large("nonce", nullable=True),
        sa.Column("tries", sa.Integer(), nullable=False),
        _real("settled_at", nullable=True),
        sa.Column("told", sa.Boolean(), nullable=False),
    )
    op.create_index("lane_submissions_by_lane", "lane_submissions", ["lane", "phase", "entered_at"])
    op.create_index("lane_submissions_by_unit", "lane_submissions", ["unit_id"])
    op.create_index("lane_submissions_by_stream", "lane_submissions", ["system", "stream"])
    op.create_table(
        "lane_transactions",
        sa.Column("hash", sa.Text(), primary_key=True),
        *map(_text, ("request_key", "lane")),
        _large("nonce"),
        *map(_text, ("kind", "raw")),
        _large("gas"),
        *map(_text, ("max_fee", "max_priority_fee")),
        _real("signed_at"),
        _real("sent_at", nullable=True),
        _text("fate"),
        _large("block", nullable=True),
        _text("block_hash"),
        _large("gas_used", nullable=True),
        _text("gas_price"),
    )
    op.create_index("lane_transactions_by_submission", "lane_transactions", ["request_key", "signed_at"])
