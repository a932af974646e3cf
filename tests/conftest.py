"""What the tests of several folders share."""

from __future__ import annotations

from typing import Any

import pytest

from tests.certificates import Authorities


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    from tests.lanes import Lanes  # noqa: PLC0415 - not needed in one process

    return Lanes(config, log)


@pytest.fixture(scope="session")
def authorities(tmp_path_factory: pytest.TempPathFactory) -> Authorities:
    return Authorities(tmp_path_factory.mktemp("certificates"))
