#!/bin/sh
# Create Temporal's two databases and bring their schemas up to date. Safe to run again.
set -eu

tool() {
    temporal-sql-tool --plugin postgres12 --ep "$SQL_HOST" --port 5432 --user "$SQL_USER" --db "$@"
}

for part in temporal:temporal temporal_visibility:visibility; do
    database=${part%%:*}
    schema=/etc/temporal/schema/postgresql/v12/${part#*:}/versioned
    tool "$database" create
    # Only a new database lacks version 0.0; an existing one keeps its version.
    tool "$database" setup-schema -v 0.0 || echo "$database: has a schema already"
    tool "$database" update-schema -d "$schema"
done
