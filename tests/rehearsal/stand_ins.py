"""What the rehearsal has in the place of images that are not here, service by service, and why. All else is compose's."""

import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from tests.rehearsal.compose import Service

BIN = Path(sys.executable).parent
# the entrypoint of the image of PostgreSQL, in short: a cluster and a database at the first start
POSTGRES = """
set -e
data=/var/lib/postgresql/data
if [ ! -s $data/PG_VERSION ]; then
    printf %s "$POSTGRES_PASSWORD" >/tmp/password.$$
    initdb -D $data -U "$POSTGRES_USER" --pwfile /tmp/password.$$ -A scram-sha-256
    rm /tmp/password.$$
    echo "host all all all scram-sha-256" >>$data/pg_hba.conf
    pg_ctl -D $data -w -o "-c listen_addresses=" start
    PGPASSWORD="$POSTGRES_PASSWORD" createdb -U "$POSTGRES_USER" -O "$POSTGRES_USER" "$POSTGRES_DB" || true
    pg_ctl -D $data -w stop
fi
exec postgres -D $data -c "listen_addresses=*"
"""
BUCKET = "import boto3; boto3.client('s3', endpoint_url='http://store:8333').create_bucket(Bucket='{}')"
WHY = {
    "postgres": "the machine's PostgreSQL, with the image's entrypoint in short",
    "redis": "the machine's redis-server, in the image's working directory",
    "store": "moto's S3 in the place of SeaweedFS, in memory, so that it is not killed",
    "store-init": "the bucket is made by boto3",
    "triton": "the Triton of the wheel in .venv, which binds loopback alone, in the place of NVIDIA's image (no GPU)",
    "shipper": "from .venv (Python 3.11), in the place of the image of triton",
    "follower": "from .venv (Python 3.11), in the place of the image of triton",
}


SERVER = "triton"  # its image is built, and does not run: the wheel's Triton cannot serve with the numpy of its lock
BUILT = (
    "built from its Dockerfile by podman, over a Debian in the place of its base image, whose entrypoint is not there"
)


def why(images: Mapping[str, object]) -> dict[str, str]:
    """What is not as in production, service by service; `images` are those whose image was built."""
    return WHY | dict.fromkeys(images, BUILT)


def placed(services: Mapping[str, Service], *, bucket: str, keys: Mapping[str, str]) -> dict[str, Service]:
    """Returns the services as they can run here; `keys` are the object store's, for who makes its bucket."""
    found = dict(services)
    found["postgres"] = replace(found["postgres"], command=["bash", "-c", POSTGRES])
    found["redis"] = replace(
        found["redis"], command=["sh", "-c", 'cd /data && exec "$@"', "sh", *found["redis"].command]
    )
    moto = [str(BIN / "moto_server"), "-H", "0.0.0.0", "-p", "8333"]
    found["store"] = replace(
        found["store"], command=moto, health=["curl", "--fail", "--silent", "http://store:8333/moto-api/"]
    )
    make = [sys.executable, "-c", BUCKET.format(bucket)]
    found["store-init"] = replace(found["store-init"], command=make, environment=dict(keys))
    local = ["127.0.0.1" if word == "0.0.0.0" else word for word in found["triton"].command]
    found["triton"] = replace(found["triton"], command=local)
    return found
