"""Start, restart, crash, drain, activation, a full disk: nothing accepted is lost or done twice."""

import json
import os
import shutil
import signal
import socket
import sqlite3
import stat
import subprocess
import tempfile
import threading
import time
import unittest

import harness
from harness import TINY, Daemon, alive, wait_for

SUITE = {"name": "s", "defaults": {"Dk": 3, "Dx": 8, "M": 4, "N": 4}, "replicates": 5,
         "budget": "200ms", "layers": [{"name": name} for name in "abc"]}


class Restart(unittest.TestCase):
    def test_kill_9_in_the_middle(self):
        with Daemon(mode="slow0.1") as daemon:
            job = daemon.submit(SUITE)
            later = daemon.submit(TINY)
            wait_for(lambda: daemon.job(job)["progress"]
                     and daemon.job(job)["progress"]["replicates_done"] >= 4)
            daemon.kill()
            kept = self.stored(daemon, job)
            self.assertGreaterEqual(len(kept), 4)
            n_asked = len(daemon.requests())
            daemon.set_mode("ok")
            restarted = time.monotonic()
            daemon.start()
            events = daemon.events(job)
            self.assertEqual(events[-1]["state"], "done", events[-1])
            daemon.wait_state(later, "done")
            again = [request for request in daemon.requests()[n_asked:] if request[0] != "tiny"]
            expected = {(name, i) for name in "abc" for i in range(5)}
            self.assertEqual(sorted(again), sorted(expected - kept))
            self.assertEqual(self.stored(daemon, job), expected)
            told = [(e["layer"], e["replicate"]) for e in events if e["event"] == "replicate"]
            self.assertEqual(sorted(told), sorted(expected))
            result = daemon.get(f"/v1/jobs/{job}/result").json
            self.assertEqual([layer["layer"]["name"] for layer in result["results"]],
                             ["a", "b", "c"])
            # The pause is in no figure: only what was measured since, on the clock since then.
            measuring = result["job"]["measuring"]
            self.assertEqual(measuring["replicates"], len(again))
            self.assertEqual(measuring["kernel_ns"], len(again) * 10e6)
            self.assertLess(measuring["wall_ns"], (time.monotonic() - restarted) * 1e9)
            for layer in result["results"]:
                self.assertEqual(layer["measuring"]["kernel_ns"], layer["replicates"] * 10e6)

    def stored(self, daemon, job):
        database = sqlite3.connect(os.path.join(daemon.state, "dwbench.db"))
        try:
            self.assertEqual(database.execute("PRAGMA integrity_check").fetchall(), [("ok",)])
            [table] = [name for name, in database.execute(
                "SELECT name FROM sqlite_master WHERE type = 'table' AND name LIKE 'repl%'")]
            columns = [row[1] for row in database.execute(f"PRAGMA table_info({table})")]
            text = next(name for name in columns if name in ("record", "document", "text"))
            rows = [json.loads(row[0]) for row in database.execute(f"SELECT {text} FROM {table}")]
            found = [(row["layer"]["name"], row["replicate"]) for row in rows
                     if row["layer"]["name"] in "abc"]
            self.assertEqual(len(found), len(set(found)), "no replicate twice")
            return set(found)
        finally:
            database.close()

    def test_kill_9_at_many_moments(self):
        """With idempotency keys: whatever was acknowledged is there, once, and gets done."""
        accepted = {}
        with Daemon(mode="slow0.01") as daemon:
            for turn in range(6):
                stop = threading.Event()

                def submit():
                    i = 0
                    while not stop.is_set():
                        key = f"{turn}-{i}"
                        try:
                            response = daemon.post(TINY, headers={"Idempotency-Key": key})
                            if response.status == 202:
                                accepted[key] = response.json["id"]
                        except (OSError, harness.http.client.HTTPException):
                            pass
                        i += 1
                        time.sleep(0.01)
                thread = threading.Thread(target=submit)
                thread.start()
                time.sleep(0.1 + 0.03 * turn)
                daemon.process.send_signal(signal.SIGKILL)
                daemon.process.wait()
                stop.set()
                thread.join()
                daemon.start()
            self.assertGreater(len(accepted), 6)
            self.assertEqual(len(set(accepted.values())), len(accepted))
            for key, job in accepted.items():
                self.assertEqual(daemon.post(TINY, headers={"Idempotency-Key": key}).json["id"],
                                 job)
            daemon.set_mode("ok")
            for job in accepted.values():
                daemon.wait_state(job, "done", timeout=60)

    def test_sigterm_drains(self):
        with Daemon(mode="slow0.3", config={"drain_timeout": "8s"}) as daemon:
            job = daemon.submit(TINY)
            wait_for(lambda: len(daemon.requests()) == 2)
            stream = []
            listener = threading.Thread(target=lambda: stream.extend(daemon.events(job)))
            listener.start()
            wait_for(lambda: daemon.metrics()["dwbench_http_connections"] >= 2)
            daemon.signal(signal.SIGTERM)
            self.assertEqual(daemon.wait(8), 0)
            listener.join(5)
            self.assertEqual(stream[-1]["event"], "queued")
            self.assertFalse(os.path.exists(daemon.socket))
            n_asked = len(daemon.requests())
            daemon.set_mode("ok")
            daemon.start()
            daemon.wait_state(job, "done")
            self.assertEqual(sorted(daemon.requests()), [("tiny", i) for i in range(4)],
                             "what was under way had the time to end")
            self.assertLess(n_asked, 4)

    def test_sigterm_kills_what_takes_too_long(self):
        with Daemon(mode="hang", config={"drain_timeout": "1s"}) as daemon:
            job = daemon.submit()
            pid = wait_for(daemon.worker_pids)[0]
            start = time.monotonic()
            daemon.signal(signal.SIGTERM)
            wait_for(lambda: daemon.get("/healthz").status == 503)
            refused = daemon.post(TINY)
            self.assertEqual((refused.status, refused.json["code"]), (503, "draining"))
            self.assertIn("Retry-After", refused.headers)
            self.assertTrue(daemon.get("/v1/info").json["draining"])
            self.assertEqual(daemon.wait(5), 0)
            self.assertLess(time.monotonic() - start, 3)
            self.assertFalse(alive(pid))
            daemon.set_mode("ok")
            daemon.start()
            daemon.wait_state(job, "done")

    def test_sigint_and_a_second_signal(self):
        with Daemon(mode="hang", config={"drain_timeout": "60s"}) as daemon:
            job = daemon.submit()
            pid = wait_for(daemon.worker_pids)[0]
            daemon.signal(signal.SIGINT)
            wait_for(lambda: daemon.get("/healthz").status == 503)
            start = time.monotonic()
            daemon.signal(signal.SIGTERM)
            self.assertEqual(daemon.wait(5), 1)
            self.assertLess(time.monotonic() - start, 2)
            wait_for(lambda: not alive(pid), 2)
            daemon.set_mode("ok")
            daemon.start()
            daemon.wait_state(job, "done")

    def test_cancelled_stays_cancelled(self):
        with Daemon(mode="hang") as daemon:
            job = daemon.submit()
            wait_for(daemon.worker_pids)
            self.assertEqual(daemon.delete(job).status, 200)
            daemon.kill()
            daemon.start()
            self.assertEqual(daemon.job(job)["state"], "cancelled")


class Sockets(unittest.TestCase):
    def test_a_second_daemon(self):
        with Daemon() as daemon:
            other = tempfile.mkdtemp(prefix="daemon-test-", dir="/tmp")
            self.addCleanup(shutil.rmtree, other)
            command = daemon.command()
            command[command.index("--state-dir") + 1] = other
            done = subprocess.run(command, capture_output=True, timeout=10,
                                  env=daemon.environment())
            self.assertEqual(done.returncode, 2)
            self.assertIn(b"another daemon answers", done.stderr)
            command = daemon.command("--socket", os.path.join(other, "sock"))
            done = subprocess.run(command, capture_output=True, timeout=10,
                                  env=daemon.environment())
            self.assertEqual(done.returncode, 2)
            self.assertIn(b"another dwbenchd uses this state directory", done.stderr)
            self.assertFalse(os.path.exists(os.path.join(other, "sock")))
            self.assertEqual(daemon.get("/healthz").status, 200)

    def test_a_stale_socket_is_replaced(self):
        with Daemon() as daemon:
            daemon.kill()
            self.assertTrue(os.path.exists(daemon.socket))
            daemon.start()
            self.assertEqual(daemon.get("/healthz").status, 200)

    def test_what_is_no_socket_is_left_alone(self):
        daemon = Daemon()
        self.addCleanup(daemon.close)
        os.makedirs(os.path.dirname(daemon.socket))
        with open(daemon.socket, "w") as stream:
            stream.write("precious")
        daemon.start(wait=False)
        self.assertEqual(daemon.wait(10), 2)
        with open(daemon.socket) as stream:
            self.assertEqual(stream.read(), "precious")

    def test_modes(self):
        with Daemon(config={"socket_group": str(os.getgid())}) as daemon:
            self.assertEqual(stat.S_IMODE(os.stat(daemon.socket).st_mode), 0o660)
            self.assertEqual(stat.S_IMODE(os.stat(os.path.dirname(daemon.socket)).st_mode), 0o750)
            self.assertEqual(stat.S_IMODE(os.stat(daemon.state).st_mode), 0o750)

    def test_a_path_that_is_too_long(self):
        daemon = Daemon()
        self.addCleanup(daemon.close)
        daemon.socket = "/tmp/" + "x" * 200
        daemon.start(wait=False)
        self.assertEqual(daemon.wait(10), 2)


class Systemd(unittest.TestCase):
    """What systemd does, done by hand: LISTEN_FDS, NOTIFY_SOCKET, WATCHDOG_USEC."""

    def start(self, daemon, listener, **more):
        """As systemd: the socket is descriptor 3, LISTEN_PID is the daemon's own."""
        script = ('import os, sys; os.dup2(int(sys.argv[1]), 3); '
                  'os.environ["LISTEN_PID"] = str(os.getpid()); os.execv(sys.argv[2], sys.argv[2:])')
        command, keep = daemon.command(), ()
        if listener is not None:
            keep = (listener.fileno(),)
            command = ["/usr/bin/python3", "-c", script, str(listener.fileno()), *command]
            more["LISTEN_FDS"] = "1"
        with open(daemon.log_path, "a") as log:
            daemon.process = subprocess.Popen(command, stdout=log, stderr=log, pass_fds=keep,
                                              env={**daemon.environment(), **more})

    def listener(self, daemon):
        listener = socket.socket(socket.AF_UNIX)
        os.makedirs(os.path.dirname(daemon.socket))
        listener.bind(daemon.socket)
        listener.listen(100)
        self.addCleanup(listener.close)
        return listener

    def test_activation_and_restart_without_a_refusal(self):
        daemon = Daemon(mode="slow0.02")
        self.addCleanup(daemon.close)
        listener = self.listener(daemon)
        waiting = daemon.raw()  # before the daemon is there
        waiting.sendall(b"GET /healthz HTTP/1.0\r\n\r\n")
        self.start(daemon, listener)
        self.assertTrue(waiting.recv(100).startswith(b"HTTP/1."))
        waiting.close()
        ids, failures = [], []
        stop = threading.Event()

        def submit():
            while not stop.is_set():
                try:
                    response = daemon.post(TINY)
                    if response.status == 202:
                        ids.append(response.json["id"])
                    elif response.status not in (429, 503):
                        failures.append(response.text)
                except (OSError, harness.http.client.HTTPException) as error:
                    failures.append(repr(error))
                time.sleep(0.02)
        thread = threading.Thread(target=submit)
        thread.start()
        for _ in range(3):
            time.sleep(0.3)
            daemon.signal(signal.SIGTERM)
            self.assertEqual(daemon.wait(10), 0)
            self.assertTrue(os.path.exists(daemon.socket))
            self.start(daemon, listener)
        stop.set()
        thread.join()
        self.assertEqual(failures, [])
        daemon.set_mode("ok")
        for job in ids:
            daemon.wait_state(job, "done", timeout=60)
        self.assertGreater(len(ids), 3)
        self.assertEqual(daemon.stop(), 0)

    def test_what_is_handed_over_must_be_a_listening_unix_socket(self):
        daemon = Daemon()
        self.addCleanup(daemon.close)
        wrong = socket.socket(socket.AF_INET)
        self.addCleanup(wrong.close)
        self.start(daemon, wrong)
        self.assertEqual(daemon.wait(10), 2)
        self.assertIn("needs exactly one listening Unix stream socket", daemon.log())

    def test_notify_and_watchdog(self):
        daemon = Daemon()
        self.addCleanup(daemon.close)
        notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(notify.close)
        path = os.path.join(daemon.directory, "notify")
        notify.bind(path)
        notify.settimeout(10)
        self.start(daemon, None, NOTIFY_SOCKET=path, WATCHDOG_USEC="400000")
        first = notify.recv(4096).decode()
        self.assertIn("READY=1", first)
        self.assertIn("STATUS=", first)
        self.assertEqual(daemon.get("/healthz").status, 200, "ready is ready")
        start = time.monotonic()
        for _ in range(5):
            self.assertEqual(notify.recv(4096), b"WATCHDOG=1")
        self.assertLess(time.monotonic() - start, 2)
        daemon.signal(signal.SIGTERM)
        while b"STOPPING=1" not in notify.recv(4096):
            pass
        self.assertEqual(daemon.wait(10), 0)

    def test_journald_gets_priorities(self):
        daemon = Daemon()
        self.addCleanup(daemon.close)
        with open(daemon.log_path, "a") as log:
            at = os.fstat(log.fileno())
            daemon.env["JOURNAL_STREAM"] = f"{at.st_dev}:{at.st_ino}"
        with daemon:
            self.assertRegex(daemon.log(), "(?m)^<6>.*ready")


class FullDisk(unittest.TestCase):
    def test_a_full_disk_refuses_and_forgets_nothing(self):
        if os.getuid() != 0:
            self.skipTest("needs root to mount a small file system")
        mount = tempfile.mkdtemp(prefix="daemon-test-", dir="/tmp")
        self.addCleanup(shutil.rmtree, mount, True)
        if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", mount],
                          capture_output=True).returncode != 0:
            self.skipTest("may not mount a tmpfs")
        self.addCleanup(subprocess.run, ["umount", "-l", mount])
        daemon = Daemon(config={"quotas": {"queued_jobs_per_uid": 1000}})
        daemon.state = os.path.join(mount, "state")
        filler = os.path.join(mount, "filler")
        with daemon:
            first = daemon.submit()
            daemon.wait_state(first, "done")
            daemon.set_mode("slow0.3")
            running = daemon.submit()
            wait_for(lambda: daemon.job(running)["state"] == "running")
            with open(filler, "wb", buffering=0) as stream:
                try:
                    while stream.write(b"\0" * 4096):
                        pass
                except OSError:
                    pass
            refused = wait_for(lambda: (lambda r: r if r.status != 202 else None)(
                daemon.post({**TINY, "name": "n" * 60})))
            self.assertEqual((refused.status, refused.json["code"]), (507, "store_full"))
            self.assertEqual(daemon.job(first)["state"], "done")
            self.assertEqual(daemon.get(f"/v1/jobs/{first}/result").status, 200)
            self.assertEqual(daemon.get("/metrics").status, 200)
            self.assertEqual(daemon.get("/healthz").status, 200)
            daemon.set_mode("ok")
            os.unlink(filler)
            daemon.wait_state(running, "done", timeout=20)
            self.assertEqual(daemon.post(TINY).status, 202)


if __name__ == "__main__":
    harness.main()
