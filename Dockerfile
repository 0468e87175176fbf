# keras-tnt on a CPU, or with CUDA: docker build --build-arg EXTRAS=train,gpu .
FROM python:3.12-slim

ARG EXTRAS=train

COPY pyproject.toml README.md LICENSE NOTICE constraints.txt /src/
COPY keras_tnt /src/keras_tnt
COPY demo_data /src/demo_data
RUN pip install --no-cache-dir -c /src/constraints.txt "/src[$EXTRAS]" /src/demo_data \
    && rm -r /src \
    && useradd --create-home --uid 1000 tnt

USER 1000
WORKDIR /work
ENTRYPOINT ["keras-tnt"]
CMD ["--help"]
