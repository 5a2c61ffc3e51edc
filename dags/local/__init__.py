"""Airflow and Triton on one machine: for the demo, development and tests."""
