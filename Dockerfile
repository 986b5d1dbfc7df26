# The daemon: a small image with one program, run by nobody in particular.
#   docker build -t stocktake .

FROM rust:1.95-bookworm AS build
# The image's own toolchain, instead of fetching what rust-toolchain.toml wants for development.
ENV RUSTUP_TOOLCHAIN=1.95.0
WORKDIR /build
COPY Cargo.toml Cargo.lock build.rs ./
COPY deploy/release/build deploy/release/
COPY migrations migrations
COPY src src
# The history is not here: --build-arg COMMIT=$(git rev-parse --short=12 HEAD)
ARG COMMIT=
ENV STOCKTAKE_COMMIT=$COMMIT
# What cargo fetches and builds stays with the builder, so that a change builds only itself.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/build/target \
    deploy/release/build \
    && install -s -D target/release/stocktake /out/stocktake

# The test bed of docker-compose.yml: an emulator of S3 and SQS, and boto3.
FROM python:3.12-slim-bookworm AS testbed
COPY tests/testbed/requirements.txt /testbed/
RUN pip install --no-cache-dir --require-hashes --only-binary=:all: --requirement /testbed/requirements.txt
COPY tests/testbed/*.py /testbed/
USER 65534:65534
CMD ["python", "-B", "/testbed/ministack_shim.py"]

FROM debian:bookworm-slim
# Certificates for AWS; everything else the program needs is in it.
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY --from=build /out/stocktake /usr/local/bin/
USER 65534:65534
# It has no terminal to be read on.
ENV STOCKTAKE_LOG__FORMAT=json
EXPOSE 9464
# Whether its loops turn: the program asks itself, as there is nothing else here that could.
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s CMD ["stocktake", "health"]
ENTRYPOINT ["stocktake"]
CMD ["serve"]
