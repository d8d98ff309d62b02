# One image for every service: `docker build -t parley .`, then `parley serve [SERVICE]...`.
FROM python:3.11-slim-bookworm AS build
WORKDIR /app
COPY requirements.lock requirements-build.lock ./
RUN python -m venv /venv \
 && /venv/bin/pip install --no-cache-dir --require-hashes -r requirements.lock \
 && python -m venv /tmp/build \
 && /tmp/build/bin/pip install --no-cache-dir --require-hashes -r requirements-build.lock
COPY pyproject.toml README.md LICENSE ./
COPY protos/gen protos/gen
COPY clients/python clients/python
COPY services services
RUN /tmp/build/bin/pip wheel --no-deps --no-build-isolation --wheel-dir /tmp/wheel \
      ./clients/python . \
 && /venv/bin/pip install --no-cache-dir --no-deps /tmp/wheel/*.whl

FROM python:3.11-slim-bookworm
RUN useradd --create-home --uid 10001 parley && mkdir /data && chown parley /data
COPY --from=build /venv /venv
ENV PATH=/venv/bin:$PATH PARLEY_DATA_DIR=/data
USER parley
VOLUME /data
EXPOSE 50050-50056
ENTRYPOINT ["parley"]
CMD ["serve"]
