"""The batch script on Debian's Slurm: two nodes on this machine, each with its own processes, network and /tmp."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "infra" / "slurm" / "xpfeh.sbatch"
BIN = Path(sys.executable).parent

ALONE = ["unshare", "--mount", "--net", "--uts", "--pid", "--fork", "--mount-proc", "--kill-child"]


def may_be_alone() -> bool:
    return subprocess.run([*ALONE, "true"], capture_output=True, check=False).returncode == 0


pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not shutil.which("slurmctld"), reason="needs Debian's slurmctld, slurmd and slurm-client"),
    pytest.mark.skipif(not may_be_alone(), reason="only root can start nodes with a network of their own"),
]

# Without cgroups Slurm loses Ray's daemons when it kills a job; the epilog ends them, as proctrack/cgroup would.
SLURM_CONF = """
ClusterName=two
SlurmctldHost=control(10.9.0.254)
SlurmUser=root
SlurmdUser=root
AuthType=auth/none
CredType=cred/none
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/%n
SlurmctldPidFile={folder}/control.pid
SlurmdPidFile={folder}/%n.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
MailProg=/bin/true
SelectType=select/cons_tres
SlurmdParameters=config_overrides
Epilog={folder}/epilog
NodeName=n1 NodeAddr=10.9.0.1 CPUs=2 RealMemory=1000
NodeName=n2 NodeAddr=10.9.0.2 CPUs=2 RealMemory=1000
PartitionName=all Nodes=ALL Default=YES
"""
EPILOG = f"#!/bin/bash\n{BIN}/ray stop --force >/dev/null 2>&1\nexit 0\n"
# `ray stop` ends every Ray that it sees: a node sees its own processes only. Folders below /tmp that are shared follow.
CONTROL = """
set -e
folder=$1; shift
mount -t tmpfs none /run
mkdir /run/netns
hostname control
ip link set lo up
ip link add name switch type bridge
ip addr add 10.9.0.254/24 dev switch
ip link set switch up
for i in 1 2; do
    ip netns add n$i
    ip link add name port$i type veth peer name eth0 netns n$i
    ip link set port$i master switch up
    nsenter --net=/run/netns/n$i unshare --uts --mount --pid --fork --mount-proc --kill-child bash -c '
        set -e
        hostname n$0
        ip link set lo up
        ip addr add 10.9.0.$0/24 dev eth0
        ip link set eth0 up
        ip route add default via 10.9.0.254
        for shared in "$@"; do
            mkdir -p "$SLURM_FOLDER/tmp$0/${shared#/tmp/}"
            mount --bind "$shared" "$SLURM_FOLDER/tmp$0/${shared#/tmp/}"
        done
        mount --rbind "$SLURM_FOLDER/tmp$0" /tmp
        slurmd -D -N n$0 & wait' $i "$@" &
done
slurmctld -D & wait
"""


@dataclass
class Cluster:
    """A Slurm cluster, the folder that its nodes share, and the process of its controller."""

    folder: Path
    controller: int

    def run(self, *words: str | Path) -> subprocess.CompletedProcess[str]:
        """Run a command on the controller's machine."""
        enter = [
            "timeout",
            "60",
            "nsenter",
            f"--target={self.controller}",
            "--net",
            "--mount",
            "--pid",
            f"--wd={self.folder}",
        ]
        return subprocess.run(
            [*enter, *words], env=environment(self.folder), capture_output=True, text=True, check=False
        )

    def log(self, job: str) -> str:
        return (self.folder / f"xpfeh-{job}.log").read_text()


def environment(folder: Path) -> dict[str, str]:
    here = {name: value for name, value in os.environ.items() if not name.startswith(("RAY_", "SLURM_"))}
    path = f"{folder}:{BIN}:{os.environ['PATH']}:/usr/sbin"
    return here | {"PATH": path, "SLURM_CONF": str(folder / "slurm.conf"), "SLURM_FOLDER": str(folder)}


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    folder = tmp_path_factory.mktemp("slurm")
    for name in ("state", "n1", "n2", "tmp1", "tmp2"):
        (folder / name).mkdir()
    (folder / "slurm.conf").write_text(SLURM_CONF.format(folder=folder))
    (folder / "epilog").write_text(EPILOG)
    (folder / "epilog").chmod(0o755)
    shared = {ROOT, Path(sys.prefix), Path(sys.base_prefix), tmp_path_factory.getbasetemp()}
    below_tmp = [path for path in sorted(shared) if path.is_relative_to("/tmp")]
    command = [*ALONE, "bash", "-c", CONTROL, "control", folder, *below_tmp]
    with (
        (folder / "daemons.log").open("w") as log,
        psutil.Popen(command, env=environment(folder), stdout=log, stderr=log) as process,
    ):
        try:
            yield started(folder, process)
        finally:
            process.kill()


def started(folder: Path, process: psutil.Popen) -> Cluster:
    """Wait until both nodes are ready."""
    for _ in range(60):
        time.sleep(1)
        if process.poll() is None and (inside := process.children()):
            cluster = Cluster(folder, inside[0].pid)
            if cluster.run("sinfo", "--noheader", "--states=idle", "--format=%D").stdout.strip() == "2":
                return cluster
    raise AssertionError((folder / "daemons.log").read_text())


def submit(cluster: Cluster, *words: str | Path) -> str:
    done = cluster.run("sbatch", "--parsable", *words)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def until(cluster: Cluster, job: str, *states: str) -> str:
    """Wait until a job is in one of some states; return it with the exit code and the number of restarts."""
    for _ in range(300):
        time.sleep(1)
        words = cluster.run("scontrol", "--oneliner", "show", "job", job).stdout.split()
        shown = dict(word.split("=", 1) for word in words if "=" in word)
        if shown["JobState"] in states:
            return f"{shown['JobState']} {shown['ExitCode']} {shown['Restarts']}"
    raise AssertionError(cluster.log(job))


def end(cluster: Cluster, job: str) -> str:
    return until(cluster, job, "COMPLETED", "FAILED", "CANCELLED", "NODE_FAIL", "TIMEOUT")


def verify(dataset: Path) -> str:
    return subprocess.run([BIN / "xpfeh", "verify", dataset], capture_output=True, text=True, check=True).stdout


def test_two_nodes_make_a_catalog(cluster: Cluster, features_dir: Path, tmp_path: Path) -> None:
    catalog = tmp_path / "catalog"
    command = ["catalog", "run", "--features", features_dir, "--out", catalog, "--model", "pretrained"]
    job = submit(cluster, "--nodes=2", SCRIPT, *command)
    assert "Authentication" in of_a_stranger(cluster, job)
    assert end(cluster, job) == "COMPLETED 0:0 0", cluster.log(job)
    assert "each star exactly once" in verify(catalog)
    assert "On worker node. Connecting to Ray cluster at 10.9.0.1" in cluster.log(job)
    assert ",CPU,2," in cluster.log(job)
    for node in ("tmp1", "tmp2"):
        assert not list((cluster.folder / node).glob("xpfeh-*"))


def of_a_stranger(cluster: Cluster, job: str) -> str:
    """The reply of a job's head to a client without the token."""
    log = cluster.folder / f"xpfeh-{job}.log"
    while not log.exists() or "Head node started" not in log.read_text():
        time.sleep(0.5)
    head = f"10.9.0.1:{20000 + int(job)}"
    ask = f"from ray._raylet import GcsClient; GcsClient(address='{head}').check_alive([], timeout=5)"
    return cluster.run(BIN / "python", "-c", ask).stderr


def test_a_wrong_command_fails_the_job_with_its_exit_code(cluster: Cluster) -> None:
    """In an image; a stand-in for Apptainer runs its arguments."""
    (cluster.folder / "apptainer").write_text('#!/bin/bash\necho "in $2"\nshift 2\nexec "$@"\n')
    (cluster.folder / "apptainer").chmod(0o755)
    image = "--export=ALL,XPFEH_IMAGE=my image.sif"
    job = submit(cluster, image, SCRIPT, "ingest", "nothing of this name", "--out", "nothing")
    assert end(cluster, job) == "FAILED 2:0 0"
    assert "in my image.sif\n" in cluster.log(job)
    assert "\nxpfeh: nothing of this name: " in cluster.log(job)


def test_a_job_whose_ray_does_not_start_fails(cluster: Cluster) -> None:
    """`ray symmetric-run` itself returns 0 here."""
    job = submit(cluster, "--export=ALL,RAY_OVERRIDE_RESOURCES=none", SCRIPT, "flags")
    assert end(cluster, job) == "FAILED 1:0 0"
    assert "Failed to start Ray" in cluster.log(job)


def test_a_requeued_job_resumes(cluster: Cluster, tmp_path: Path) -> None:
    features = tmp_path / "features"
    job = submit(cluster, SCRIPT, "ingest", "apogee-library", "--out", features)
    while not (before := {part: part.stat().st_mtime_ns for part in features.glob("part-*.parquet")}):
        time.sleep(0.1)
    assert len(before) < 8
    requeue(cluster, job)
    assert end(cluster, job) == "COMPLETED 0:0 1", cluster.log(job)
    assert before == {part: part.stat().st_mtime_ns for part in before}
    assert "each star exactly once" in verify(features)


def requeue(cluster: Cluster, job: str) -> None:
    """As Slurm does when a node is lost, without its pause of two minutes."""
    assert cluster.run("scontrol", "requeue", job).returncode == 0
    until(cluster, job, "PENDING")
    assert cluster.run("scontrol", "update", f"JobId={job}", "StartTime=now").returncode == 0
