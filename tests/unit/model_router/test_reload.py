import pytest
from parley_services.model_router.route.config import parse_config
from parley_services.model_router.route.reload import ConfigFile

from tests.support.model_router import ScriptedProvider
from tests.unit.model_router.test_config import GOOD


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "router.yaml"
    path.write_text(GOOD)
    return path


@pytest.fixture
def router(bench):
    return bench(a=ScriptedProvider(["x"])).router


@pytest.fixture
def file(path, router):
    config = parse_config(GOOD.encode())
    return ConfigFile(path, config, router, lambda changed: changed.catalogue())


def test_a_changed_file_is_taken_over(path, router, file):
    assert not file.check()
    path.write_text(GOOD.replace("aliases: [big]", "aliases: [huge]"))
    assert file.check()
    assert router.catalogue.group("huge").links
    assert not file.check()


@pytest.mark.parametrize(
    "text",
    [
        "nonsense: [",
        GOOD.replace("default_group: main", "default_group: none"),
        GOOD.replace("8000", "9000"),
    ],
)
def test_a_wrong_file_leaves_the_last_good_one(path, router, file, text):
    path.write_text(GOOD.replace("aliases: [big]", "aliases: [huge]"))
    file.check()
    path.write_text(text)
    assert not file.check()
    assert router.catalogue.group("huge").links


def test_a_file_that_is_gone_leaves_the_last_good_one(path, router, file):
    before = router.catalogue
    path.unlink()
    assert not file.check()
    assert router.catalogue is before
