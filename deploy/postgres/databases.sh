#!/bin/sh
# Runs once, when the data directory is empty: a role and a database for each service, and none
# may even connect to the database of another. POSTGRES_PASSWORD_<NAME> is the role's password.
set -eu
for name in tasks content images billing identity; do
    variable=POSTGRES_PASSWORD_$(printf '%s' "$name" | tr '[:lower:]' '[:upper:]')
    password=$(printenv "$variable") || { echo "$variable is not set" >&2; exit 1; }
    psql -v ON_ERROR_STOP=1 --no-psqlrc --quiet --username "${POSTGRES_USER:-postgres}" --dbname postgres \
        -v name="$name" -v password="$password" <<'SQL'
CREATE ROLE :"name" LOGIN PASSWORD :'password';
CREATE DATABASE :"name" OWNER :"name" TEMPLATE template0 ENCODING 'UTF8';
REVOKE ALL ON DATABASE :"name" FROM PUBLIC;
SQL
done
