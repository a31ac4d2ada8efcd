"""Work that tests let finish or fail item by item."""

import pytest
from support.many_items import Work


@pytest.fixture
def work() -> Work:
    return Work()


@pytest.fixture
def opened_work(work: Work) -> Work:
    work.open = True
    return work
