"""`make rehearse`: docker-compose.yml started for real, without a container engine.

Every service's own command runs with its own environment, user and health check, under the service names, in a root
file system, a network and a process namespace of its own: PostgreSQL, Redis, Airflow with Celery and FAB from the lock
of its image, Triton, shipper and follower. `stand_ins.py` names what is not as in the images.
"""
