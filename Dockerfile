# datacut in an image: built once where there is a network, run where there is none.
#   docker build -t datacut .                                  # a participant's: no orchestrator
#   docker build -t datacut-si --build-arg FOR=si .            # the programme's: Prefect, OR-tools, Dask
#   docker run --rm --network none --user "$(id -u):$(id -g)" -v "$PWD":/cut datacut anonymise /cut/CUT.yaml
# BASE may be pinned by digest, and come from a registry of yours: --build-arg BASE=registry.example/python:3.12-slim@sha256:...
# requirements/FOR.txt holds a hash of every file and no address: pip asks the index that PIP_INDEX_URL names.
ARG BASE=python:3.12-slim-bookworm
# hadolint ignore=DL3006
FROM ${BASE} AS build
ARG FOR=participant
WORKDIR /src
COPY requirements requirements
RUN python -m venv /opt/datacut \
    && /opt/datacut/bin/pip install --no-cache-dir --require-hashes --no-deps -r "requirements/${FOR}.txt" \
    && python -m venv /opt/build \
    && /opt/build/bin/pip install --no-cache-dir --require-hashes --no-deps -r requirements/build.txt
COPY pyproject.toml README.md LICENSE ./
COPY contracts contracts
COPY transforms transforms
COPY flows flows
RUN /opt/build/bin/python -m hatchling build -t wheel -d /dist \
    && /opt/datacut/bin/pip install --no-cache-dir --no-index --no-deps /dist/*.whl \
    && /opt/datacut/bin/pip check

# hadolint ignore=DL3006
FROM ${BASE}
ARG UID=10001
ARG GID=10001
# Whoever runs it as another user (--user) can write what is mounted; HOME is a place that every user can write.
RUN groupadd --gid "${GID}" datacut \
    && useradd --no-log-init --no-create-home --home-dir /tmp --uid "${UID}" --gid "${GID}" datacut \
    && install -d -o "${UID}" -g "${GID}" -m 0755 /cut
COPY --from=build /opt/datacut /opt/datacut
ENV PATH=/opt/datacut/bin:$PATH HOME=/tmp PREFECT_HOME=/tmp/prefect PYTHONDONTWRITEBYTECODE=1 \
    DO_NOT_TRACK=1 PREFECT_SERVER_ANALYTICS_ENABLED=false
USER ${UID}:${GID}
WORKDIR /cut
HEALTHCHECK --interval=60s --timeout=30s --retries=3 CMD ["datacut", "--version"]
ENTRYPOINT ["datacut"]
CMD ["--help"]
