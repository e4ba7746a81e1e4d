"""A thousand workers that crash, lie or hang: the daemon lives, keeps nothing of them, and each job says
why. The worker is tests/crash/fast_worker.c, which does what the name of its layer says."""

import collections
import os
import time
import unittest

import harness
from harness import Daemon, alive, wait_for

WORKER = os.environ["DWB_FAST_WORKER"]
N_CRASHES = 1000
# mode -> what its reason must hold
REASONS = {
    "segv": "killed by SIGSEGV", "ill": "killed by SIGILL", "kill": "killed by SIGKILL",
    "exit": "exit status 3", "e255": "exit status 255", "garbage": "not JSON",
    "half": "killed by SIGSEGV", "cut": "cut off", "long": "past the limit",
}
QUOTAS = {"queued_jobs_per_uid": 2000, "queued_jobs_total": 2000}


def layer(name):
    return {"name": name, "Dk": 3, "Dx": 8, "M": 4, "N": 4, "budget": "200ms", "replicates": 1}


def resident_bytes(pid):
    try:
        with open(f"/proc/{pid}/statm") as stream:
            return int(stream.read().split()[1]) * os.sysconf("SC_PAGESIZE")
    except (FileNotFoundError, ProcessLookupError):
        return 0


def first_pid(path):
    """0 until there is one."""
    try:
        with open(path) as stream:
            line = stream.readline()
    except FileNotFoundError:
        return 0
    return int(line.split()[0]) if line.endswith("\n") else 0


class Crashes(unittest.TestCase):
    def settled(self, daemon):
        """What the daemon holds when nothing is under way."""
        children = f"/proc/{daemon.process.pid}/task/{daemon.process.pid}/children"
        with open(children) as stream:
            self.assertEqual(stream.read(), "")
        return daemon.metrics()["process_open_fds"]

    def test_a_thousand(self):
        modes = [mode for mode in REASONS if mode != "long"]
        names = [f"{modes[i % len(modes)]}_{i}" for i in range(N_CRASHES - 20)]
        names += [f"long_{i}" for i in range(20)]
        with Daemon(worker=WORKER, config={"limits": {"worker_failures": 1}, "quotas": QUOTAS}) as daemon:
            daemon.wait_state(daemon.submit(layer("ok")), "done")
            n_fds, memory = self.settled(daemon), resident_bytes(daemon.process.pid)
            jobs = {name: daemon.submit(layer(name)) for name in names}
            good = daemon.submit(layer("ok"))
            daemon.wait_state(good, "done", timeout=500)
            outcomes = collections.Counter()
            for name, job in jobs.items():
                status = daemon.job(job)
                mode = name.split("_")[0]
                self.assertEqual(status["state"], "failed", status)
                self.assertIn(REASONS[mode], status["reason"])
                outcomes[mode] += 1
            self.assertEqual(sum(outcomes.values()), N_CRASHES)
            failures = sum(value for name, value in daemon.metrics().items()
                           if name.startswith("dwbench_worker_failures_total"))
            self.assertEqual(failures, N_CRASHES)
            wait_for(lambda: self.settled(daemon) <= n_fds, 5)
            if not os.environ.get("DWB_SANITIZED"):  # which keeps what was freed
                self.assertLess(resident_bytes(daemon.process.pid), memory + (64 << 20))
            print(f"{N_CRASHES} workers crashed:",
                  ", ".join(f"{mode} {n}" for mode, n in sorted(outcomes.items())))


class Limits(unittest.TestCase):
    """Past its limit a worker is gone within a second."""

    def gone_after(self, daemon, mode, is_past):
        """Seconds from the first look at which the worker is past its limit to its end."""
        pids = os.path.join(daemon.directory, "pids")
        job = daemon.submit(layer(mode))
        pid = wait_for(lambda: first_pid(pids))
        wait_for(lambda: is_past(pid), 20, lambda: "never past its limit")
        start = time.monotonic()
        wait_for(lambda: not alive(pid), 20)
        seconds = time.monotonic() - start
        return seconds, daemon.wait_state(job, "failed", "done")

    def daemon(self, limits):
        daemon = Daemon(worker=WORKER, config={"limits": {"worker_failures": 1, **limits}})
        daemon.env["FAST_WORKER_PIDS"] = os.path.join(daemon.directory, "pids")
        return daemon

    def test_memory(self):
        with self.daemon({"memory": "256MiB"}) as daemon:
            seconds, job = self.gone_after(daemon, "memory",
                                           lambda pid: resident_bytes(pid) > 256 << 20 or not alive(pid))
            self.assertLess(seconds, 1)
            self.assertIn("more memory than the limit", job["reason"])

    def test_time(self):
        for mode in ("mute", "closed"):
            with self.subTest(mode=mode), self.daemon({"worker_deadline": "400ms"}) as daemon:
                start = time.monotonic()
                seconds, job = self.gone_after(
                    daemon, mode, lambda pid: time.monotonic() - start > 0.4 or not alive(pid))
                self.assertLess(seconds, 1)
                self.assertIn("deadline", job["reason"])


if __name__ == "__main__":
    harness.main()
