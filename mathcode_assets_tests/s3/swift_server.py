"""OpenStack Swift as an S3 server: four servers and memcached on loopback, in a folder of their own.

    with swift_server(environment, folder) as server:
        boto3.client("s3", **server.client_options)

Swift comes from an environment of its own (`make .venv-swift/.installed`). What s3api answers is close to S3's:
signatures are checked, uploads in parts, ranges and conditions work, an object appears whole or not at all.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

START_S = 60  # the five processes answer after some 3 s on an idle machine
END_S = 10
LOG_TAIL = 4000
# A test run that is killed takes its servers with it.
END_WITH_US = ("setpriv", "--pdeathsig", "KILL", "--")
SERVERS = ("account", "container", "object")
KEY, SECRET = "test:tester", "testing-secret"

SWIFT_CONF = "[swift-hash]\nswift_hash_path_suffix = mathcode\n"
# One replica and no daemons that repair: what is not written at once never is, so nothing may be given up early.
BACKEND_CONF = """\
[DEFAULT]
bind_ip = 127.0.0.1
bind_port = {port}
workers = 0
user = {user}
swift_dir = {folder}
devices = {folder}/devices
mount_check = false
disable_fallocate = true
fallocate_reserve = 0
container_update_timeout = 60
node_timeout = 60
conn_timeout = 20
[pipeline:main]
pipeline = {name}-server
[app:{name}-server]
use = egg:swift#{name}
"""
PROXY_CONF = """\
[DEFAULT]
bind_ip = 127.0.0.1
bind_port = {port}
workers = 0
user = {user}
swift_dir = {folder}
[pipeline:main]
pipeline = catch_errors gatekeeper cache listing_formats bulk s3api tempauth copy slo versioned_writes proxy-server
[filter:catch_errors]
use = egg:swift#catch_errors
[filter:gatekeeper]
use = egg:swift#gatekeeper
[filter:cache]
use = egg:swift#memcache
memcache_servers = 127.0.0.1:{memcache_port}
[filter:listing_formats]
use = egg:swift#listing_formats
[filter:bulk]
use = egg:swift#bulk
[filter:s3api]
use = egg:swift#s3api
[filter:tempauth]
use = egg:swift#tempauth
user_test_tester = {secret} .admin
[filter:copy]
use = egg:swift#copy
[filter:slo]
use = egg:swift#slo
[filter:versioned_writes]
use = egg:swift#versioned_writes
allow_versioned_writes = true
[app:proxy-server]
use = egg:swift#proxy
account_autocreate = true
node_timeout = 60
conn_timeout = 20
recoverable_node_timeout = 60
error_suppression_limit = 1000000
"""
RINGS = """\
import sys
from swift.common.ring import RingBuilder
for name, port in (argument.split(":") for argument in sys.argv[2:]):
    builder = RingBuilder(part_power=4, replicas=1, min_part_hours=0)
    place = {"ip": "127.0.0.1", "port": int(port), "replication_ip": "127.0.0.1", "replication_port": int(port)}
    builder.add_dev({"id": 0, "region": 1, "zone": 1, "device": "disk", "weight": 1, "meta": "", **place})
    builder.rebalance()
    builder.get_ring().save(f"{sys.argv[1]}/{name}.ring.gz")
"""


@dataclass(frozen=True, slots=True)
class SwiftServer:
    """A running server and the one account it has."""

    endpoint: str
    key: str = KEY
    secret: str = SECRET
    region: str = "us-east-1"

    @property
    def environment(self) -> dict[str, str]:
        """What botocore, and so everything else, reads from the environment."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": self.key,
            "AWS_SECRET_ACCESS_KEY": self.secret,
            "AWS_DEFAULT_REGION": self.region,
            "AWS_REGION": self.region,
        }

    @property
    def client_options(self) -> dict[str, str]:
        """Arguments of a boto3 client."""
        return {
            "endpoint_url": self.endpoint,
            "aws_access_key_id": self.key,
            "aws_secret_access_key": self.secret,
            "region_name": self.region,
        }


@contextmanager
def swift_server(environment: Path, folder: Path) -> Iterator[SwiftServer]:
    """A server that keeps everything below `folder` and is gone, with all its processes, when the block ends.

    Raises:
        RuntimeError: a process ended, or does not answer within a minute; with the end of its log.
    """
    programs = environment.absolute() / "bin"
    ports = dict(zip((*SERVERS, "proxy", "memcached"), free_ports(5), strict=True))
    write_configuration(folder, ports)
    rings = [f"{name}:{ports[name]}" for name in SERVERS]
    subprocess.run([programs / "python", "-c", RINGS, folder, *rings], check=True, timeout=START_S)
    memcached = shutil.which("memcached")
    if memcached is None:
        raise RuntimeError("no memcached: infra/install_system_packages.sh --swift")
    commands: dict[str, Sequence[str | Path]] = {
        "memcached": [memcached, "-l", "127.0.0.1", "-p", str(ports["memcached"]), "-U", "0", "-u", _user()]
    }
    for name in (*SERVERS, "proxy"):
        commands[name] = [programs / f"swift-{name}-server", folder / f"{name}-server.conf", "-v"]
    running: dict[str, subprocess.Popen[bytes]] = {}
    try:
        for name, command in commands.items():
            with (folder / f"{name}.log").open("wb") as log:
                running[name] = subprocess.Popen(
                    [*END_WITH_US, *command], stdout=log, stderr=subprocess.STDOUT, start_new_session=True, cwd=folder
                )
        for name, process in running.items():
            _wait_for(name, process, ports[name], folder / f"{name}.log")
        yield SwiftServer(endpoint=f"http://127.0.0.1:{ports['proxy']}")
    finally:
        for process in running.values():
            _end(process)


def write_configuration(folder: Path, ports: dict[str, int]) -> None:
    """swift.conf, a configuration for each server, and the folder of its one device."""
    (folder / "devices" / "disk").mkdir(parents=True)
    (folder / "swift.conf").write_text(SWIFT_CONF)
    for name in SERVERS:
        text = BACKEND_CONF.format(name=name, port=ports[name], user=_user(), folder=folder)
        (folder / f"{name}-server.conf").write_text(text)
    text = PROXY_CONF.format(
        port=ports["proxy"], memcache_port=ports["memcached"], user=_user(), folder=folder, secret=SECRET
    )
    (folder / "proxy-server.conf").write_text(text)


def free_ports(n: int) -> list[int]:
    """Ports of loopback that nobody listens on now, all different."""
    probes = [socket.socket() for _ in range(n)]
    try:
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]
    finally:
        for probe in probes:
            probe.close()


def _user() -> str:
    import pwd

    return pwd.getpwuid(os.geteuid()).pw_name


def _wait_for(name: str, process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + START_S
    while True:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        if process.poll() is not None or time.monotonic() > deadline:
            state = "has ended" if process.poll() is not None else "does not answer"
            raise RuntimeError(f"{name} {state}:\n{log.read_text(errors='replace')[-LOG_TAIL:]}")
        time.sleep(0.05)  # between two looks at a condition


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a process with the group that it leads."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    try:
        process.wait(END_S)
    except subprocess.TimeoutExpired:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(END_S)
