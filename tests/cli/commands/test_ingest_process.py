"""`besmart ingest` as processes that are killed, interrupted and started again, against a service on a port."""

import itertools
import json
import os
import random
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import attrs
import orjson
import pytest

from besmart_async.cli.exits import Exit

COMMAND = [sys.executable, "-c", "from besmart_async.cli import main; main()", "ingest", "--no-chart"]
START = 1704067200000
Process = subprocess.Popen[str]
METERS, PER_METER = 50, 1_200
TOTAL = METERS * PER_METER

pytestmark = pytest.mark.skipif(os.name == "nt", reason="Windows has other signals")


@attrs.define
class Service:
    """Keeps every reading that arrives, and how often; calls `on_write` after each write, before it answers."""

    url: str = ""
    readings: dict[tuple[int, int], list[float]] = attrs.field(factory=dict)
    arrived: int = 0
    on_write: Callable[[int], object] = lambda arrived: None
    down: bool = False
    lock: threading.Lock = attrs.field(factory=threading.Lock)

    def put(self, body: bytes) -> None:
        with self.lock:
            for item in orjson.loads(body):
                for time, value in zip(item["data"]["time"], item["data"]["value"], strict=True):
                    self.readings.setdefault((item["sensor_mid"], time), []).append(value)
                self.arrived += len(item["data"]["time"])
        self.on_write(self.arrived)


def _handler(service: Service) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_PUT(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            if service.down:
                self._answer(503, {"code": 503})
                return
            service.put(body)
            self._answer(200, {})

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("content-length") or 0))
            self._answer(200, {"token": "t", "expiration": 1e15, "user_id": 1})

        def do_GET(self) -> None:
            self._answer(200, [{"signal_type_moid": 32, "symbol": "A+", "obis_mapping": "1.8.0"}])

        def _answer(self, status: int, value: object) -> None:
            body = orjson.dumps(value)
            try:
                self.send_response(status)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)
            except OSError:
                self.close_connection = True  # the client was killed

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's name
            pass

    return Handler


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        pass  # a connection of a client that was killed


@pytest.fixture
def service(without_service: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    made = Service()
    server = _Server(("127.0.0.1", 0), _handler(made))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    made.url = f"http://127.0.0.1:{server.server_port}/api"
    for name, value in (("BASE_URL", made.url), ("API_KEY", "k"), ("LOGIN", "l"), ("PASSWORD", "p")):
        monkeypatch.setenv(f"BESMART_{name}", value)
    yield made
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def big_file(tmp_path: Path) -> Path:
    return write_file(tmp_path / "big.csv", PER_METER)


def write_file(path: Path, per_meter: int) -> Path:
    """All meters at one time after another, each value twice with the second one holding."""
    with path.open("w") as file:
        file.write("meter,obis,time,value\n")
        for place in range(per_meter):
            time = START + place // 2 * 900_000
            file.writelines(f"1.{meter},A+,{time},{place}\n" for meter in range(METERS))
    return path


def start(*arguments: object) -> subprocess.Popen[str]:
    command = [*COMMAND, *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def run(*arguments: object) -> tuple[int, list[dict[str, object]], str]:
    with start(*arguments, "--json") as process:
        out, err = process.communicate(timeout=60)
    return process.returncode, [json.loads(line) for line in out.splitlines()], err


def complete(service: Service, per_meter: int = PER_METER) -> bool:
    return {place: values[-1] for place, values in service.readings.items()} == {
        (meter, START + place * 900_000): float(2 * place + 1)
        for meter in range(METERS)
        for place in range(per_meter // 2)
    }


@pytest.mark.parametrize("kills", [3, pytest.param(125, marks=[pytest.mark.long, pytest.mark.timeout(1200)])])
def test_killed_again_and_again_it_completes_with_the_last_values(service: Service, big_file: Path, kills: int) -> None:
    for round_number in range(kills):
        with start(big_file) as process:
            goal = TOTAL // 2 * (round_number + 1) // (kills + 1)

            def kill(_: int, goal: int = goal, process: subprocess.Popen[str] = process) -> None:
                if len(service.readings) >= goal:
                    process.kill()

            service.on_write = kill
            said = process.communicate(timeout=60)
            assert process.returncode == -signal.SIGKILL, said
    service.on_write = lambda _: None
    code, events, err = run(big_file)
    report = events[-1]
    assert code == Exit.OK, (report, err)
    assert (report["state"], report["rows_read"], report["rejected"]) == ("completed", TOTAL, 0)
    assert complete(service)
    again, events, err = run(big_file)
    assert (again, events[-1]["skipped"], events[-1]["requests"]) == (Exit.OK, TOTAL, 0), err


@pytest.mark.long
@pytest.mark.timeout(600)
def test_killed_twenty_times_while_answers_take_300_ms_nothing_is_lost(service: Service, tmp_path: Path) -> None:
    per_meter = 12_000
    total, path = METERS * per_meter, write_file(tmp_path / "far.csv", per_meter)
    late, draw = threading.Event(), random.Random(16)
    for _ in range(20):
        calls, last = itertools.count(1), draw.randint(1, 6)  # four leave before the first answer
        with start(path) as process:

            def kill(_: int, calls: Iterator[int] = calls, last: int = last, of: Process = process) -> None:
                if next(calls) >= last:
                    of.kill()
                late.wait(0.3)

            service.on_write = kill
            said = process.communicate(timeout=60)
            assert process.returncode == -signal.SIGKILL, said
    service.on_write = lambda _: late.wait(0.3)
    code, events, err = run(path)
    report = events[-1]
    acknowledged = int(str(report["skipped"]))
    assert code == Exit.OK, (report, err)
    assert (report["state"], report["rows_read"], report["rejected"]) == ("completed", total, 0)
    assert 0 < acknowledged < total
    assert report["accepted"] == total - acknowledged
    assert complete(service, per_meter)
    again, events, _ = run(path)
    assert (again, events[-1]["skipped"], events[-1]["requests"]) == (Exit.OK, total, 0)


@pytest.mark.parametrize(("presses", "word"), [(1, "delivering what was read"), (2, "stopping now")])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_it_records_and_the_next_run_sends_the_rest(
    service: Service, big_file: Path, presses: int, word: str, number: signal.Signals
) -> None:
    reached, calls = threading.Event(), itertools.count(1)
    released = threading.Event()

    def hold(_: int) -> None:
        if next(calls) > 4:  # four leave before the first answer: one has been acknowledged
            reached.set()
            released.wait(60)

    service.on_write = hold
    # At this rate a loop that is held up sends 5,000 rows at once, a twelfth of the file: five calls always come.
    with start(big_file, "--rate-limit", 20_000) as process:
        assert process.stderr is not None
        assert reached.wait(60)
        err = ""
        for _ in range(presses):
            process.send_signal(number)
            err += process.stderr.readline()  # the next signal would be the same one until this one is noticed
        if presses == 1:
            released.set()
        out = process.communicate(timeout=60)[0]
    released.set()
    assert process.returncode == Exit.INTERRUPTED
    assert word in err
    assert "accepted" in out
    code, events, _ = run(big_file)
    report = events[-1]
    assert code == Exit.OK
    assert report["skipped"]
    assert complete(service)
    if presses == 1:
        assert report["accepted"] == TOTAL - int(str(report["skipped"]))


@pytest.mark.usefixtures("service")
def test_workers_share_the_meters_and_add_up_their_reports(service: Service, big_file: Path) -> None:
    with big_file.open("a") as file:
        file.write("1.1,A+,never,1\n1.2,A+\n")
    code, events, err = run(big_file, "--workers", 2)
    report = events[-1]
    assert (code, err) == (Exit.REJECTED, "")
    assert (report["state"], report["rows_read"], report["accepted"], report["rejected"]) == (
        "completed",
        TOTAL + 2,
        TOTAL,
        2,
    )
    assert (report["meters"], report["signals"]) == (METERS, METERS)
    assert complete(service)
    # Another number of workers finds the same done.
    code, events, _ = run(big_file, "--workers", 3)
    report = events[-1]
    assert (code, report["skipped"], report["requests"]) == (Exit.REJECTED, TOTAL + 2, 0)
    assert report["rejected_before"] == 2


def test_workers_stop_together_and_resume(service: Service, big_file: Path) -> None:
    once = threading.Semaphore(1)

    def press(_: int) -> None:
        if once.acquire(blocking=False):
            process.send_signal(signal.SIGINT)

    service.on_write = press
    with start(big_file, "--workers", 2, "--rate-limit", 200_000) as process:
        process.communicate(timeout=60)
    assert process.returncode == Exit.INTERRUPTED
    code, events, _ = run(big_file)
    assert code == Exit.OK
    assert events[-1]["skipped"]
    assert complete(service)


def test_a_file_is_sent_by_one_process_at_a_time(service: Service, big_file: Path) -> None:
    begun, go = threading.Event(), threading.Event()

    def hold(_: int) -> None:
        begun.set()
        go.wait(30)

    service.on_write = hold
    with start(big_file) as process:
        assert begun.wait(30)
        code, _, err = run(big_file)
        assert (code, err) == (
            Exit.ERROR,
            f"besmart: {big_file}: another process is sending it; wait until it has ended\n",
        )
        go.set()
        process.communicate(timeout=60)
    assert process.returncode == Exit.OK
    assert complete(service)


def test_too_many_rejects_end_the_run(service: Service, tmp_path: Path) -> None:
    path = tmp_path / "bad.csv"
    path.write_text("meter,obis,time,value\n" + "1.1,A+,never,1\n" * 30 + f"1.1,A+,{START},1\n" * 970)
    code, events, _ = run(path, "--max-rejects", "2%")
    assert code == Exit.ERROR
    assert "30 of 1,000 rows were rejected, more than the 2 % allowed" in str(events[-1]["error"])
    code, events, _ = run(path, "--max-rejects", "30")
    assert code == Exit.REJECTED


def test_two_accounts_with_one_checkpoint_send_each_their_own(
    service: Service, csv_file: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = csv_file(f"1.1,1.8.0,{START},1,kWh")
    accounts: list[tuple[dict[str, str], tuple[str, ...]]] = [
        ({"API_KEY": "secret-key-one"}, ()),
        ({"API_KEY": "secret-key-two"}, ()),
        ({"TOKEN": "secret-one"}, ()),
        ({"TOKEN": "secret-two"}, ()),
        ({"TOKEN": "secret-three"}, ("--account", "plant")),
    ]
    options = ("--checkpoint", str(tmp_path / "done"))
    for parts, more in accounts:
        with monkeypatch.context() as patch:
            for name, value in parts.items():
                patch.setenv(f"BESMART_{name}", value)
            assert run(path, *options, *more)[0] == Exit.OK
    assert service.arrived == len(accounts)
    for parts, more in [*accounts, ({"TOKEN": "secret-four"}, ("--account", "plant"))]:
        with monkeypatch.context() as patch:
            for name, value in parts.items():
                patch.setenv(f"BESMART_{name}", value)
            assert run(path, *options, *more)[1][-1]["skipped"] == 1
    assert service.arrived == len(accounts)
    assert not [path for path in tmp_path.glob("done*") if b"secret-" in path.read_bytes()]
