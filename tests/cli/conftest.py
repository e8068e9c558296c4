"""The command in this process, and an embedded service on a port with its environment."""

from collections.abc import Callable, Iterator
from pathlib import Path

import attrs
import pytest

from besmart_async.cli import main
from besmart_async.simulator import Simulator
from besmart_async.wire.dialect import DialectName
from tests.services import in_both_dialects, served_in_a_thread


@attrs.frozen
class Done:
    """How a command ended."""

    code: int
    out: str
    err: str


@pytest.fixture
def besmart(capsys: pytest.CaptureFixture[str]) -> Callable[..., Done]:
    def run(*arguments: object) -> Done:
        with pytest.raises(SystemExit) as caught:
            main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return Done(int(caught.value.code or 0), captured.out, captured.err)

    return run


@pytest.fixture
def csv_file(tmp_path: Path) -> Callable[..., Path]:
    def make(*rows: str, header: str = "meter,obis,time,value,unit", name: str = "readings.csv") -> Path:
        path = tmp_path / name
        path.write_text("\n".join([header, *rows, ""]), encoding="utf-8")
        return path

    return make


@pytest.fixture(autouse=True)
def nothing_kept(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test may see, or change, what another has recorded or whoever runs it has kept."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path_factory.mktemp("config")))
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "keyring.backends.fail.Keyring")
    monkeypatch.setenv("BESMART_DIALECT", "")  # so that what `--dialect` sets is taken back


@pytest.fixture
def without_service(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LOGIN", "PASSWORD", "API_KEY", "TOKEN", "BASE_URL"):
        monkeypatch.delenv(f"BESMART_{name}", raising=False)


@pytest.fixture
def service(
    request: pytest.FixtureRequest, without_service: None, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Simulator]:
    """Serve the document's examples."""
    dialect: DialectName = getattr(request, "param", "documented")
    monkeypatch.setenv("BESMART_DIALECT", dialect)
    with served_in_a_thread(lambda: Simulator(dialect=dialect), monkeypatch) as simulator:
        yield simulator


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    in_both_dialects(metafunc, {"test_export", "test_journal", "test_latest", "test_plot"}, "service")
