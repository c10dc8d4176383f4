#!/bin/sh
# Writes the file .env for docker-compose.yml: random passwords, and the profiles. An existing file is left as it is.
#
#     sh deployment/write-env.sh [FILE]
set -eu
umask 077
folder=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
file=${1:-$folder/.env}

password() { # 32 letters and digits
  LC_ALL=C tr -dc 'A-Za-z0-9' < /dev/urandom | head -c 32
}

if [ -e "$file" ] || [ -L "$file" ]; then
  echo "$file exists, nothing was written. Move it away, or name another file: sh $0 FILE, then docker compose --env-file FILE up -d" >&2
  exit 1
fi
new="$file.new.$$"
trap 'rm -f "$new"' EXIT
cat > "$new" << END
# Passwords and profiles of docker-compose.yml. Keep this file: the volumes were made with these passwords.
POSTGRES_PASSWORD=$(password)
REDIS_PASSWORD=$(password)
QDRANT_API_KEY=$(password)
GRAFANA_PASSWORD=$(password)
# Services to start beside the others. Without qdrant the vectors are in the state volume.
COMPOSE_PROFILES=qdrant,mlflow,grafana
END
# A hard link: unlike mv it never replaces a file that came into being in the meantime.
ln "$new" "$file"
echo "wrote $file"
