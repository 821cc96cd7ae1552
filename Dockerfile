# One image for every role: `docker build -t switchyard .`
FROM rust:1-bookworm AS build
WORKDIR /source
COPY . .
RUN cargo build --release --locked --bin switchyard

FROM debian:bookworm-slim
RUN useradd --system --create-home --home-dir /data switchyard
COPY --from=build /source/target/release/switchyard /usr/local/bin/switchyard
USER switchyard
WORKDIR /data
VOLUME /data
ENTRYPOINT ["switchyard"]
CMD ["up", "--sandbox", "--listen", "0.0.0.0:8080", "--data", "/data"]
