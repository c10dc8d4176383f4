#!/usr/bin/env bash
# Make a knowledge base whose metadata tables and Dagster storage are in PostgreSQL, with the version that is installed, and
# pack it with a dump of the database.
#
#   make_postgres_state.sh CHECKOUT ARCHIVE
#
# CHECKOUT as for make_state.sh. PostgreSQL is on PATH or beside `initdb`, and runs as another user if this is root.
set -euo pipefail
checkout="$(realpath "$1")"
archive="$(realpath -m "$2")"
home=/var/tmp/rag-assets-state
server=/var/tmp/rag-assets-postgres
programs="$(dirname "$(realpath "$(command -v initdb || command -v postgres)")")"
as_user=()
[ "$(id -u)" -ne 0 ] || as_user=(setpriv --reuid nobody --regid nogroup --clear-groups)

rm -rf "$home" "$server"
mkdir -p "$home/documents/hr" "$home/documents/it" "$server"
[ "$(id -u)" -ne 0 ] || chown nobody "$server"
cd "$server"
"${as_user[@]}" "$programs/initdb" -D "$server/data" -U rag -E UTF8 --locale=C --no-sync -A trust > /dev/null
"${as_user[@]}" "$programs/pg_ctl" -D "$server/data" -w -l "$server/log" -o "-p 54329 -h 127.0.0.1 -k $server" start > /dev/null
trap '"${as_user[@]}" "$programs/pg_ctl" -D "$server/data" -m fast stop > /dev/null; rm -rf "$server"' EXIT
psql -q -h 127.0.0.1 -p 54329 -U rag -d postgres -c 'CREATE DATABASE dagster' -c 'CREATE DATABASE rag_metadata'

cd "$home"
umask 077
# Only these: nothing of the configuration of this shell may get into the state.
run() { env -i PATH="$PATH" HOME=/nonexistent LANG=C.UTF-8 DAGSTER_HOME="$home" RAG_HOME="$home" RAG_DOCUMENTS_DIR=documents \
  RAG_STATE_DIR=.rag RAG_BENCHMARK_FILE=benchmark.jsonl RAG_EMBEDDING_MODEL=wordllama RAG_CHUNK_SIZE=128 RAG_CHUNK_OVERLAP=16 \
  RAG_METADATA_URL=postgresql://rag@127.0.0.1:54329/rag_metadata "$@"; }
settle() { find documents -type f -exec touch -d "$1" {} +; } # files of the last two seconds are read twice

cat > dagster.yaml <<'YAML'
storage:
  postgres:
    postgres_db:
      hostname: 127.0.0.1
      port: 54329
      db_name: dagster
      username: rag
      password: unused
      scheme: postgresql+psycopg2
telemetry:
  enabled: false
YAML
from="$checkout/data/documents"
cp "$from"/hr/{hr_handbook.pdf,shift_work_agreement.docx,learning_budget.md,parental_leave_faq.html,sabbatical_policy.txt} documents/hr/
cp "$from"/it/{vpn_setup.html,software_request.txt,laptop_hardware_policy.md} documents/it/
settle 2026-01-01T00:00:00Z
cat > benchmark.jsonl <<'QUESTIONS'
{"query": "how many days of vacation do I get?", "expected_docs": ["hr/hr_handbook.pdf"]}
{"query": "who pays for books and courses?", "expected_docs": ["hr/learning_budget.md"]}
{"query": "how do I take parental leave?", "expected_docs": ["hr/parental_leave_faq.html"]}
{"query": "how do I get a new laptop?", "expected_docs": ["it/laptop_hardware_policy.md", "never_written.md"]}
QUESTIONS

# Two refreshes go live. A person goes back, and forward again. A document is purged.
run rag-assets refresh
echo "The budget does not expire before the end of March." >> documents/hr/learning_budget.md
rm documents/it/vpn_setup.html
settle 2026-01-02T00:00:00Z
run rag-assets refresh
run rag-assets rollback --by ana --reason "wrong budget"
run rag-assets resume --by ana
run rag-assets purge hr/sabbatical_policy.txt --accept --by ana --reason "asked by its author"
# One is stopped by its gate: an incident that is still open.
echo "Laptops are replaced every four years." >> documents/it/laptop_hardware_policy.md
settle 2026-01-03T00:00:00Z
run RAG_EVAL_THRESHOLD=0.99 rag-assets refresh && exit 1

run rag-assets status || true # tells of the gate by its exit code
for database in dagster rag_metadata; do
  pg_dump -h 127.0.0.1 -p 54329 -U rag --no-owner --no-privileges --inserts "$database" | grep -v '^\\' > "$database.sql"
done
tar --create --sparse --sort=name --owner=0 --group=0 --numeric-owner . | xz -9e > "$archive"
ls -l "$archive"
