# Run once, when the database is made: the role of the servers, which may change rows alone.
psql --username "$POSTGRES_USER" --dbname "$POSTGRES_DB" --set ON_ERROR_STOP=1 \
    --set password="$(cat /run/secrets/featom-server/password)" <<'SQL'
CREATE ROLE featom_server LOGIN PASSWORD :'password';
SQL
