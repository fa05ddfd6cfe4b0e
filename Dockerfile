# One image for every service of the router; the command says which one it is. A miner has an
# image of its own: `docker build --target miner .`
FROM python:3.11-slim-bookworm AS compiler
RUN apt-get update && apt-get install -y --no-install-recommends build-essential cmake git \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /app
# Of llama.cpp the library alone.
COPY setup/llama.cmake setup/
ENV CMAKE_ARGS="-DLLAVA_BUILD=OFF -DCMAKE_PROJECT_llama.cpp_INCLUDE=/app/setup/llama.cmake"

FROM compiler AS build-miner
COPY requirements-node.txt .
RUN python -m venv /venv && /venv/bin/pip install --no-cache-dir -r requirements-node.txt

FROM compiler AS build
COPY requirements.txt .
RUN python -m venv /venv && /venv/bin/pip install --no-cache-dir -r requirements.txt

FROM python:3.11-slim-bookworm AS base
RUN apt-get update && apt-get install -y --no-install-recommends libgomp1 \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --create-home cortensor && install -d -o cortensor -m 700 /data
WORKDIR /app
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1
USER cortensor
VOLUME /data

# A stranger's machine: neither Django nor a database, and of the project no more than it runs.
FROM base AS miner
COPY --from=build-miner /venv /venv
COPY chain/__init__.py chain/errors.py chain/version.py chain/
COPY chain/protocol/ chain/protocol/
COPY mining/__init__.py mining/
COPY mining/node/ mining/node/
ENV CORTENSOR_NODE_HOME=/data
ENTRYPOINT ["python", "-m", "mining.node"]
CMD ["run"]

FROM base
COPY --from=build /venv /venv
COPY . .
ENV VAR_DIR=/data
