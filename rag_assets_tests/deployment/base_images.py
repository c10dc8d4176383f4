"""Base images of the stack from Debian packages, under the names in Dockerfile and docker-compose.yml.

    python -m rag_assets_tests.deployment.base_images

For a Docker engine that can pull no image. Needs root, `debootstrap` and Debian's packages. Images that exist are used as they
are. That of Qdrant holds the program named by `QDRANT_TEST_EXECUTABLE`. That of Grafana cannot be made this way.
"""

import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
LABEL = "rag-assets.test"
"""Label of every image that is made here."""
_CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
_INSTALL = (
    "RUN apt-get update && apt-get install -y --no-install-recommends {} && rm -rf /var/lib/apt/lists/*"
)

_PYTHON = f"""
FROM debian:bookworm-slim
{_INSTALL.format("ca-certificates python3 python3-pip python3-venv tzdata")}
COPY ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY pip.conf /etc/pip.conf
RUN ln -s python3 /usr/bin/python
ENV LANG=C.UTF-8
"""
_POSTGRES = f"""
FROM debian:trixie-slim
RUN groupadd --system --gid 999 postgres \\
  && useradd --system --uid 999 --gid postgres --home-dir /var/lib/postgresql postgres \\
  && mkdir /etc/postgresql-common && echo "create_main_cluster = false" > /etc/postgresql-common/createcluster.conf
{_INSTALL.format("postgresql")}
RUN install -d -o postgres -g postgres -m 1777 /var/lib/postgresql/data /docker-entrypoint-initdb.d
COPY postgres-entrypoint /usr/local/bin/
ENV LANG=C.UTF-8 PATH=/usr/lib/postgresql/17/bin:$PATH PGDATA=/var/lib/postgresql/data
VOLUME /var/lib/postgresql/data
ENTRYPOINT ["sh", "/usr/local/bin/postgres-entrypoint"]
CMD ["postgres", "-c", "listen_addresses=*"]
"""
_POSTGRES_ENTRYPOINT = r"""
set -eu
if [ ! -s "$PGDATA/PG_VERSION" ]; then
  umask 077
  printf %s "${POSTGRES_PASSWORD:-$(cat "${POSTGRES_PASSWORD_FILE:-/dev/null}")}" > /tmp/password
  initdb --pgdata "$PGDATA" --username "$POSTGRES_USER" --pwfile /tmp/password --auth-host scram-sha-256 --auth-local trust
  rm /tmp/password
  echo "host all all all scram-sha-256" >> "$PGDATA/pg_hba.conf"
  pg_ctl --pgdata "$PGDATA" --options "-c listen_addresses=''" --wait start
  createdb --username "$POSTGRES_USER" "$POSTGRES_DB"
  for script in /docker-entrypoint-initdb.d/*.sh; do sh "$script"; done
  pg_ctl --pgdata "$PGDATA" --mode fast --wait stop
fi
exec "$@"
"""
_REDIS = f"""
FROM debian:trixie-slim
RUN groupadd --system --gid 999 redis && useradd --system --uid 999 --gid redis redis
{_INSTALL.format("redis-server redis-tools")}
RUN install -d -o redis -g redis /data
VOLUME /data
WORKDIR /data
CMD ["redis-server"]
"""
_PROMETHEUS = f"""
FROM debian:trixie-slim
{_INSTALL.format("prometheus")}
RUN install -d -o nobody -g nogroup /prometheus
VOLUME /prometheus
ENTRYPOINT ["prometheus"]
"""
_ALERTMANAGER = f"""
FROM debian:trixie-slim
{_INSTALL.format("prometheus-alertmanager")}
RUN install -d -o nobody -g nogroup /alertmanager
VOLUME /alertmanager
ENTRYPOINT ["prometheus-alertmanager"]
"""
# Debian has Caddy 2.6. Its `basicauth` was renamed in 2.8.
_CADDY = f"""
FROM debian:trixie-slim
{_INSTALL.format("caddy wget")}
ENV XDG_CONFIG_HOME=/config XDG_DATA_HOME=/data
VOLUME /config /data
CMD ["sh", "-c", "sed s/basic_auth/basicauth/ /etc/caddy/Caddyfile | exec caddy run --config - --adapter caddyfile"]
"""
_QDRANT = f"""
FROM debian:bookworm-slim
{_INSTALL.format("ca-certificates")}
COPY qdrant /qdrant/
RUN install -d -o 1000 -g 1000 /qdrant/storage
WORKDIR /qdrant
CMD ["./qdrant"]
"""
_DOCKERFILES = {
    "python": _PYTHON,
    "postgres": _POSTGRES,
    "redis": _REDIS,
    "prom/prometheus": _PROMETHEUS,
    "prom/alertmanager": _ALERTMANAGER,
    "caddy": _CADDY,
}
_QDRANT_EXECUTABLE = os.environ.get("QDRANT_TEST_EXECUTABLE")
if _QDRANT_EXECUTABLE:
    _DOCKERFILES["qdrant/qdrant"] = _QDRANT


def missing_part() -> str:
    """Return the part that is missing for making images, "" if there is none."""
    if shutil.which("docker") is None or shutil.which("docker-compose") is None:
        return "there is no docker or no docker-compose"
    if subprocess.run(["docker", "info"], capture_output=True, timeout=60).returncode:
        return "no Docker engine answers"
    if all(_exists(name) for name in image_names()):
        return ""
    if shutil.which("debootstrap") is None or os.geteuid():
        return "there are no base images, and no root with debootstrap to make them"
    return ""


def image_names() -> list[str]:
    """Return the names of the images that can be made here, as the project writes them."""
    files = ("Dockerfile", "docker-compose.yml", "deployment/docker-compose.tls.yml")
    text = "".join((ROOT / file).read_text() for file in files)
    names = re.findall(r"(?:PYTHON_IMAGE=|image: )([a-z][\w./-]*:[\w.-]+)$", text, re.MULTILINE)
    return [name for name in names if name.partition(":")[0] in _DOCKERFILES]


def make_base_images() -> None:
    for name in image_names():
        if not _exists(name):
            _make(name, _DOCKERFILES[name.partition(":")[0]])


def _make(name: str, dockerfile: str) -> None:
    base = re.findall(r"FROM (debian:(\w+)-slim)", dockerfile)[0]
    if not _exists(base[0]):
        _import_debian(*base)
    with tempfile.TemporaryDirectory() as folder:
        context = Path(folder)
        (context / "Dockerfile").write_text(dockerfile)
        (context / "postgres-entrypoint").write_text(_POSTGRES_ENTRYPOINT)
        (context / "pip.conf").write_text(_pip_configuration())
        shutil.copy(_CERTIFICATES, context)
        if dockerfile == _QDRANT and _QDRANT_EXECUTABLE:
            shutil.copy(_QDRANT_EXECUTABLE, context / "qdrant")
        _run("docker", "build", "--label", LABEL, "--tag", name, folder)


def _import_debian(image: str, release: str) -> None:
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
        _run("debootstrap", "--variant=minbase", "--include=ca-certificates", release, folder)
        with subprocess.Popen(["tar", "--directory", folder, "--create", "."], stdout=subprocess.PIPE) as tar:
            change = ("--change", f"LABEL {LABEL}=", "--change", 'CMD ["bash"]')
            subprocess.run(
                ["docker", "import", *change, "-", image], stdin=tar.stdout, check=True, timeout=300
            )


def _pip_configuration() -> str:
    """Return how pip of this machine reaches its index. It stays in the images made for tests."""
    names = ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_TRUSTED_HOST", "PIP_DEFAULT_TIMEOUT")
    lines = [
        f"{name[4:].lower().replace('_', '-')} = {os.environ[name]}" for name in names if os.environ.get(name)
    ]
    return "\n".join(["[global]", f"cert = {_CERTIFICATES}", *lines, ""])


def _exists(image: str) -> bool:
    return subprocess.run(["docker", "image", "inspect", image], capture_output=True).returncode == 0


def _run(*command: str) -> None:
    subprocess.run(["nice", *command], check=True, timeout=1800)


if __name__ == "__main__":
    make_base_images()
