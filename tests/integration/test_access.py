"""Who may do what, with real users: the daemon as a plain user, as its unit runs it, and clients of
other UIDs inside and outside of the socket's group. Needs root, to become them.
"""

import json
import os
import stat
import subprocess
import sys
import tempfile
import unittest

import harness
from harness import TINY, Daemon, wait_for

# Nobody's, on a machine that has no such users.
SERVICE, ANNA, BEN, EVE = 64242, 64243, 64244, 64245
GROUP = 64250


class PlainDaemon(Daemon):
    """As the unit has it: a user of its own, the socket 0660 for a group, in a directory 0750."""

    def __init__(self, config=None, **kwargs):
        super().__init__(config={"socket_group": str(GROUP), **(config or {})}, **kwargs)
        os.chmod(self.directory, 0o755)
        run = os.path.dirname(self.socket)
        os.makedirs(run)
        os.chmod(run, 0o750)
        os.chown(run, SERVICE, GROUP)
        for path in (self.fake, os.path.join(self.fake, "mode")):
            os.chown(path, SERVICE, SERVICE)
        os.makedirs(self.state)
        os.chown(self.state, SERVICE, SERVICE)

    def command(self, *more):
        return ["setpriv", f"--reuid={SERVICE}", f"--regid={SERVICE}", f"--groups={GROUP}",
                *super().command(*more)]


def as_user(uid, groups, call):
    """What call() returns, as JSON, in a process of that user; {"error": name} of an OSError."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.setgroups(groups)
            os.setresgid(uid, uid, uid)
            os.setresuid(uid, uid, uid)
            try:
                answer = call()
            except OSError as error:
                answer = {"error": type(error).__name__}
            os.write(write, json.dumps(answer).encode())
        finally:
            os._exit(0)
    os.close(write)
    with open(read) as stream:
        text = stream.read()
    os.waitpid(child, 0)
    return json.loads(text)


def member(uid, call):
    return as_user(uid, [GROUP], call)


def status_of(response):
    return [response.status, response.headers["Retry-After"],
            response.json.get("code") if response.status >= 400 else response.json.get("id")]


class Access(unittest.TestCase):
    def test_the_daemon_is_what_it_was_started_as(self):
        with PlainDaemon() as daemon:
            with open(f"/proc/{daemon.process.pid}/status") as stream:
                lines = dict(line.rstrip("\n").split(":\t", 1) for line in stream if ":\t" in line)
            self.assertEqual(set(lines["Uid"].split()), {str(SERVICE)})
            self.assertEqual(int(lines["CapEff"], 16), 0)

    def test_root_is_refused(self):
        with tempfile.TemporaryDirectory(dir="/tmp", prefix="daemon-test-") as directory:
            socket, state = directory + "/s", directory + "/state"
            done = subprocess.run([harness.DAEMON, "--socket", socket, "--state-dir", state],
                                  capture_output=True, text=True, timeout=10)
            self.assertEqual((done.returncode, done.stdout), (2, ""))
            for word in ("root", "dwbenchd.service", "--allow-root"):
                self.assertIn(word, done.stderr)
            self.assertEqual(os.listdir(directory), [])

    def test_the_socket_is_the_groups(self):
        with PlainDaemon() as daemon:
            status = os.stat(daemon.socket)
            self.assertEqual((stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid),
                             (0o660, SERVICE, GROUP))

            def healthz():
                return daemon.get("/healthz").status
            self.assertEqual(member(ANNA, healthz), 200)
            self.assertEqual(as_user(EVE, [], healthz), {"error": "PermissionError"})
            # The directory alone keeps her out, and so does the socket alone.
            os.chmod(daemon.socket, 0o666)
            self.assertEqual(as_user(EVE, [], healthz), {"error": "PermissionError"})
            os.chmod(os.path.dirname(daemon.socket), 0o755)
            self.assertEqual(as_user(EVE, [], healthz), 200)
            os.chmod(daemon.socket, 0o660)
            self.assertEqual(as_user(EVE, [], healthz), {"error": "PermissionError"})

    def test_a_job_is_its_owners(self):
        with PlainDaemon(config={"admins": [ANNA]}, mode="hang") as daemon:
            jobs = [member(BEN, lambda: daemon.submit()) for _ in range(4)]
            self.assertEqual([daemon.job(job)["uid"] for job in jobs], [BEN] * 4)

            def cancel(job):
                return lambda: daemon.delete(job).status
            self.assertEqual(member(EVE, cancel(jobs[0])), 403)
            self.assertEqual(member(EVE, lambda: daemon.get("/v1/jobs").status), 200)
            # Nothing a client says makes it another.
            claim = {"X-Uid": str(BEN), "Authorization": "Basic cm9vdDo=", "Host": "root"}
            self.assertEqual(member(EVE, lambda: daemon.request(
                "DELETE", "/v1/jobs/" + jobs[0], headers=claim).status), 403)
            self.assertEqual(member(SERVICE, cancel(jobs[0])), 403)
            self.assertEqual(member(BEN, cancel(jobs[3])), 200)
            self.assertEqual(member(ANNA, cancel(jobs[2])), 200)
            self.assertEqual(daemon.delete(jobs[1]).status, 200)  # root
            self.assertNotEqual(daemon.job(jobs[0])["state"], "cancelled")

    def test_a_key_is_its_owners(self):
        with PlainDaemon(mode="hang") as daemon:
            key = {"Idempotency-Key": "the-same"}

            def submit():
                return daemon.submit(headers=key)
            annas, bens = member(ANNA, submit), member(BEN, submit)
            self.assertNotEqual(annas, bens)
            self.assertEqual(member(ANNA, submit), annas)

    def test_the_queue_of_one_is_not_that_of_another(self):
        with PlainDaemon(mode="hang") as daemon:  # the quota is the default: 64
            running = member(ANNA, lambda: daemon.submit())
            wait_for(lambda: daemon.job(running)["state"] == "running")

            def fill():
                return [status_of(daemon.post(TINY)) for _ in range(66)]
            answers = member(ANNA, fill)
            self.assertEqual([answer[0] for answer in answers], [202] * 64 + [429] * 2)
            for _, retry, code in answers[64:]:
                self.assertEqual(code, "quota_jobs")
                self.assertGreater(int(retry), 0)
            self.assertEqual(member(BEN, lambda: daemon.post(TINY).status), 202)
            self.assertEqual(member(ANNA, lambda: daemon.get("/v1/jobs").status), 200)
            queued = answers[0][2]
            self.assertEqual(member(ANNA, lambda: daemon.delete(queued).status), 200)
            self.assertEqual(member(ANNA, lambda: daemon.post(TINY).status), 202)
            self.assertEqual(member(ANNA, lambda: daemon.post(TINY).status), 429)

    def test_the_connections_of_one_are_not_those_of_another(self):
        with PlainDaemon() as daemon:  # the quota is the default: 32

            def crowd():
                held = [daemon.raw() for _ in range(32)]
                last = held[-1]  # each of them is served
                last.sendall(b"GET /healthz HTTP/1.1\r\nHost: l\r\n\r\n")
                served = last.recv(100).split(b"\r\n")[0].decode()
                refused = status_of(daemon.get("/v1/info"))
                other = member_of_another(daemon)
                for connection in held:
                    connection.close()
                wait_for(lambda: daemon.get("/healthz").status == 200)
                return [served, refused, other]

            # Another user, asked while the first holds its connections.
            read, write = os.pipe()
            ask, answer = os.pipe()

            def member_of_another(_):
                os.write(write, b"now")
                return json.loads(os.read(ask, 100))
            child = os.fork()
            if child == 0:
                os.read(read, 3)
                os.write(answer, json.dumps(
                    member(BEN, lambda: daemon.get("/healthz").status)).encode())
                os._exit(0)
            served, refused, other = member(ANNA, crowd)
            os.waitpid(child, 0)
            for fd in (read, write, ask, answer):
                os.close(fd)
            self.assertEqual(served, "HTTP/1.1 200 OK")
            self.assertEqual(refused, [429, "1", "quota_connections"])
            self.assertEqual(other, 200)


if __name__ == "__main__":
    if os.getuid() != 0:
        print("needs root to be several users: skipped")
        sys.exit(77)
    harness.main()
