"""Who asked for which proofs, and where the hashes of proofs lead."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def _text(name: str, *, key: bool = False) -> "sa.Column[str]":
    return sa.Column(name, sa.Text(), primary_key=key, nullable=False)


def upgrade() -> None:
    op.create_table(
        "requests",
        _text("proof", key=True),
        _text("who", key=True),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        _text("model"),
        _text("version"),
    )
    op.create_index("requests_by_who", "requests", ["who", "seq"])
    op.create_index("requests_by_seq", "requests", ["seq"])
    op.create_table(
        "proofs_made",
        _text("proof", key=True),
        *map(_text, ("model_hash", "input_hash", "proof_hash")),
        sa.Column("at", sa.Double(), nullable=False),
    )
    op.create_index("proofs_made_by_proof", "proofs_made", ["proof_hash"])
    op.create_index("proofs_made_by_inputs", "proofs_made", ["input_hash", "model_hash"])
