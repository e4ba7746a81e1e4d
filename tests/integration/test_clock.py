"""A wall clock that jumps by a year, forwards and back, while jobs run: nothing may depend on it.

libfaketime shifts the clock of the daemon alone, and only CLOCK_REALTIME: the file that says by how
much is read again at each call.
"""

import datetime
import glob
import os
import sys
import threading
import time
import unittest

import harness
from harness import TINY, Daemon, wait_for

LIBRARIES = glob.glob("/usr/lib/*/faketime/libfaketimeMT.so.1")
YEAR_S = 365 * 86400
DRAIN_S = 3


class Clock(unittest.TestCase):
    def setUp(self):
        self.daemon = Daemon(mode="slow0.1", config={
            "drain_timeout": f"{DRAIN_S}s", "limits": {"worker_deadline": "20s"},
            "http": {"idle_timeout": "60s", "header_deadline": "20s"}})
        self.addCleanup(self.daemon.close)
        # The library leaves descriptors open, and the fake worker wants to see none.
        self.daemon.worker = os.path.join(self.daemon.directory, "worker")
        with open(self.daemon.worker, "w") as stream:
            stream.write("#!/bin/sh\nunset LD_PRELOAD\n"
                         f"exec {harness.FAKE_WORKER} \"$@\" 3>&- 4>&- 5>&- 6>&-\n")
        os.chmod(self.daemon.worker, 0o755)
        self.shift_file = os.path.join(self.daemon.directory, "shift")
        self.shift(0)
        self.daemon.env = {"LD_PRELOAD": LIBRARIES[0], "FAKETIME_NO_CACHE": "1",
                           "FAKETIME_TIMESTAMP_FILE": self.shift_file,
                           "FAKETIME_DONT_FAKE_MONOTONIC": "1"}

    def shift(self, seconds):
        with open(self.shift_file + ".new", "w") as stream:
            stream.write(f"{seconds:+d}s\n")
        os.rename(self.shift_file + ".new", self.shift_file)

    def created(self, job):
        """Seconds from the true time to what the daemon took it for."""
        at = datetime.datetime.fromisoformat(self.daemon.job(job)["created_at"])
        return at.timestamp() - time.time()

    def test_jumps_while_jobs_run(self):
        daemon = self.daemon.start()
        kept = daemon.connect()
        kept.request("GET", "/healthz")
        kept.getresponse().read()
        jobs, events = [], {}
        for seconds in (0, YEAR_S, -YEAR_S, 0):
            self.shift(seconds)
            job = daemon.submit({**TINY, "name": f"at{seconds}"})
            jobs.append(job)
            self.assertAlmostEqual(self.created(job), seconds, delta=60,
                                   msg="the clock has not been shifted: this test shows nothing")
            thread = threading.Thread(
                target=lambda job=job: events.update({job: daemon.events(job)}))
            thread.start()
            self.addCleanup(thread.join)
            time.sleep(0.15)  # into the middle of a replicate
        for job in jobs:
            daemon.wait_state(job, "done")
            wait_for(lambda: job in events)
            self.assertEqual(events[job][-1]["event"], "done")
            self.assertEqual([e["replicate"] for e in events[job] if e["event"] == "replicate"],
                             [0, 1, 2, 3], "each once, none failed by a deadline")
        self.assertEqual([job["id"] for job in daemon.get("/v1/jobs").json["jobs"]], jobs[::-1],
                         "in the order of acceptance, whatever the clock said")
        kept.request("GET", "/healthz")
        self.assertEqual(kept.getresponse().status, 200, "no idle timeout by the wall clock")
        kept.close()

    def test_restart_in_the_past_and_drain(self):
        self.shift(YEAR_S)
        daemon = self.daemon.start()
        first = daemon.submit(TINY)
        daemon.wait_state(first, "done")
        waiting = [daemon.submit({**TINY, "replicates": 20}) for _ in range(2)]
        daemon.wait_state(waiting[0], "running")
        self.shift(-YEAR_S)
        began = time.monotonic()
        self.assertEqual(daemon.stop(), 0)
        self.assertLess(time.monotonic() - began, DRAIN_S + 2)
        daemon.set_mode("ok")
        daemon.start()
        self.assertEqual(daemon.get(f"/v1/jobs/{first}/result").status, 200)
        for job in waiting:
            daemon.wait_state(job, "done")
        latest = daemon.submit(TINY)
        self.assertEqual([job["id"] for job in daemon.get("/v1/jobs").json["jobs"]],
                         [latest, *waiting[::-1], first])
        self.assertEqual(daemon.metrics()['dwbench_jobs{state="done"}'], 3)


if __name__ == "__main__":
    if os.environ.get("DWB_SANITIZED"):
        print("the sanitizer wants to be the first library that is loaded")
        sys.exit(77)
    if not LIBRARIES:
        print("libfaketime is not installed (scripts/packages test)")
        sys.exit(77)
    harness.main()
