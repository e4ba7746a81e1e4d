"""dwbenchctl and dwbench-worker while their calls fail: call k of memory, files, sockets and
descriptors, once, and with every call after it (tests/crash/faults.c is linked into both). No
signal and no hang; what leaves with 0 has written all that it writes in peace, and what leaves with
another status has said why. Beside what harness.py takes from the environment, DWB_FAULTY_CTL and
DWB_FAULTY_WORKER name the two programs; DWB_TEST_SEED chooses the calls."""

import json
import os
import random
import shutil
import struct
import subprocess
import sys
import tempfile
import unittest

import harness

sys.path.insert(0, os.path.join(harness.SOURCE_ROOT, "scripts"))
from faulty import Control  # noqa: E402

CTL = os.environ["DWB_FAULTY_CTL"]
FAULTY_WORKER = os.environ["DWB_FAULTY_WORKER"]
DATA = os.path.join(harness.SOURCE_ROOT, "tests", "unit", "data")
SEED = int(os.environ.get("DWB_TEST_SEED", "1"))
THOROUGH = bool(os.environ.get("DWB_TEST_THOROUGH"))  # else at most RUNS
HANG_S = 60
RUNS = 6  # of a command, for each of the two ways to fail and each kind of call
# What a program asks for seldom is failed by name, or memory would hide it.
NAMES = ("", "open", "mmap", "socket", "send", "recv", "poll", "read", "pipe2", "fork", "eventfd",
         "ftruncate", "pread", "pidfd_open")


class ProgramControl(Control):
    def arm(self, fail_at, for_good, only):
        struct.pack_into("6Q32s32s3Q", self.memory, 0, 1, fail_at, for_good, 0, 0, 0, b"",
                         only.encode(), 0, 0, 1)


class Faulty(unittest.TestCase):
    def setUp(self):
        self.directory = tempfile.mkdtemp(prefix="program-faults-", dir="/tmp")
        self.addCleanup(shutil.rmtree, self.directory, ignore_errors=True)
        self.path = os.path.join(self.directory, "control")
        self.control = ProgramControl(self.path)
        self.random = random.Random(SEED)
        self.n_runs = self.n_failures = 0

    def run_once(self, command, stdin, fail_at, for_good, only):
        self.control.arm(fail_at, for_good, only)
        done = subprocess.run(command, input=stdin, capture_output=True, timeout=HANG_S,
                              cwd=self.directory,
                              env={**os.environ, "DWB_FAULTS": self.path, "LC_ALL": "C.UTF-8",
                                   "TMPDIR": self.directory})
        return done, self.control["n_calls"]

    def fail_all(self, command, check, stdin=b"", fine=(0,), names=NAMES, runs=RUNS):
        for name in names:
            _, n = self.run_once(command, stdin, 0, 0, name)
            for for_good in (0, 1):
                for k in sorted(self.random.sample(range(1, n + 1), min(
                        n, runs if THOROUGH else min(runs, RUNS)))):
                    done, _ = self.run_once(command, stdin, k, for_good, name)
                    about = (f"{command} {name} call {k} of {n}{' and on' * for_good}"
                             f" ({self.control.call_name()}): {done.returncode}\n"
                             f"{done.stdout[-400:]}\n{done.stderr[-2000:]}")
                    self.n_runs += 1
                    if done.returncode in fine:
                        check(done.stdout, about)
                        continue
                    self.n_failures += 1
                    self.assertIn(done.returncode, (1, 2, 3, 4, 5), about)
                    if name or not for_good:  # else the words cannot be written either
                        self.assertNotEqual(done.stderr, b"", about)
        self.assertGreater(self.n_failures, 0, command)


class Client(Faulty):
    def setUp(self):
        super().setUp()
        self.daemon = harness.Daemon()
        self.addCleanup(self.daemon.close)
        self.daemon.start()
        self.job = self.daemon.submit()
        self.daemon.wait_state(self.job, "done")
        self.daemon.request("PUT", "/v1/baselines/net", body=json.dumps({"job": self.job}))

    def ctl(self, *arguments):
        return [CTL, arguments[0], "--socket", self.daemon.socket, *arguments[1:]]

    def same(self, command, change=lambda text: text):
        """A check: what succeeds writes what it writes in peace."""
        wanted = change(self.run_once(command, b"", 0, 0, "")[0].stdout)
        self.assertNotEqual(wanted, b"")

        def check(stdout, about):
            if b"no memory for it" not in stdout:
                self.assertEqual(change(stdout), wanted, about)
        return check

    def test_reading(self):
        for arguments in (["result", self.job], ["result", self.job, "-f", "json"],
                          ["result", self.job, "-f", "html"], ["list"], ["status", self.job],
                          ["watch", self.job, "-f", "csv"], ["compare", self.job, self.job],
                          ["baseline", "list"], ["suites", "show", "mobilenet_v1"]):
            command = self.ctl(*arguments) if arguments[0] != "suites" else [CTL, *arguments]
            check = self.same(command)
            self.fail_all(command, check, names=NAMES[:1], runs=40)
            self.fail_all(command, check, names=NAMES[1:7], runs=3)

    def test_what_changes(self):
        """Their output has times and figures of the moment in it."""
        def not_empty(stdout, about):
            self.assertNotEqual(stdout, b"", about)
        for arguments in (["status"], ["metrics"], ["doctor"], ["version"]):
            self.fail_all(self.ctl(*arguments), not_empty, names=NAMES[:1], runs=40)
            self.fail_all(self.ctl(*arguments), not_empty, names=NAMES[1:7], runs=3)

    def test_submitting(self):
        """Once there is an id, the job is there."""
        def check(stdout, about):
            job = stdout.decode().strip()
            self.assertRegex(job, "^[0-9a-z]{20}$", about)
            self.assertEqual(self.daemon.get("/v1/jobs/" + job).status, 200, about)
        layer = ["--layer", "Dk=3,Dx=8,M=8,N=8", "--budget", "200ms", "--replicates", "4"]
        self.fail_all(self.ctl("submit", *layer, "--idempotency-key", "one"), check)

    def test_alone(self):
        """run has a daemon of its own, whatever becomes of it, and leaves nothing behind."""
        def check(stdout, about):
            self.assertIn(b"tiny", stdout, about)
        layer = ["--layer", "Dk=3,Dx=8,M=8,N=8,name=tiny", "--budget", "200ms", "--replicates",
                 "4", "--precision", "50%"]
        own = shutil.copy(CTL, self.directory)  # it looks for the daemon beside itself
        os.symlink(harness.DAEMON, os.path.join(self.directory, "dwbenchd"))
        self.fail_all([own, "run", *layer, "-q"], check, fine=(0, 5),  # 5: a busy machine
                      names=("open", "socket", "fork", "pidfd_open"), runs=1)
        self.assertEqual([name for name in os.listdir(self.directory)
                          if name.startswith("dwbench-run")], [])


class Worker(Faulty):
    LAYER = ["--layer", "Dk=3,Dx=8,M=8,N=8", "--slice", "20ms"]

    def check_line(self, kind):
        def check(stdout, about):
            lines = [json.loads(line) for line in stdout.splitlines()]
            self.assertTrue(lines, about)
            self.assertEqual(lines[-1]["type"], kind, about)
            if kind == "replicate":
                self.assertTrue(lines[-1]["samples"], about)
        return check

    def test_replicates(self):
        for more in ([], ["--cache", "cold"], ["--a", "native", "--b", "native,+1/50"],
                     ["--no-sandbox"]):
            self.fail_all([FAULTY_WORKER, *self.LAYER, *more], self.check_line("replicate"),
                          names=("", "open", "mmap"), runs=5)

    def test_requests(self):
        request = {"replicate": 0, "cpu": max(os.sched_getaffinity(0)), "seed": 1,
                   "layer": {"name": "a", "Dk": 3, "Dx": 8, "M": 8, "N": 8}, "slice_ns": 20000000}
        self.fail_all([FAULTY_WORKER], self.check_line("replicate"), json.dumps(request).encode(),
                      runs=50)

    def test_probe(self):
        self.fail_all([FAULTY_WORKER, "--probe"], self.check_line("probe"), runs=80)


if __name__ == "__main__":
    unittest.main(verbosity=2)
