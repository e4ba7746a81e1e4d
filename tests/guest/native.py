"""The machine itself in the guest's place: where it has a PMU that this user may count with, the
suite of the guest runs here as well, with the programs of the native build directory. No setting of
the machine is touched."""

import json
import os
import shutil
import subprocess
import tempfile

import guest


def _environment(build, directory):
    path = ":".join(os.path.join(build, room) for room in ("client", "measure", "daemon"))
    kept = {key: value for key, value in os.environ.items() if key != "XDG_RUNTIME_DIR"}
    return {**kept, "PATH": path + ":" + os.environ["PATH"], "TMPDIR": directory,
            "HOME": directory}


def check(build):
    """Raises guest.Unavailable unless hardware counters count here."""
    probe = subprocess.run([os.path.join(build, "measure", "dwbench-worker"), "--probe"],
                           check=True, stdout=subprocess.PIPE).stdout
    counters = {counter["name"]: counter for counter in json.loads(probe)["counters"]}
    if counters["instructions"]["source"] != "hardware":
        raise guest.Unavailable(counters["instructions"]["reason"])


def run(build, command, timeout):
    """The shell command; (its status, what it wrote)."""
    directory = tempfile.mkdtemp(prefix="dwbench-native-", dir="/tmp")
    try:
        done = subprocess.run(["sh", "-c", command], stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=directory,
                              env=_environment(build, directory), timeout=timeout, check=False)
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    return done.returncode, done.stdout.decode(errors="replace")
