"""What the tests of several folders share."""

from __future__ import annotations

import pytest

from tests.certificates import Authorities


@pytest.fixture(scope="session")
def authorities(tmp_path_factory: pytest.TempPathFactory) -> Authorities:
    return Authorities(tmp_path_factory.mktemp("certificates"))
