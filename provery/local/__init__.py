"""Everything on one machine: the development topology, its servers, the supervisor and the doctor.

``config`` reads temporal-dev.yaml, ``servers`` starts real Temporal, Redis, Postgres and S3 servers (also for
tests and the fault harness), ``supervisor`` is ``provery up``, ``doctor`` is ``provery doctor``.
"""

from pathlib import Path

ROOT = Path(__file__).parents[2]
"""The checkout: where temporal-dev.yaml, tools/ and .provery/ are. Provery is an application run from its tree."""
