"""A dwbenchd whose calls fail on demand (tests/crash/faults.c), for trial-faults: its directory, its lives,
its jobs, and what may not be found in any of them."""

import collections
import http.client
import json
import mmap
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import time

HANG_S = 20
QUIET_S = 0.03  # without a call: it waits for something
MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # a sync costs nothing there
FINAL = ("done", "failed", "cancelled")
REPORTED = re.compile(r"ERROR: \w+Sanitizer|runtime error:|Assertion|assertion|Fatal error")

# What fails: call `at` of all, or of those of `stack`.
Target = collections.namedtuple("Target", "scenario for_good at stack")


class Control:
    """The file that tests/crash/faults.c maps: struct control, and struct dwb_stacks behind it."""

    NAMES = {name: 8 * i for i, name in enumerate(
        ("is_armed", "fail_at", "for_good", "n_calls", "n_failed", "full_disk"))}
    NAMES |= {"by_stack": 112, "stack": 120}
    TABLE, ROWS = 4096, 16384

    def __init__(self, path):
        self.size = self.TABLE + 16 * self.ROWS
        with open(path, "wb") as stream:
            stream.truncate(self.size)
        with open(path, "r+b") as stream:
            self.memory = mmap.mmap(stream.fileno(), self.size)

    def __getitem__(self, name):
        return struct.unpack_from("Q", self.memory, self.NAMES[name])[0]

    def __setitem__(self, name, value):
        struct.pack_into("Q", self.memory, self.NAMES[name], int(value))

    def call_name(self):
        return self.memory[48:80].split(b"\0")[0].decode()

    def stacks(self):
        """{stack: how often it was seen}"""
        words = struct.unpack_from(f"{2 * self.ROWS}Q", self.memory, self.TABLE)
        return {stack: n for stack, n in zip(words[::2], words[1::2]) if stack}

    def arm(self, target, by_stack):
        self.memory[48:80] = bytes(32)
        if by_stack:
            self.memory[self.TABLE:] = bytes(self.size - self.TABLE)
        for name, value in (("fail_at", target.at), ("for_good", target.for_good), ("n_calls", 0),
                            ("n_failed", 0), ("full_disk", target.scenario == "full"),
                            ("by_stack", by_stack), ("stack", target.stack), ("is_armed", 1)):
            self[name] = value

    def disarm(self):
        self["is_armed"] = 0


class Connection(http.client.HTTPConnection):
    def __init__(self, path, timeout):
        super().__init__("localhost", timeout=timeout)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


class Finding(Exception):
    pass


class Daemon:
    """One directory; as many lives as it takes."""

    def __init__(self, programs, loop):
        self.program, self.worker = programs
        self.loop = loop
        self.directory = tempfile.mkdtemp(prefix="trial-faults-", dir=MEMORY)
        self.socket = os.path.join(self.directory, "s")
        self.log_path = os.path.join(self.directory, "log")
        self.control = Control(os.path.join(self.directory, "control"))
        self.timeout = 5
        self.jobs = {}  # key -> [document, id or None, final state or None]
        self.unfinished = {}  # id -> document of a job that has ended in another way than done
        self.n_keys = 0
        self.process = None
        with open(os.path.join(self.directory, "config"), "w") as stream:
            json.dump({"drain_timeout": "1s"}, stream)

    def spawn(self):
        environment = {**os.environ, "DWB_FAULTS": os.path.join(self.directory, "control"),
                       "ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "")
                       + ":malloc_context_size=12:allocator_may_return_null=1:detect_leaks=1:handle_abort=1"}
        with open(self.log_path, "w") as log:
            self.process = subprocess.Popen(
                [self.program, "--allow-root", "--config", os.path.join(self.directory, "config"),
                 "--socket", self.socket, "--state-dir", os.path.join(self.directory, "state"),
                 "--worker", self.worker, "--loop", self.loop, "--log-level", "warning"],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment)

    def log(self):
        with open(self.log_path, errors="replace") as stream:
            return stream.read()[:12000]

    def ask(self, method, path, body=None, headers=None):
        """(status, body), or (0, b"") without an answer."""
        connection = Connection(self.socket, self.timeout)
        try:
            connection.request(method, path, body=body, headers=headers or {})
            response = connection.getresponse()
            body = response.read()
            if "json" in response.headers.get("Content-Type", ""):
                self.check_json(body, response.headers["Content-Type"])
            return response.status, body
        except (OSError, http.client.HTTPException):
            return 0, b""
        finally:
            connection.close()

    @staticmethod
    def check_json(body, content_type):
        for text in body.splitlines() if "ndjson" in content_type else [body]:
            try:
                json.loads(text)
            except ValueError:
                raise Finding(f"answers what is no JSON: {body!r}") from None

    # ---- jobs ----

    def submit(self, kind="ok"):
        self.n_keys += 1
        key = f"k{self.n_keys}"
        self.jobs[key] = [json.dumps({"name": f"{kind}_{key}", "Dk": 3, "Dx": 8, "M": 8, "N": 8,
                                      "budget": "200ms", "replicates": 2}), None, None]
        return self.post(key)

    def post(self, key):
        job = self.jobs[key]
        status, body = self.ask("POST", "/v1/jobs", job[0], {"Idempotency-Key": key})
        if status == 202:
            self.accept(key, body)
        return status

    def accept(self, key, body):
        job_id = json.loads(body)["id"]
        if self.jobs[key][1] not in (None, job_id):
            raise Finding(f"key {key} answers {job_id}, was {self.jobs[key][1]}")
        self.jobs[key][1] = job_id

    def settle(self):
        """Until it does nothing for a while; it has begun to do something."""
        end = time.monotonic() + self.timeout
        seen, since = 0, time.monotonic()
        while time.monotonic() < end and self.process.poll() is None:
            n_calls = self.control["n_calls"]
            if n_calls != seen or n_calls == 0:
                seen, since = n_calls, time.monotonic()
            elif time.monotonic() - since > QUIET_S:
                break
            time.sleep(0.003)

    def last(self):
        return next((job[1] for job in reversed(self.jobs.values()) if job[1]), "none")

    def wait_final(self):
        """Every accepted job comes to its end."""
        end = time.monotonic() + HANG_S
        for key, job in self.jobs.items():
            while job[1] and not job[2]:
                status, body = self.ask("GET", "/v1/jobs/" + job[1])
                document = json.loads(body) if status == 200 else {"state": ""}
                state = document["state"]
                if status == 404:
                    raise Finding(f"job {job[1]} of {key} is lost")
                if state in FINAL:
                    job[2] = state
                    self.unfinished.update({job[1]: document} if state != "done" else {})
                elif self.process.poll() is not None:
                    return False
                elif time.monotonic() > end:
                    raise Finding(f"hangs: job {job[1]} stays {state or status}")
                else:
                    time.sleep(0.002)
        return True

    # ---- life ----

    def wait_ready(self):
        """True when it answers, False when it has left with an error."""
        end = time.monotonic() + HANG_S
        while time.monotonic() < end:
            if self.process.poll() is not None:
                self.check_end(self.process.returncode)
                return False
            if self.ask("GET", "/healthz") == (200, b"ok\n"):
                return True
            time.sleep(0.002)
        raise Finding("hangs: it neither answers nor ends")

    def check_end(self, status):
        log = self.log()
        if status < 0:
            raise Finding(f"crash: signal {-status}")
        if REPORTED.search(log):
            raise Finding("crash: " + REPORTED.search(log).group(0))

    def start(self):
        self.spawn()
        if not self.wait_ready():
            raise Finding(f"does not start again: {self.process.returncode}")

    def stop(self):
        """Its status; 0 without faults."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            status = self.process.wait(HANG_S)
        except subprocess.TimeoutExpired:
            raise Finding("hangs: SIGTERM does not end it") from None
        self.check_end(status)
        return status

    def close(self, keeps=False):
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        if not keeps:
            shutil.rmtree(self.directory, ignore_errors=True)
