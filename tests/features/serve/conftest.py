from collections.abc import Iterator

import pytest
from fastapi.testclient import TestClient

from features.serve.app import create_app
from tests.features.serve.served import Served, make_served


@pytest.fixture(scope="package")
def served(tmp_path_factory: pytest.TempPathFactory) -> Served:
    """Only to be read; a test that changes it makes its own with `make_served`."""
    return make_served(tmp_path_factory.mktemp("served"))


@pytest.fixture(scope="package")
def client(served: Served) -> Iterator[TestClient]:
    with TestClient(create_app(served.service()), raise_server_exceptions=False) as client:
        yield client
