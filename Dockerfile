# datacut for a participant's premises: built once where there is a network, run where there is none.
#   docker build -t datacut .
#   docker run --rm --network none -v "$PWD":/cut datacut anonymise /cut/CUT.yaml
FROM python:3.12-slim-bookworm AS build
WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY contracts contracts
COPY transforms transforms
COPY flows flows
RUN python -m venv /opt/datacut \
    && /opt/datacut/bin/pip install --no-cache-dir ".[postgres]"

FROM python:3.12-slim-bookworm
COPY --from=build /opt/datacut /opt/datacut
RUN useradd --create-home --uid 10001 datacut
USER 10001
WORKDIR /cut
ENV PATH=/opt/datacut/bin:$PATH PYTHONDONTWRITEBYTECODE=1 DO_NOT_TRACK=1
ENTRYPOINT ["datacut"]
CMD ["--help"]
