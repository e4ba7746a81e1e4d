"""A private dwbenchd for a test: its own directory under /tmp, its own socket, HTTP over it.

Where the programs are comes from the environment (meson sets it): DWB_DAEMON, DWB_WORKER,
DWB_SOURCE_ROOT, and DWB_TEST_LOOP (uring or epoll, or denied: whoever runs the test has denied
io_uring, and the daemon has to find out). Nothing but the standard library.
"""

import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest

DAEMON = os.environ["DWB_DAEMON"]
WORKER = os.environ["DWB_WORKER"]
SOURCE_ROOT = os.environ["DWB_SOURCE_ROOT"]
LOOP = os.environ.get("DWB_TEST_LOOP", "auto")
FAKE_WORKER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "fake_worker.py")

TINY = {"name": "tiny", "Dk": 3, "Dx": 8, "M": 8, "N": 8, "budget": "200ms", "replicates": 4}


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path, timeout=20):
        super().__init__("localhost", timeout=timeout)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


class Response:
    def __init__(self, response, body):
        self.status = response.status
        self.headers = response.headers
        self.body = body

    @property
    def text(self):
        return self.body.decode()

    @property
    def json(self):
        return json.loads(self.body)


class Daemon:
    """with Daemon(...) as daemon: ... At the end the process is asked to leave, has to say 0 (under a
    sanitizer that is: no leaks), and the directory is removed."""

    def __init__(self, worker=None, config=None, mode="ok", fds=(), env=None, loop=None,
                 directory=None):
        self.directory = directory or tempfile.mkdtemp(prefix="daemon-test-", dir="/tmp")
        self.owns_directory = directory is None
        self.socket = os.path.join(self.directory, "run", "dwbench.sock")
        self.state = os.path.join(self.directory, "state")
        self.config_path = os.path.join(self.directory, "dwbenchd.yaml")
        self.log_path = os.path.join(self.directory, "log")
        self.fake = os.path.join(self.directory, "fake")
        self.worker = worker or FAKE_WORKER
        self.loop = loop or ("auto" if LOOP == "denied" else LOOP)
        self.env = env or {}
        self.process = None
        os.makedirs(self.fake, exist_ok=True)
        self.set_mode(mode)
        with open(self.config_path, "w") as stream:
            json.dump({"drain_timeout": "1s", **(config or {})}, stream)  # JSON is YAML

    # ---- life ----

    def command(self, *more):
        return [DAEMON, "--allow-root", "--config", self.config_path, "--socket", self.socket,
                "--state-dir", self.state, "--worker", self.worker, "--loop", self.loop,
                "--log-level", "debug", *more]

    def environment(self):
        return {**os.environ, "FAKE_WORKER_DIR": self.fake, **self.env}

    def start(self, wait=True):
        with open(self.log_path, "a") as log:
            self.process = subprocess.Popen(self.command(), stdin=subprocess.DEVNULL, stdout=log,
                                            stderr=log, env=self.environment())
        if wait:
            self.wait_ready()
        return self

    def wait_ready(self, timeout=20):
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            if self.process.poll() is not None:
                raise AssertionError("dwbenchd ended at start: " + self.log())
            try:
                if self.get("/healthz").status == 200:
                    return
            except OSError:
                pass
            time.sleep(0.02)
        raise AssertionError("dwbenchd does not answer: " + self.log())

    def signal(self, number):
        self.process.send_signal(number)

    def wait(self, timeout=20):
        return self.process.wait(timeout)

    def stop(self, timeout=20):
        if self.process and self.process.poll() is None:
            self.signal(signal.SIGTERM)
        status = self.wait(timeout)
        self.process = None
        return status

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.process = None

    def close(self):
        if self.process and self.process.poll() is None:
            self.process.kill()
        if self.process:
            self.process.wait()
        if self.owns_directory:
            shutil.rmtree(self.directory, ignore_errors=True)

    def __enter__(self):
        try:
            return self.start()
        except BaseException:
            self.close()
            raise

    def __exit__(self, kind, *_):
        if kind is None:
            self.finish()
        else:
            self.close()

    def finish(self):
        try:
            if self.process:
                status = self.stop()
                assert status == 0, f"exit status {status}: {self.log()}"
        finally:
            self.close()

    def log(self):
        with open(self.log_path, errors="replace") as stream:
            return stream.read()

    # ---- the fake worker ----

    def set_mode(self, mode):
        path = os.path.join(self.fake, "mode")
        with open(path + ".new", "w") as stream:
            stream.write(mode)
        os.rename(path + ".new", path)

    def set_factors(self, **factors):
        """Of the times that the fake worker makes up from now on."""
        path = os.path.join(self.fake, "factors")
        with open(path + ".new", "w") as stream:
            json.dump(factors, stream)
        os.rename(path + ".new", path)

    def requests(self):
        """(layer name, replicate) of each request the fake worker got, in order."""
        try:
            with open(os.path.join(self.fake, "requests")) as stream:
                return [tuple(json.loads(line)) for line in stream]
        except FileNotFoundError:
            return []

    def worker_pids(self):
        try:
            with open(os.path.join(self.fake, "pids")) as stream:
                return [int(line) for line in stream]
        except FileNotFoundError:
            return []

    # ---- HTTP ----

    def connect(self, timeout=20):
        return UnixConnection(self.socket, timeout)

    def raw(self, timeout=20):
        """A connected socket, for what http.client would not send."""
        connection = self.connect(timeout)
        connection.connect()
        return connection.sock

    def request(self, method, path, body=None, headers=None, timeout=20):
        connection = self.connect(timeout)
        try:
            connection.request(method, path, body=body, headers=headers or {})
            response = connection.getresponse()
            return Response(response, response.read())
        finally:
            connection.close()

    def get(self, path, **kwargs):
        return self.request("GET", path, **kwargs)

    def post(self, document, **kwargs):
        body = document if isinstance(document, (str, bytes)) else json.dumps(document)
        return self.request("POST", "/v1/jobs", body=body, **kwargs)

    def delete(self, job):
        return self.request("DELETE", "/v1/jobs/" + job)

    def submit(self, document=None, **kwargs):
        response = self.post(document or TINY, **kwargs)
        assert response.status == 202, response.text
        return response.json["id"]

    def job(self, job):
        return self.get("/v1/jobs/" + job).json

    def wait_state(self, job, *states, timeout=30):
        return wait_for(lambda: (lambda j: j if j["state"] in states else None)(self.job(job)),
                        timeout, lambda: f"{self.job(job)}\n{self.log()}")

    def events(self, job, timeout=30):
        """All events of the stream, to its end."""
        return [json.loads(line) for line in
                self.get(f"/v1/jobs/{job}/events", timeout=timeout).body.splitlines()]

    def metrics(self):
        """{"name{labels}": value} of the text format."""
        lines = self.get("/metrics").text.splitlines()
        return {name: float(value) for name, value in
                (line.rsplit(" ", 1) for line in lines if not line.startswith("#"))}


def wait_for(probe, timeout=20, describe=lambda: ""):
    """The first true value of probe()."""
    end = time.monotonic() + timeout
    while time.monotonic() < end:
        value = probe()
        if value:
            return value
        time.sleep(0.02)
    raise AssertionError("did not happen in time: " + describe())


def alive(pid):
    """Whether the process runs (a zombie does not)."""
    try:
        with open(f"/proc/{pid}/stat") as stream:
            return stream.read().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def loop_available():
    """Whether the backend the test is for can be had on this machine."""
    if LOOP != "uring":
        return True
    try:
        with Daemon():
            return True
    except AssertionError as error:
        if "event loop" in str(error):
            return False
        raise


def main():
    if not loop_available():
        print("io_uring is denied here: skipped")
        sys.exit(77)
    unittest.main(verbosity=2)
