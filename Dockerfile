# driftwatch as a daemon: docker build -t driftwatch . ; the weights of the embedder are inside, nothing is fetched later.
#
#   --build-arg TORCH_INDEX=URL   take torch from PyTorch's CPU wheel index (see pytorch.org, Get Started): recommended
#   --build-arg CUDA=1            accept PyPI's CUDA build of torch, about 3 GB
#
# Python 3.11 because it is the release whose locked set is installed and run in CI; the tag follows its security
# releases. Pin a digest with --build-arg PYTHON_IMAGE=python:3.11-slim-bookworm@sha256:… for a build that repeats.
ARG PYTHON_IMAGE=python:3.11-slim-bookworm

# ---------------------------------------------------------------- build
FROM ${PYTHON_IMAGE} AS build
ARG TORCH_INDEX=""
ARG CUDA=""
WORKDIR /src
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY requirements requirements
COPY scripts/install scripts/install.py scripts/
COPY canaries canaries
COPY config config
COPY driftwatch driftwatch
# The same steps as on a workstation, the same lock and the same refusal of an unasked-for CUDA build.
RUN PIP_NO_CACHE_DIR=1 VENV=/opt/driftwatch PYTHON=python3.11 TORCH_INDEX="${TORCH_INDEX}" CUDA="${CUDA}" \
    DRIFTWATCH_INSTALL_COMMAND="docker build --build-arg" \
    scripts/install runtime --no-editable
# What only developers of those packages use: their tests, torch's C++ headers and programs, pip. About 400 MB.
WORKDIR /opt/driftwatch/lib/python3.11/site-packages
RUN rm -rf torch/test torch/include \
    && find torch/bin -type f ! -name torch_shm_manager -delete \
    && find mpmath networkx scipy sklearn sympy -type d -name tests -prune -exec rm -rf {} + \
    && /opt/driftwatch/bin/python -m pip uninstall --quiet --yes pip \
    && rm -f /opt/driftwatch/install.log /opt/driftwatch/driftwatch-installed \
    && /opt/driftwatch/bin/python -m compileall -q driftwatch

# ---------------------------------------------------------------- the image
FROM ${PYTHON_IMAGE}
LABEL org.opencontainers.image.title="driftwatch" \
      org.opencontainers.image.description="Notices when an LLM endpoint behaves differently under an unchanged model name" \
      org.opencontainers.image.licenses="Apache-2.0"
RUN groupadd --gid 10001 driftwatch \
    && useradd --uid 10001 --gid 10001 --home-dir /data --no-create-home --shell /usr/sbin/nologin driftwatch \
    && install -d -o 10001 -g 10001 -m 0750 /data \
    && install -d -o 0 -g 0 -m 0755 /etc/driftwatch
COPY --from=build /opt/driftwatch /opt/driftwatch
# Everything that is written goes to /data: the rest may be mounted read-only. Keys come from the environment at run
# time or from mounted files (api_key_file); none is ever part of the image.
ENV PATH="/opt/driftwatch/bin:${PATH}" \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    HF_HUB_OFFLINE=1 \
    DRIFTWATCH_CONFIG=/etc/driftwatch \
    DRIFTWATCH_STORE=/data/driftwatch.db \
    DRIFTWATCH_HTTP=0.0.0.0:8077
VOLUME /data
WORKDIR /data
USER 10001:10001
EXPOSE 8077
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s --retries=3 \
    CMD ["python", "-c", "from urllib.request import ProxyHandler, build_opener; build_opener(ProxyHandler({})).open('http://127.0.0.1:8077/healthz', timeout=4)"]
ENTRYPOINT ["driftwatch"]
CMD ["serve"]
