"""Hypothesis on a busy machine: how long an example takes is no verdict on the code."""

from hypothesis import HealthCheck, settings

settings.register_profile("tidings", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("tidings")
