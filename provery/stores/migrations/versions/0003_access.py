"""Models, API keys, token buckets, the audit trail, webhook calls, idempotency keys."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_APPEND_ONLY = "the audit trail is append-only"


def _text(name: str) -> "sa.Column[str]":
    return sa.Column(name, sa.Text(), nullable=False)


def _key(name: str) -> "sa.Column[str]":
    return sa.Column(name, sa.Text(), primary_key=True)


def _real(name: str, *, nullable: bool = False) -> "sa.Column[float]":
    return sa.Column(name, sa.Double(), nullable=nullable)


def upgrade() -> None:
    op.create_table("models", _key("model"), _text("version"), _real("updated_at"))
    op.create_table(
        "model_versions",
        *map(_key, ("model", "version")),
        *map(_text, ("sha256", "model_hash", "settings", "input_shape", "output_shape", "files", "facts")),
        _real("added_at"),
    )
    op.create_index("model_versions_by_hash", "model_versions", ["model_hash", "added_at"])
    op.create_table(
        "api_keys",
        _key("id"),
        *map(_text, ("name", "secret_sha256", "scopes")),
        *map(_real, ("weight", "per_minute", "created_at")),
        _real("revoked_at", nullable=True),
    )
    op.create_table("buckets", _key("name"), *map(_real, ("tokens", "at", "burst", "full_at")))
    op.create_index("buckets_by_full_at", "buckets", ["full_at"])
    op.create_table(
        "deliveries",
        *(_key("id"), _text("url"), _text("body")),
        sa.Column("attempts", sa.Integer(), nullable=False),
        *map(_real, ("due_at", "leased_until")),
        *map(_text, ("reason", "outcome")),
        _real("owed_at"),
        _real("ended_at", nullable=True),
    )
    op.create_index("deliveries_due", "deliveries", ["outcome", "due_at"])
    op.create_table("idempotency", _key("who"), _key("key"), _text("request"), _real("expires_at"))
    op.create_index("idempotency_by_expiry", "idempotency", ["expires_at"])
    _audit()


def _audit() -> None:
    op.create_table(
        "audit_trail",
        sa.Column("seq", sa.BigInteger(), primary_key=True, autoincrement=False),
        *map(_text, ("entry", "previous", "hash")),
    )
    head = op.create_table(
        "audit_head", _key("name"), sa.Column("seq", sa.BigInteger(), nullable=False), _text("hash")
    )
    op.bulk_insert(head, [{"name": "audit", "seq": 0, "hash": "0" * 64}])
    if op.get_bind().dialect.name == "postgresql":
        _guard_postgres()
    else:
        _guard_sqlite()


def _guard_postgres() -> None:
    op.execute(
        "CREATE FUNCTION provery_append_only() RETURNS trigger LANGUAGE plpgsql AS "
        f"$$ BEGIN RAISE EXCEPTION '{_APPEND_ONLY}' USING ERRCODE = 'integrity_constraint_violation'; END $$"
    )
    refuse = "EXECUTE FUNCTION provery_append_only()"
    op.execute(
        f"CREATE TRIGGER audit_trail_rows BEFORE UPDATE OR DELETE ON audit_trail FOR EACH ROW {refuse}"
    )
    op.execute(
        f"CREATE TRIGGER audit_head_rows BEFORE DELETE ON audit_head FOR EACH ROW {refuse}",
    )
    op.execute(
        "CREATE TRIGGER audit_head_back BEFORE UPDATE ON audit_head FOR EACH ROW "
        f"WHEN (NEW.seq <= OLD.seq OR NEW.name <> OLD.name) {refuse}"
    )
    for table in ("audit_trail", "audit_head"):
        op.execute(f"CREATE TRIGGER {table}_all BEFORE TRUNCATE ON {table} FOR EACH STATEMENT {refuse}")


def _guard_sqlite() -> None:
    refuse = f"BEGIN SELECT RAISE(ABORT, '{_APPEND_ONLY}'); END"
    op.execute(f"CREATE TRIGGER audit_trail_update BEFORE UPDATE ON audit_trail {refuse}")
    op.execute(f"CREATE TRIGGER audit_trail_delete BEFORE DELETE ON audit_trail {refuse}")
    op.execute(f"CREATE TRIGGER audit_head_delete BEFORE DELETE ON audit_head {refuse}")
    op.execute(
        "CREATE TRIGGER audit_head_back BEFORE UPDATE ON audit_head "
        f"WHEN NEW.seq <= OLD.seq OR NEW.name <> OLD.name {refuse}"
    )
