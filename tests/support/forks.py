"""Processes that are forks of one that has loaded the modules: a new interpreter takes longest to load them."""

from __future__ import annotations

import multiprocessing

FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(["tests.support.crashing", "tests.support.landing_kills"])
