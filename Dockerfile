# syntax=docker/dockerfile:1
# One image for every process; the command says which: python -m services.tasks, python -m gateway, …
ARG PYTHON_IMAGE=python:3.11-slim

FROM ${PYTHON_IMAGE} AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
RUN python -m venv /opt/writer
WORKDIR /source
COPY . .
RUN /opt/writer/bin/pip install --constraint constraints.txt . \
    && /opt/writer/bin/python -m compileall -q /opt/writer/lib

FROM ${PYTHON_IMAGE}
ENV PATH=/opt/writer/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
# Volumes take over the owner of the folder that they are first mounted on.
RUN useradd --system --uid 10001 --home-dir /nonexistent --shell /usr/sbin/nologin writer \
    && for name in tasks content images billing gateway trusted; do \
        install -d -o writer -g writer -m 0700 /keys/$name; done
COPY --from=build /opt/writer /opt/writer
USER writer
WORKDIR /tmp
CMD ["python", "-m", "gateway"]
