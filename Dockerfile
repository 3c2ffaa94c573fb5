# syntax=docker/dockerfile:1
# Two targets:
#   docker build --target cpu  -t rediffuse:cpu .
#   docker build --target cuda -t rediffuse:cuda .
# One image plays every role: `python -m service` (all in one), `python -m service.api`, or `python -m service` with
# REDIFFUSE_API=false for a host of workers.

FROM python:3.11-slim AS base
ENV PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    PIP_NO_CACHE_DIR=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    HF_HUB_OFFLINE=1 \
    HF_HUB_DISABLE_TELEMETRY=1 \
    REDIFFUSE_HOST=0.0.0.0 \
    REDIFFUSE_DATA_DIR=/var/lib/rediffuse
RUN useradd --create-home --uid 10001 rediffuse \
    && mkdir -p /var/lib/rediffuse \
    && chown rediffuse:rediffuse /var/lib/rediffuse
WORKDIR /app
COPY constraints.txt ./
EXPOSE 8000
STOPSIGNAL SIGTERM
CMD ["python", "-m", "service"]

FROM base AS cpu
# PyTorch's own index has the CPU wheel; the default index serves the CUDA build on Linux.
RUN pip install -c constraints.txt --index-url https://download.pytorch.org/whl/cpu torch
COPY . .
RUN pip install -c constraints.txt -e .
USER 10001
VOLUME /var/lib/rediffuse
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s --retries=3 \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/healthz', timeout=2)"]

FROM base AS cuda
ENV NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility
RUN pip install -c constraints.txt torch
COPY . .
RUN pip install -c constraints.txt -e .
USER 10001
VOLUME /var/lib/rediffuse
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s --retries=3 \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/healthz', timeout=2)"]
