#!/usr/bin/env bash
# Make the state of a knowledge base with the version that is installed, and pack it.
#
#   make_state.sh CHECKOUT ARCHIVE
#
# CHECKOUT is the repository at the version in question, installed in the active environment. Checkout and environment
# should lie in neutral folders such as /var/tmp/rag-assets-code: Dagster records their paths.
set -euo pipefail
checkout="$(realpath "$1")"
archive="$(realpath -m "$2")"
home=/var/tmp/rag-assets-state
python="$(command -v python)"

rm -rf "$home"
mkdir -p "$home/documents/hr" "$home/documents/it" "$home/documents/sales"
cd "$home"
umask 077
# Only these: nothing of the configuration of this shell may get into the state.
run() { env -i PATH="$PATH" HOME=/nonexistent LANG=C.UTF-8 DAGSTER_HOME="$home" RAG_DOCUMENTS_DIR=documents \
  RAG_BENCHMARK_FILE=benchmark.jsonl RAG_EMBEDDING_MODEL=wordllama RAG_CHUNK_SIZE=128 RAG_CHUNK_OVERLAP=16 "$@"; }
refresh() { run "$@" dagster job execute -m rag_assets.definitions -j refresh; }
settle() { find documents -type f -exec touch -d "$1" {} +; } # files of the last two seconds are read twice

cp "$checkout/dagster.yaml" .
from="$checkout/data/documents"
cp "$from"/hr/{hr_handbook.pdf,shift_work_agreement.docx,learning_budget.md,parental_leave_faq.html,sabbatical_policy.txt} documents/hr/
cp "$from"/it/{vpn_setup.html,software_request.txt,laptop_hardware_policy.md} documents/it/
cp "$from"/sales/{price_list_2026.csv,larkspur_lk3_product_sheet.pdf} documents/sales/
cp "$from"/engineering/cloud_account_defaults.json "$from"/support/known_issues.jsonl documents/
head -c 700 "$from/legal/data_retention_schedule.pdf" > documents/torn.pdf
settle 2026-01-01T00:00:00Z
cat > benchmark.jsonl <<'QUESTIONS'
{"query": "how many days of vacation do I get?", "expected_docs": ["hr/hr_handbook.pdf"]}
{"query": "who pays for books and courses?", "expected_docs": ["hr/learning_budget.md"]}
{"query": "how do I take parental leave?", "expected_docs": ["hr/parental_leave_faq.html"]}
{"query": "how do I get a new laptop?", "expected_docs": ["it/laptop_hardware_policy.md"]}
{"query": "what does the Larkspur LK3 cost?", "expected_docs": ["sales/price_list_2026.csv", "never_written.md"]}
QUESTIONS

# Two refreshes go live, so that a rollback is possible; the second meets an edited, a deleted, a moved, a copied and a
# damaged document.
refresh
sed -i 's/EUR/Swiss francs/g; $aThe budget does not expire before the end of March.' documents/hr/learning_budget.md
rm documents/it/vpn_setup.html
mv documents/it/software_request.txt documents/it/software.txt
cp documents/hr/sabbatical_policy.txt documents/sales/sabbatical_policy.txt
head -c 700 "$from/sales/larkspur_lk3_product_sheet.pdf" > documents/sales/larkspur_lk3_product_sheet.pdf
settle 2026-01-02T00:00:00Z
refresh

# One fails at `embeddings`, as if the weights of the model could not be loaded.
echo "Laptops are replaced every four years." >> documents/it/laptop_hardware_policy.md
settle 2026-01-03T00:00:00Z
cat > /var/tmp/rag-assets-no-embedder.py <<'PROGRAM'
import sys

import rag_assets.assets  # noqa: F401
from dagster._cli import main
from rag_assets.errors import EmbedderUnavailable


def fail(*_):
    raise EmbedderUnavailable("the weights of wordllama cannot be read")


sys.modules["rag_assets.assets.embeddings"].embed_texts = fail
main()
PROGRAM
run "$python" /var/tmp/rag-assets-no-embedder.py job execute -m rag_assets.definitions -j refresh && exit 1
rm /var/tmp/rag-assets-no-embedder.py

# The last is stopped by its gate. Its candidate stays, to be judged again.
refresh RAG_EVAL_THRESHOLD=0.99 RAG_KEEP_FAILED_CANDIDATE=true && exit 1

run rag-assets status
tar --create --sparse --sort=name --owner=0 --group=0 --numeric-owner . | xz -9e > "$archive"
ls -l "$archive"
