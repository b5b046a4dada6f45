"""Wards: namespaces in which all is well."""

from collections.abc import Iterator

import pytest

from tests.controlplane.server import ControlPlane
from tests.doctor.ward import Hospital, Ward, hospital_on


@pytest.fixture(scope="module")
def hospital(controlplane: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hospital]:
    """Rotator on a real cluster, that did its work once."""
    with hospital_on(controlplane, tmp_path_factory.mktemp("hospital")) as made:
        yield made


@pytest.fixture
def ward(hospital: Hospital) -> Ward:
    """A namespace in which all is well."""
    return hospital.ward()
