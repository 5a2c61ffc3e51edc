# Airflow's image with Ray, for `ray.enabled` of the chart and for Airflow with CROUPIER_ENGINE=ray: whoever sends jobs to a
# Ray cluster has the same Python and the same Ray as its machines. Built from the repository's root:
#   docker build -f serving/deploy/ray.Dockerfile -t croupier-ray --build-arg AIRFLOW_IMAGE=croupier-airflow:0.1.0 .
ARG AIRFLOW_IMAGE
FROM ${AIRFLOW_IMAGE}

COPY locks/ray.lock /tmp/
RUN pip install --no-cache-dir --require-hashes --no-deps --only-binary :all: -r /tmp/ray.lock
