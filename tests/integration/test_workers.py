"""Workers that crash, hang, lie or never stop: the job says why, the daemon lives."""

import os
import time
import unittest

import harness
from harness import Daemon, alive, wait_for

SUITE = {"name": "s", "defaults": {"Dk": 3, "Dx": 8, "M": 4, "N": 4}, "replicates": 4,
         "budget": "200ms", "layers": [{"name": "good"}, {"name": "bad"}]}

# mode -> what the reason must hold, label of the metric, replicates that are tried
CASES = {
    "segv": (["killed by SIGSEGV", "about to crash"], "signal", 3),
    "garbage": (["not JSON"], "output", 3),
    "no-record": (["without a record", "I have nothing to say"], "output", 3),
    "other-record": (["another replicate"], "output", 3),
    "two-records": (["more than one record"], "output", 3),
    "bad-record": (["not valid"], "output", 3),
    "cut": (["cut off"], "output", 3),
    "exit-3": (["exit status 3", "last line"], "exit_status", 3),
    "endless-line": (["past the limit"], "output", 3),
    "endless-lines": (["too many lines"], "output", 3),
    "wrong": (["outputs wrong", "3 of 100 positions"], "wrong_outputs", 1),
    "wrong-exit-0": (["outputs wrong"], "wrong_outputs", 1),
    "bad-request": (["refused the request", "no such ISA"], "bad_request", 1),
}


class Workers(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.daemon = Daemon(config={"limits": {"worker_deadline": "1s"}}).start()

    @classmethod
    def tearDownClass(cls):
        cls.daemon.finish()

    def failed(self, document=None, timeout=30):
        job = self.daemon.submit(document)
        return self.daemon.wait_state(job, "failed", "done", timeout=timeout)

    def test_misbehaviour_has_a_reason(self):
        for mode, (texts, label, n_tries) in CASES.items():
            with self.subTest(mode=mode):
                self.daemon.set_mode(mode)
                metric = f'dwbench_worker_failures_total{{reason="{label}"}}'
                before = self.daemon.metrics()[metric]
                n_before = len(self.daemon.requests())
                job = self.failed()
                self.assertEqual(job["state"], "failed")
                for text in texts:
                    self.assertIn(text, job["reason"])
                self.assertTrue(job["reason"].isprintable(), job["reason"])
                self.assertEqual(len(self.daemon.requests()) - n_before, n_tries)
                self.assertEqual(self.daemon.metrics()[metric], before + n_tries)
                events = self.daemon.events(job["id"])
                self.assertEqual((events[-1]["event"], events[-1]["state"]), ("done", "failed"))
                self.assertNotIn("result", [event["event"] for event in events])
        self.daemon.set_mode("ok")
        self.daemon.wait_state(self.daemon.submit(), "done")

    def test_hang_ends_at_the_deadline(self):
        self.daemon.set_mode("hang")
        n_before = len(self.daemon.worker_pids())
        start = time.monotonic()
        job = self.failed()
        self.assertLess(time.monotonic() - start, 10)
        self.assertIn("deadline", job["reason"])
        pids = self.daemon.worker_pids()[n_before:]
        self.assertEqual(len(pids), 3)
        self.assertFalse(any(alive(pid) for pid in pids))

    def test_a_grandchild_that_holds_the_pipe_does_not_hold_the_job(self):
        self.daemon.set_mode("grandchild")
        n_before = len(self.daemon.worker_pids())
        job = self.failed()
        self.assertIn("without a record", job["reason"])
        wait_for(lambda: not any(alive(pid) for pid in self.daemon.worker_pids()[n_before:]), 5)

    def test_a_flood_on_stderr_does_no_harm(self):
        self.daemon.set_mode("endless-stderr")
        job = self.daemon.submit()
        self.assertEqual(self.daemon.wait_state(job, "done", "failed")["state"], "done")

    def test_too_much_memory(self):
        with Daemon(config={"limits": {"memory": "256MiB"}}, mode="memory") as daemon:
            job = daemon.wait_state(daemon.submit(), "failed", "done")
            self.assertIn("more memory than the limit", job["reason"])
            self.assertEqual(daemon.metrics()['dwbench_worker_failures_total{reason="memory"}'], 3)

    def test_a_crash_is_measured_again(self):
        with Daemon(mode="segv:bad:2") as daemon:
            job = daemon.submit(SUITE)
            events = daemon.events(job)
            self.assertEqual(events[-1]["state"], "done", events[-1])
            failed = [e for e in events if e["event"] == "replicate" and not e["ok"]]
            self.assertEqual([e["layer"] for e in failed], ["bad", "bad"])
            self.assertIn("SIGSEGV", failed[0]["reason"])
            asked = daemon.requests()
            self.assertEqual(len(asked), 10)
            self.assertEqual({(layer, i) for layer in ("good", "bad") for i in range(4)},
                             set(asked))

    def test_one_layer_fails_the_job_and_is_named(self):
        with Daemon(mode="segv:bad") as daemon:
            job = daemon.wait_state(daemon.submit(SUITE), "failed", "done")
            self.assertIn("layer bad: 3 replicates failed", job["reason"])

    def test_many_crashes_leave_nothing_behind(self):
        with Daemon(config={"limits": {"worker_failures": 60}}, mode="segv") as daemon:
            wait_for(lambda: daemon.get("/v1/info").json["machine"])
            before = daemon.metrics()["process_open_fds"]
            daemon.wait_state(daemon.submit(), "failed", timeout=60)
            self.assertEqual(len(daemon.requests()), 60)
            wait_for(lambda: daemon.metrics()["process_open_fds"] <= before, 5)
            children = open(f"/proc/{daemon.process.pid}/task/{daemon.process.pid}/children").read()
            self.assertEqual(children, "")

    def test_worker_dies_with_the_daemon(self):
        with Daemon(mode="hang") as daemon:
            daemon.submit()
            pid = wait_for(daemon.worker_pids)[0]
            daemon.kill()
            wait_for(lambda: not alive(pid), 2)


class Broken(unittest.TestCase):
    def test_a_worker_that_cannot_be_executed(self):
        daemon = Daemon()
        daemon.worker = os.path.join(daemon.directory, "broken")
        with open(daemon.worker, "w") as stream:
            stream.write("#!/does/not/exist\n")
        os.chmod(daemon.worker, 0o755)
        with daemon:
            job = daemon.wait_state(daemon.submit(), "failed")
            self.assertIn("cannot be started: No such file", job["reason"])
            info = daemon.get("/v1/info").json
            self.assertIsNone(info["machine"])
            self.assertIn("No such file", info["machine_error"])
            self.assertEqual(info["counters"], [])


if __name__ == "__main__":
    harness.main()
