"""A sync that fails under the daemon: it stops acknowledging, leaves with an error, and a restart has all
that was accepted. The daemon is the one whose calls fail on demand (tests/crash/faults.c)."""

import mmap
import os
import struct
import unittest

import harness
from harness import TINY, Daemon, wait_for

FAULTY = os.environ["DWB_FAULTY_DAEMON"]
WORKER = os.environ["DWB_FAST_WORKER"]
IS_ARMED, FAIL_AT, FOR_GOOD, N_CALLS, N_FAILED = range(5)  # words of struct control
ONLY = 80


class FaultyDaemon(Daemon):
    def __init__(self, **kwargs):
        super().__init__(worker=WORKER, **kwargs)
        path = os.path.join(self.directory, "control")
        with open(path, "wb") as stream:
            stream.write(bytes(4096))
        with open(path, "r+b") as stream:
            self.control = mmap.mmap(stream.fileno(), 4096)
        self.env["DWB_FAULTS"] = path

    def command(self, *more):
        return [FAULTY, *super().command(*more)[1:]]

    def word(self, index):
        return struct.unpack_from("Q", self.control, 8 * index)[0]

    def set_words(self, **words):
        for name, value in words.items():
            struct.pack_into("Q", self.control, 8 * globals()[name.upper()], value)

    def fail(self, name, at=1):
        """The call of that name that comes then, and no other; from now on they are counted."""
        self.control[ONLY:ONLY + 32] = name.encode().ljust(32, b"\0")
        self.set_words(n_calls=0, n_failed=0, fail_at=at, for_good=0, is_armed=1)

    def disarm(self):
        self.set_words(is_armed=0)


class FailedSync(unittest.TestCase):
    def check(self, name, at):
        daemon = FaultyDaemon()
        self.addCleanup(daemon.close)
        daemon.start()
        before = daemon.submit(headers={"Idempotency-Key": "before"})
        daemon.wait_state(before, "done")
        daemon.fail(name, at)
        refused = daemon.post(TINY, headers={"Idempotency-Key": "refused"})
        self.assertEqual((refused.status, refused.json["code"]), (503, "store_failed"))
        self.assertNotEqual(daemon.wait(20), 0)
        self.assertEqual(daemon.word(N_FAILED), 1)
        self.assertEqual(daemon.word(N_CALLS), at, "a failed sync is not tried again")
        self.assertIn("nothing more is acknowledged", daemon.log())
        daemon.disarm()
        daemon.start()
        self.assertEqual(daemon.job(before)["state"], "done")
        self.assertEqual(daemon.get(f"/v1/jobs/{before}/result").status, 200)
        self.assertEqual(daemon.submit(headers={"Idempotency-Key": "before"}), before)
        again = daemon.submit(headers={"Idempotency-Key": "refused"})
        daemon.wait_state(again, "done")
        daemon.finish()

    def test_of_the_log(self):
        self.check("fdatasync", 1)

    def test_reads_go_on_until_it_leaves(self):
        daemon = FaultyDaemon()
        self.addCleanup(daemon.close)
        daemon.start()
        job = daemon.submit()
        daemon.wait_state(job, "done")
        daemon.fail("fdatasync")
        with_connection = daemon.connect()
        self.assertEqual(daemon.post(TINY).status, 503)
        self.assertEqual(daemon.get("/v1/jobs/" + job).status, 200)
        self.assertEqual(daemon.get("/metrics").status, 200)
        self.assertEqual(daemon.get("/healthz").status, 503)
        self.assertEqual(daemon.post(TINY).status, 503)
        self.assertNotEqual(daemon.wait(20), 0)

    def test_at_the_start(self):
        """The log that an earlier life left cannot be made durable: no start, and none of it is lost."""
        daemon = FaultyDaemon()
        self.addCleanup(daemon.close)
        daemon.start()
        job = daemon.submit()
        daemon.wait_state(job, "done")
        daemon.kill()
        daemon.fail("fdatasync")
        daemon.start(wait=False)
        self.assertNotEqual(daemon.wait(20), 0)
        self.assertEqual(daemon.word(N_FAILED), 1)
        self.assertEqual(daemon.word(N_CALLS), 1, "a failed sync is not tried again")
        daemon.disarm()
        daemon.start()
        wait_for(lambda: daemon.job(job)["state"] == "done")
        daemon.finish()


if __name__ == "__main__":
    harness.main()
