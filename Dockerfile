# The base can be any image with Python 3.11 or newer and its venv module. ARGON2_MARCH also needs the headers.
ARG BASE=python:3.13-slim

FROM ${BASE} AS build
# If set (x86-64-v3, native, ...), Argon2 is built for that processor and computes at least 1.5 times as many hashes.
ARG ARGON2_MARCH=""
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /src

# Not pinned, because the compiler comes from the base image and stays in this stage.
# hadolint ignore=DL3008
RUN if [ -n "$ARGON2_MARCH" ] && ! command -v cc; then \
        apt-get update && apt-get install -y --no-install-recommends gcc libc6-dev && rm -rf /var/lib/apt/lists/*; \
    fi

COPY requirements/runtime.txt requirements/build.txt requirements/argon2-build.txt requirements/
RUN python3 -m venv /opt/tools \
    && /opt/tools/bin/pip install --require-hashes --no-deps -r requirements/build.txt \
    && python3 -m venv --without-pip /opt/otp
RUN set -eu; set --; \
    if [ -n "$ARGON2_MARCH" ]; then \
        /opt/tools/bin/pip install --require-hashes --no-deps -r requirements/argon2-build.txt; \
        export PATH="/opt/tools/bin:$PATH" CFLAGS="-O3 -march=$ARGON2_MARCH"; \
        set -- --no-binary argon2-cffi-bindings --no-build-isolation; \
    fi; \
    /opt/tools/bin/pip wheel "$@" --require-hashes --no-deps -r requirements/runtime.txt -w /wheels; \
    /opt/tools/bin/pip --python /opt/otp/bin/python install --no-index --no-deps /wheels/*.whl

COPY pyproject.toml README.md LICENSE ./
COPY migrations migrations
COPY otp_service otp_service
RUN /opt/tools/bin/pip wheel --no-index --no-deps --no-build-isolation -w /wheels/own . \
    && /opt/tools/bin/pip --python /opt/otp/bin/python install --no-index --no-deps /wheels/own/*.whl

FROM ${BASE}
# GLIBC_TUNABLES: huge pages for Argon2, and memory that is reused from one hash to the next.
ENV PATH=/opt/otp/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 \
    GLIBC_TUNABLES=glibc.malloc.hugetlb=1:glibc.malloc.arena_max=1:glibc.malloc.mmap_threshold=134217728:glibc.malloc.trim_threshold=1342177280
COPY --from=build /opt/otp /opt/otp
RUN install -d -o 10001 -g 10001 -m 0700 /data
# For SQLite, mount a volume here. The service writes only to /data and /tmp.
WORKDIR /data
USER 10001:10001
EXPOSE 8000
HEALTHCHECK --interval=15s --timeout=5s --start-period=30s \
    CMD ["python3", "-c", "import http.client as h; c = h.HTTPConnection('127.0.0.1', 8000, timeout=3); c.request('GET', '/livez'); exit(c.getresponse().status != 200)"]
ENTRYPOINT ["otp-service"]
CMD ["serve", "--host", "0.0.0.0", "--port", "8000"]
