"""A node that is disconnected and returns: `unshare --net python -m tests.faults.partition FOLDER`.

The process has a network of its own, and the second node another one; a pair of virtual cables joins them, and is
unplugged for a while. Prints the attacks and their outcome as JSON.
"""

import json
import subprocess
import sys
import sysconfig
import time
from pathlib import Path

from elastic.testing import RayCluster
from tests.faults.cluster_faults import AttackedRun, Attacks, Order, belongs, pause

_HEARTBEAT = 4

#: Seconds without a network: first only the heartbeat notices, then Ray gives up the node too.
_CUTS = (3 * _HEARTBEAT, 45)

#: Seconds in which the second node must be busy.
_DROUGHT = 180

ROOT = Path(__file__).parents[2]


class DividedCluster(RayCluster):
    """Two nodes of one CPU in two networks.

    Args:
        far: A process in the network of the second.
    """

    def __init__(self, far: int) -> None:
        super().__init__(cpus=(1, 1))
        self._far = ["nsenter", f"--target={far}", "--net"]
        self.address = f"10.99.0.1:{self.address.rpartition(':')[2]}"
        self.environment["RAY_ADDRESS"] = self.address

    def _command(self, number: int) -> list[str]:
        ray = str(Path(sysconfig.get_path("scripts")) / "ray")
        role = [f"--address={self.address}"]
        if number == 0:
            port = self.address.rpartition(":")[2]
            role = ["--head", f"--port={port}", f"--temp-dir={self.folder}", "--include-dashboard=false"]
        return [
            *(self._far if number else ()), ray, "start", *role, "--block", f"--node-ip-address=10.99.0.{number + 1}",
            "--num-cpus=1", "--disable-usage-stats",
        ]  # fmt: skip


def divide(attacks: Attacks, folder: Path) -> None:
    """Disconnect a node, in a process with its own network; skip this if the system forbids one."""
    probe = ["unshare", "--net", "ip", "link", "add", "elastic0", "type", "veth", "peer", "name", "elastic1"]
    try:
        subprocess.run(probe, capture_output=True, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        attacks.skipped.append(f"a node cut off from the network: {error}")
        return
    command = ["unshare", "--net", sys.executable, "-m", "tests.faults.partition", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        attacks.problems.append(f"a node cut off: ended with {done.returncode}: {done.stderr[-1500:]}")
        return
    told = json.loads(done.stdout.splitlines()[-1])
    attacks.done.update(told["done"])
    attacks.counters.update(told["counters"])
    attacks.runs += told["runs"]
    attacks.entries += told["entries"]
    attacks.problems += told["problems"]


def cut_off(attacked: AttackedRun) -> None:
    """Disconnect the second node of a run, twice."""
    attacked.begin()
    far = attacked.cluster._nodes[1]
    for seconds in _CUTS:
        until = time.monotonic() + _DROUGHT
        while (
            not any(belongs(pid, far) for pid in attacked.busy())
            and time.monotonic() < until
            and not attacked.is_over()
        ):
            pause(0.1)
        if not any(belongs(pid, far) for pid in attacked.busy()):
            attacked.wrong(f"the second node is not at work before it is cut off for {seconds} s: {attacked.where()}")
            break
        _ip("link set elastic0 down")
        goes_on = any(belongs(pid, far) for pid in attacked.busy())
        attacked.attacks.done["node cut off, and going on" if goes_on else "node cut off, and idle"] += 1
        pause(seconds)
        _ip("link set elastic0 up")
    attacked.end()


def _ip(arguments: str, *inside: str) -> None:
    subprocess.run([*inside, "ip", *arguments.split()], check=True)


def _plug(far: int) -> None:
    there = ("nsenter", f"--target={far}", "--net")
    _ip("link set lo up")
    _ip("link add elastic0 type veth peer name elastic1")
    _ip(f"link set elastic1 netns {far}")
    for name, number, inside in (("elastic0", 1, ()), ("elastic1", 2, there)):
        _ip(f"addr add 10.99.0.{number}/24 dev {name}", *inside)
        _ip(f"link set {name} up", *inside)
    _ip("link set lo up", *there)


def main(folder: Path) -> None:
    attacks = Attacks()
    far = subprocess.Popen(["unshare", "--net", "sleep", "3600"])
    try:
        while Path(f"/proc/{far.pid}/ns/net").readlink() == Path("/proc/self/ns/net").readlink():
            pause(0.01)
        _plug(far.pid)
        with DividedCluster(far.pid) as cluster:
            order = Order(entries=20_000, seconds=0.2, options={"heartbeat": _HEARTBEAT})
            cut_off(AttackedRun(cluster, folder / "home", order, attacks, "a node cut off"))
    finally:
        far.kill()
        far.wait()
    sys.stdout.write(f"{json.dumps({name: getattr(attacks, name) for name in attacks.__slots__})}\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
