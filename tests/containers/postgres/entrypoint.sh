#!/bin/sh
# Makes a cluster on the first start and becomes PostgreSQL.
# Text is ordered as English has it, unlike in the embedded PostgreSQL: no query may depend on it.
set -eu

user=${POSTGRES_USER:-postgres}
database=${POSTGRES_DB:-$user}

if [ ! -s "$PGDATA/PG_VERSION" ]; then
    password_file=$(mktemp)
    printf '%s\n' "${POSTGRES_PASSWORD:?must be set}" > "$password_file"
    initdb --username="$user" --pwfile="$password_file" --encoding=UTF8 --locale=C \
        --locale-provider=icu --icu-locale=en-US \
        --auth-local=trust --auth-host=scram-sha-256 --data-checksums
    rm "$password_file"
    echo 'host all all all scram-sha-256' >> "$PGDATA/pg_hba.conf"
    if [ "$database" != postgres ]; then
        echo "CREATE DATABASE \"$database\";" \
            | postgres --single -D "$PGDATA" -c exit_on_error=on postgres
    fi
fi

exec postgres -D "$PGDATA" -c 'listen_addresses=*' "$@"
