# Two images. The last stage is the code location, the webserver and the daemon. `--target mlflow` is the MLflow server.
ARG PYTHON_IMAGE=python:3.11.14-slim-bookworm

FROM ${PYTHON_IMAGE} AS build
ENV PIP_NO_CACHE_DIR=1
RUN python -m venv /opt/rag-assets
WORKDIR /source
COPY LICENSE README.md constraints.txt pyproject.toml setup.cfg ./
# Extras of pyproject.toml. Sources and libraries that you do not use may be left out.
ARG EXTRAS=production,confluence,mcp,metrics,mlflow,notion,postgres,s3
# The packages first: a change of the program leaves this layer as it is.
RUN mkdir rag_assets && touch rag_assets/__init__.py \
  && /opt/rag-assets/bin/pip install -c constraints.txt ".[${EXTRAS}]"
COPY rag_assets rag_assets
RUN /opt/rag-assets/bin/pip install --no-deps --force-reinstall . && /opt/rag-assets/bin/pip check

FROM ${PYTHON_IMAGE} AS mlflow-build
ENV PIP_NO_CACHE_DIR=1
RUN python -m venv /opt/mlflow
COPY deployment/mlflow/requirements.txt /source/
RUN /opt/mlflow/bin/pip install -r /source/requirements.txt

FROM ${PYTHON_IMAGE} AS mlflow
RUN groupadd --gid 10001 mlflow \
  && useradd --uid 10001 --gid mlflow --no-create-home --home-dir /var/lib/mlflow --shell /usr/sbin/nologin mlflow \
  && install -d -o mlflow -g mlflow -m 0700 /var/lib/mlflow
COPY --from=mlflow-build /opt/mlflow /opt/mlflow
ENV PATH=/opt/mlflow/bin:$PATH PYTHONDONTWRITEBYTECODE=1
USER 10001:10001
WORKDIR /var/lib/mlflow
EXPOSE 5000

FROM ${PYTHON_IMAGE}
# tesseract reads scans.
RUN apt-get update \
  && apt-get install -y --no-install-recommends tesseract-ocr \
  && rm -rf /var/lib/apt/lists/* \
  && groupadd --gid 10001 rag \
  && useradd --uid 10001 --gid rag --no-create-home --home-dir /var/lib/rag-assets --shell /usr/sbin/nologin rag \
  && install -d -o rag -g rag -m 0700 /var/lib/rag-assets /var/lib/dagster /run/rag-assets
COPY --from=build /opt/rag-assets /opt/rag-assets
COPY deployment/entrypoint.sh /usr/local/bin/rag-assets-entrypoint
COPY deployment/dagster.yaml deployment/workspace.yaml /opt/dagster/
ENV PATH=/opt/rag-assets/bin:$PATH \
  PYTHONDONTWRITEBYTECODE=1 \
  PYTHONUNBUFFERED=1 \
  DAGSTER_HOME=/opt/dagster \
  DAGSTER_LOCAL_FOLDER=/var/lib/dagster \
  RAG_HOME=/run/rag-assets \
  RAG_STATE_DIR=/var/lib/rag-assets/state \
  TIKTOKEN_CACHE_DIR=/var/lib/rag-assets/tiktoken
USER 10001:10001
WORKDIR /var/lib/rag-assets
ENTRYPOINT ["rag-assets-entrypoint"]
CMD ["dagster", "api", "grpc", "--host", "0.0.0.0", "--port", "4000", "--module-name", "rag_assets.definitions"]
