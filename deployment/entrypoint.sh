#!/bin/sh
# First process of each container of the image. Writes the addresses of services behind profiles into $RAG_HOME/.env, where
# `docker compose exec` finds them too: PROFILE_QDRANT holds the lines for the profile `qdrant`, PROFILE_MLFLOW those for `mlflow`.
# With a profile left out of COMPOSE_PROFILES its lines are left out, and the knowledge base works without the service.
set -eu

active() { # whether a profile is among COMPOSE_PROFILES
  case ",$(printf %s "${COMPOSE_PROFILES-}" | tr -d '[:space:]')," in
    *",$1,"* | *",*,"*) return 0 ;;
  esac
  return 1
}

if [ -n "${RAG_HOME-}" ] && [ -d "$RAG_HOME" ]; then
  umask 077
  lines=""
  if active qdrant; then
    if [ -n "${QDRANT_URL-}" ]; then
      echo "QDRANT_URL is set, and the profile qdrant is active: remove one of them. The vectors have one place only." >&2
      exit 64
    fi
    lines="${PROFILE_QDRANT-}"
  fi
  # An own server, in the settings, is used in place of the service.
  if active mlflow && [ -z "${MLFLOW_TRACKING_URI-}${MLFLOW_TRACKING_URI_FILE-}" ]; then
    lines="$lines
${PROFILE_MLFLOW-}${RAG_MLFLOW_URL:+
RAG_MLFLOW_URL='$RAG_MLFLOW_URL'}"
  fi
  printf '%s\n' "$lines" > "$RAG_HOME/.env.new"
  mv "$RAG_HOME/.env.new" "$RAG_HOME/.env"
  if [ -n "${PROFILE_QDRANT-}" ]; then
    if active qdrant; then place="Qdrant, by the profile qdrant"; else place="${QDRANT_URL:+QDRANT_URL}"; fi
    echo "vectors: ${place:-the state folder}" >&2
  fi
fi
exec "$@"
