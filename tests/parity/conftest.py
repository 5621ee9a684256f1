"""Parity with Keras: which backend it runs on, and no complaint about the warnings of others."""

import os

import pytest

os.environ.setdefault("KERAS_BACKEND", "torch")


def pytest_collection_modifyitems(items):
    for item in items:
        if "parity" in item.path.parts:
            item.add_marker(pytest.mark.filterwarnings("ignore"))
