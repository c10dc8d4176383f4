#!/bin/sh
# Runs once, when the volume is empty: the database of the metadata tables, beside that of Dagster.
set -eu
psql --quiet --set ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname "$POSTGRES_DB" --command 'CREATE DATABASE rag_metadata'
