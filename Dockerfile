# syntax=docker/dockerfile:1
FROM rust:1.95-slim-bookworm AS build
WORKDIR /src
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    cargo build --release --locked --package kv-server \
    && cp target/release/kv-server target/release/kv-cli /usr/local/bin/

FROM debian:bookworm-slim
RUN useradd --system --uid 10001 --no-create-home kv && install -d -o kv -g kv /data
COPY --from=build /usr/local/bin/kv-server /usr/local/bin/kv-cli /usr/local/bin/
USER 10001:10001
VOLUME /data
EXPOSE 65432
HEALTHCHECK --interval=10s --timeout=3s CMD ["/usr/local/bin/kv-cli", "ping"]
# Within a container loopback is the container itself, so the server has to listen on all addresses
# and to serve clients that are not local, which is what protected mode refuses; and `kv-cli end` on
# the host comes from outside too. Who may connect is therefore decided by `docker run -p`: publish
# on 127.0.0.1, or set a password with `--env KV_REQUIREPASS=…`.
ENTRYPOINT ["/usr/local/bin/kv-server"]
CMD ["--bind", "0.0.0.0", "--protected-mode", "no", "--allow-shutdown", "--data-dir", "/data"]
