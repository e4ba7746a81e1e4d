#!/usr/bin/python3
"""dwbenchctl as a person and a script meet it: every exit code, what is said with it, and what is
left behind. Usage: against nothing; Fake: against a server that misbehaves on purpose; Real: against
dwbenchd and dwbench-worker. Beside what harness.py takes from the environment, DWB_CTL names
dwbenchctl."""

import csv
import io
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
import unittest

import harness
from harness import LOOP, SOURCE_ROOT as SOURCE, WORKER, Daemon, measures

CTL = os.environ["DWB_CTL"]
DATA = os.path.join(SOURCE, "tests", "unit", "data")
TINY = ["--layer", "Dk=3,Dx=8,M=16,N=16,name=tiny"]
QUICK = ["--budget", "500ms", "--replicates", "4", "--precision", "50%"]
VERBS = ["run", "submit", "status", "watch", "result", "list", "cancel", "compare", "gate",
         "baseline", "suites", "doctor", "metrics", "version"]


class Case(unittest.TestCase):
    def setUp(self):
        self.dir = tempfile.mkdtemp(prefix="client-", dir="/tmp")
        self.addCleanup(shutil.rmtree, self.dir, ignore_errors=True)
        self.sock = os.path.join(self.dir, "d.sock")
        self.env = {k: v for k, v in os.environ.items()
                    if k not in ("DWBENCH_SOCKET", "XDG_RUNTIME_DIR", "COLUMNS", "NO_COLOR")}
        self.env["TMPDIR"] = self.dir
        self.env["LC_ALL"] = "C.UTF-8"

    def start(self, *args):
        process = subprocess.Popen([CTL, *args], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, text=True, env=self.env, cwd=self.dir)

        def end():
            if process.poll() is None:
                process.kill()
            process.communicate()
        self.addCleanup(end)
        return process

    def ctl(self, *args, code=0, stdin=""):
        p = subprocess.run([CTL, *args], input=stdin, capture_output=True, text=True, env=self.env,
                           cwd=self.dir, timeout=120)
        self.assertEqual(p.returncode, code, f"{args}\n{p.stdout}\n{p.stderr}")
        return p

    def write(self, name, text):
        path = os.path.join(self.dir, name)
        with open(path, "w", encoding="utf-8") as f:
            f.write(text)
        return path

    def processes(self):
        """Command lines of processes that know this test's directory."""
        found = []
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{pid}/cmdline", "rb") as f:
                    line = f.read().replace(b"\0", b" ").decode(errors="replace")
            except OSError:
                continue
            if self.dir in line:
                found.append(line)
        return found

    def wait_for(self, what, seconds=20):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            value = what()
            if value:
                return value
            time.sleep(0.02)
        self.fail("waited in vain")
        return None


class Usage(Case):
    def test_no_verb(self):
        self.assertIn("Usage: dwbenchctl VERB", self.ctl(code=2).stderr)
        self.assertIn("Usage: dwbenchctl VERB", self.ctl("--help").stdout)

    def test_every_verb_helps(self):
        for verb in VERBS:
            self.assertIn(f"Usage: dwbenchctl {verb} ", self.ctl(verb, "--help").stdout)
            self.assertEqual(self.ctl("help", verb).stdout, self.ctl(verb, "--help").stdout)

    def test_nearest(self):
        self.assertIn("did you mean submit?", self.ctl("submti", code=2).stderr)
        self.assertIn("did you mean --format?", self.ctl("run", "--fromat", "x", code=2).stderr)
        self.assertIn("did you mean the suite mobilenet_v1?",
                      self.ctl("run", "mobilenetv1", code=2).stderr)

    def test_manual_knows_all(self):
        with open(os.path.join(SOURCE, "man", "dwbenchctl.1"), encoding="utf-8") as f:
            manual = f.read()
        for verb in VERBS:
            self.assertRegex(manual, rf"\.It Cm {verb}\b")
            for option in re.findall(r"--([a-z-]+)", self.ctl(verb, "--help").stdout
                                     .split("Options:")[1]):
                self.assertIn(f"Fl -{option}", manual.replace(", -", ", Fl -"))

    def test_all_findings(self):
        path = self.write("bad.yaml", "Dk: 99\nDx: -7\nM: 1\nN: 1\nfoo: 3\n")
        for verb in ("run", "submit"):
            p = self.ctl(verb, path, code=2)
            self.assertIn(f"{path}:1:5: Dk", p.stderr)
            self.assertIn(f"{path}:2:5: Dx", p.stderr)
            self.assertIn(f"{path}:5:", p.stderr)
            self.assertEqual(p.stdout, "")

    def test_bad_input(self):
        for args, stdin in ((["run", "-"], "{"), (["run", "-"], ""), (["submit"], ""),
                            (["run", "/nonexistent"], ""), (["run", "/dev/null"], ""),
                            (["run", "--layer", "Dk=3"], ""), (["run", "example", "--isa", "q"], ""),
                            (["result"], ""), (["result", "../../x"], ""),
                            (["run", "example", "-o", "/no/such/dir/f"], ""),
                            (["run", "example", *TINY], "")):
            self.assertNotEqual(self.ctl(*args, code=2, stdin=stdin).stderr, "")

    def test_huge_input(self):
        p = self.ctl("run", "-", code=2, stdin="#" * 1000000)
        self.assertIn("65536", p.stderr.replace("64 KiB", "65536"))

    def test_unreachable(self):
        for args in (["status"], ["list"], ["metrics"], ["result", "x"], ["watch", "x"],
                     ["cancel", "x"], ["submit", "example"], ["submit", "example", "--wait"]):
            p = self.ctl(*args, "--socket", self.sock, code=3)
            self.assertIn(self.sock, p.stderr)
            self.assertIn("dwbenchctl run", p.stderr)
            self.assertIn("systemctl start dwbench.socket", p.stderr)
        self.env["DWBENCH_SOCKET"] = self.sock
        self.assertIn(self.sock, self.ctl("status", code=3).stderr)
        self.ctl("status", "--socket", "/tmp/" + "x" * 200, code=2)

    def test_no_permission(self):
        with socket.socket(socket.AF_UNIX) as s:
            s.bind(self.sock)
            s.listen(1)
            os.chmod(self.sock, 0)
            os.chmod(self.dir, 0o755)
            nobody = {"user": 65534, "group": 65534, "extra_groups": []} if os.geteuid() == 0 else {}
            p = subprocess.run([CTL, "status", "-s", self.sock], capture_output=True, text=True,
                               env=self.env, timeout=30, **nobody)
            self.assertEqual(p.returncode, 3)
            self.assertIn("usermod -aG dwbench", p.stderr)

    def test_silent_daemon(self):
        with socket.socket(socket.AF_UNIX) as s:
            s.bind(self.sock)
            s.listen(8)
            start = time.monotonic()
            p = self.ctl("status", "-s", self.sock, "--timeout", "300ms", code=124)
            self.assertLess(time.monotonic() - start, 5)
            self.assertIn("--timeout", p.stderr)

    def test_suites(self):
        self.assertIn("mobilenet_v3_large", self.ctl("suites").stdout)
        text = self.ctl("suites", "show", "mobilenet_v1").stdout
        self.assertIn("repeat: 5", text)
        self.assertEqual(self.ctl("suites", "mobilenet_v1").stdout, text)
        self.ctl("suites", "shwo", "mobilenet_v1", code=2)

    def test_version(self):
        self.assertRegex(self.ctl("version", "-s", self.sock).stdout, r"^dwbenchctl \d+\.\d+\.\d+\n")


def http(status, body, headers=""):
    if not isinstance(body, bytes):
        body = json.dumps(body).encode()
    return (f"HTTP/1.1 {status} X\r\nContent-Length: {len(body)}\r\nConnection: close\r\n"
            f"{headers}\r\n").encode() + body


def stream(*events):
    body = "".join(json.dumps(e) + "\n" for e in events).encode()
    return b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + body


class Fake(Case):
    """answers: path -> list of bytes to send, one a request, the last for all further ones; None
    closes the connection without a word, a float is a silence before it."""

    JOB = {"id": "06dcm4v1s3kq7x2a9w0e", "name": "x", "state": "queued", "reason": ""}
    STARTED = {"event": "started", "name": "x", "layers": 1, "replicates_min": 4,
               "replicates_max": 8}
    DONE = {"event": "done", "state": "done", "reason": ""}

    def setUp(self):
        super().setUp()
        self.answers = {"GET /v1/info": [http(200, {"measure_cpu": None})]}
        self.requests = []
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(self.sock)
        self.listener.listen(16)
        self.addCleanup(self.listener.close)
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.answer, args=(connection,), daemon=True).start()

    def answer(self, connection):
        with connection:
            text = b""
            while b"\r\n\r\n" not in text:
                piece = connection.recv(65536)
                if not piece:
                    return
                text += piece
            head, _, body = text.partition(b"\r\n\r\n")
            length = re.search(rb"content-length: (\d+)", head.lower())
            while length and len(body) < int(length.group(1)):
                body += connection.recv(65536)
            line = b" ".join(head.split(b" ")[:2]).decode()
            self.requests.append((line, head.decode(), body))
            answers = self.answers.get(line, [http(404, {"detail": "no such thing"})])
            answer = answers.pop(0) if len(answers) > 1 else answers[0]
            if isinstance(answer, float):
                time.sleep(answer)
            elif answer is not None:
                try:
                    connection.sendall(answer)
                except BrokenPipeError:
                    pass  # it did not wait

    def accept(self, *events, document="layer"):
        self.answers["POST /v1/jobs"] = [http(202, self.JOB)]
        base = "GET /v1/jobs/" + self.JOB["id"]
        self.answers[base] = [http(200, self.JOB)]
        self.answers[base + "/events"] = [stream(*events)]
        with open(os.path.join(DATA, document + ".json"), "rb") as f:
            self.answers[base + "/result"] = [http(200, f.read())]
        return base

    def posts(self):
        return [r for r in self.requests if r[0] == "POST /v1/jobs"]

    def key(self, request):
        return re.search(r"Idempotency-Key: (\S+)", request[1]).group(1)

    def test_submit(self):
        self.accept()
        p = self.ctl("submit", "example", "-s", self.sock, "--isa", "avx2")
        self.assertEqual(p.stdout, self.JOB["id"] + "\n")
        self.assertIn("dwbenchctl watch", p.stderr)
        self.assertEqual(json.loads(self.posts()[0][2])["isa"], "avx2")
        self.assertEqual(self.ctl("submit", "example", "-s", self.sock, "-q").stderr, "")
        p = self.ctl("submit", "example", "-s", self.sock, "-f", "json")
        self.assertEqual(json.loads(p.stdout), self.JOB)
        keys = {self.key(r) for r in self.posts()}
        self.assertEqual(len(keys), 3)
        self.ctl("submit", "example", "-s", self.sock, "--idempotency-key", "mine")
        self.assertEqual(self.key(self.posts()[-1]), "mine")

    def test_lost_answer(self):
        self.accept()
        self.answers["POST /v1/jobs"] = [None, None, http(202, self.JOB)]
        p = self.ctl("submit", "example", "-s", self.sock)
        self.assertEqual(p.stdout, self.JOB["id"] + "\n")
        self.assertEqual(len(self.posts()), 3)
        self.assertEqual(len({self.key(r) for r in self.posts()}), 1)
        self.assertEqual(len({r[2] for r in self.posts()}), 1)

    def test_answer_never_comes(self):
        self.answers["POST /v1/jobs"] = [None]
        p = self.ctl("submit", "example", "-s", self.sock, code=3)
        self.assertIn("--idempotency-key " + self.key(self.posts()[0]), p.stderr)

    def test_refused(self):
        for status, code, headers in ((400, 2, ""), (413, 2, ""), (422, 2, ""), (403, 2, ""),
                                      (429, 3, "Retry-After: 7\r\n"), (503, 3, ""), (507, 3, ""),
                                      (500, 3, "")):
            self.answers["POST /v1/jobs"] = [http(
                status, {"title": "T", "detail": f"because {status}",
                         "errors": [{"field": "layers[0].Dx", "value": "9\x1b[31m",
                                     "message": "is too much"}]}, headers)]
            p = self.ctl("submit", "example", "-s", self.sock, code=code)
            self.assertIn(f"because {status}", p.stderr)
            self.assertIn("layers[0].Dx: value `9\\x1b[31m': is too much", p.stderr)
            self.assertEqual("try again in 7 s" in p.stderr, status == 429)

    def test_not_a_daemon(self):
        for body in (b"", b"<html>", b"[]", b"{}"):
            self.answers["POST /v1/jobs"] = [http(200, body)]
            self.ctl("submit", "example", "-s", self.sock, code=3)
        self.answers["GET /v1/jobs?limit=20"] = [b"\x00garbage\r\n\r\n"]
        self.ctl("list", "-s", self.sock, code=3)
        base = self.accept()
        self.answers[base + "/result"] = [http(200, {"schema": "other"})]
        self.ctl("result", self.JOB["id"], "-s", self.sock, code=4)

    def test_garbage(self):
        """Whatever a server answers: a documented exit code, words when it is not 0, and no null
        pointer printed."""
        class Always(dict):
            answer = b""

            def get(self, key, default=None):
                return [self.answer]

        job = self.JOB["id"]
        odd = {"id": 3, "state": [], "name": None, "jobs": [None, {}, {"id": [], "state": 7}],
               "baselines": [{}, 3, {"name": None, "jobs": 2}], "queue": 1, "loop": [],
               "version": {}, "results": 5, "job": [], "schema": "dwbench.result/1"}
        bodies = [b"", b"{", b"[]", b"{}", b"null", b"\xff\xfe", b'{"a":' * 5000,
                  json.dumps(odd).encode(), json.dumps({**odd, "jobs": {}, "baselines": 1}).encode()]
        whole = http(200, odd)
        cut = [whole[:-9], whole[:20], whole.replace(b"Length: ", b"Length: 9"),
               whole.replace(b"Length: ", b"Length: x"),
               b"HTTP/1.1 200 X\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{}"]
        verbs = (["list"], ["status"], ["status", job], ["cancel", job], ["result", job],
                 ["result", job, "-f", "csv"], ["baseline", "list"], ["baseline", "show", "x"],
                 ["baseline", "set", "x", job], ["baseline", "delete", "x"], ["compare", job, job],
                 ["metrics"], ["version"], ["submit", "example", "--baseline", "x", "--wait"])
        self.answers = Always()
        for answer in [http(s, b) for s in (200, 500, 302, 404) for b in bodies] + cut:
            if answer in cut:
                verbs = [verb for verb in verbs if verb[0] != "submit"]  # it tries again
            for verb in verbs:
                Always.answer = answer
                p = subprocess.run([CTL, *verb, "-s", self.sock], capture_output=True, env=self.env,
                                   cwd=self.dir, timeout=120, stdin=subprocess.DEVNULL)
                about = f"{verb} {answer[:200]} {p}"
                self.assertIn(p.returncode, (0, 1, 2, 3, 4, 5), about)
                self.assertTrue(p.stderr or p.returncode in (0, 5), about)
                self.assertNotIn(b"(null)", p.stdout + p.stderr, about)

    def test_unknown_job(self):
        for verb in ("status", "watch", "result", "cancel"):
            self.assertIn("no such thing",
                          self.ctl(verb, "nonsuch", "-s", self.sock, code=2).stderr)

    def test_wait(self):
        self.accept(self.STARTED,
                    {"event": "replicate", "layer": "a", "ok": True, "replicates_done": 2,
                     "fraction": 0.5},
                    {"event": "replicate", "layer": "a", "ok": False, "reason": "killed by SIGSEGV",
                     "replicates_done": 2, "fraction": 0.5},
                    {"event": "from the future"}, self.DONE)
        p = self.ctl("submit", "example", "--wait", "-s", self.sock)
        self.assertIn("dws3", p.stdout)
        self.assertIn("measuring x: 1 layer, 4 to 8 replicates", p.stderr)
        self.assertIn("2 of 4-8 replicates   50%", p.stderr)
        self.assertIn("killed by SIGSEGV", p.stderr)
        self.assertNotIn("\033", p.stderr + p.stdout)
        p = self.ctl("watch", self.JOB["id"], "-q", "-f", "csv", "-s", self.sock)
        self.assertEqual(p.stderr, "")
        self.assertEqual(next(csv.DictReader(io.StringIO(p.stdout)))["layer"], "dws3")
        p = self.ctl("watch", self.JOB["id"], "-f", "json", "-o", "out.json", "-s", self.sock)
        self.assertEqual(p.stdout, "")
        with open(os.path.join(self.dir, "out.json"), encoding="utf-8") as f:
            self.assertIn("time", json.load(f)["ratio"])

    def test_odd_events(self):
        """Events of another version, or of none: what can be read is told, the rest is not."""
        for event in ({}, {"event": "queued"}, {"event": "queued", "position": -1},
                      {"event": "queued", "position": 3}, {"event": "queued", "position": 3},
                      {"event": "started"}, {"event": "started", "replicates_min": -1, "layers": 1},
                      {"event": "progress"}, {"event": "progress", "layer": "a", "fraction": "x"},
                      {"event": "progress", "layer": "a", "simulating": "depthwise"},
                      {"event": "progress", "layer": "a", "simulating": "depthwise",
                       "backend": "native", "step": 1, "steps": 2},
                      {"event": "progress", "simulating": "depthwise", "backend": "native"},
                      {"event": "replicate", "ok": False}, {"event": 3}, [], None, "text", 1e300):
            self.accept(event, self.DONE)
            p = self.ctl("watch", self.JOB["id"], "-s", self.sock)
            self.assertIn("dws3", p.stdout)
            self.assertNotIn("(null)", p.stderr)
            told = isinstance(event, dict) and event.get("position", 0) > 0
            self.assertEqual("queued, place 3" in p.stderr, told)
            if isinstance(event, dict) and "ok" in event:
                self.assertIn("a replicate of a layer failed and is measured again: no reason given",
                              p.stderr)
            if isinstance(event, dict) and "steps" in event:
                self.assertIn("simulating a: native depthwise, 1 of 2", p.stderr)
        for cpu in (0, -1, 100000, "x", 1e9):
            self.answers["GET /v1/info"] = [http(200, {"measure_cpu": cpu})]
            self.accept(self.DONE)
            self.ctl("watch", self.JOB["id"], "-s", self.sock)
        self.answers["GET /v1/info"] = [None]
        self.accept({"event": "done", "state": "failed"})
        self.assertIn("is failed\n", self.ctl("watch", self.JOB["id"], "-s", self.sock,
                                              code=4).stderr)

    def test_documents_fit_the_schema(self):
        """What the rendering tests and this server serve is what dwbenchd would."""
        try:
            import jsonschema
        except ImportError:
            self.skipTest("python3-jsonschema is not installed")
        with open(os.path.join(SOURCE, "docs", "result.schema.json"), encoding="utf-8") as f:
            validator = jsonschema.Draft202012Validator(json.load(f))
        for name in ("layer", "suite", "partial", "wrong"):
            with open(os.path.join(DATA, name + ".json"), encoding="utf-8") as f:
                validator.validate(json.load(f))

    def test_verdicts(self):
        for document, code, word in (("suite", 0, "contaminated"), ("wrong", 4, "OUTPUTS WRONG"),
                                     ("partial", 5, "no ratio: ")):
            self.accept(self.STARTED, self.DONE, document=document)
            p = self.ctl("submit", "example", "--wait", "-s", self.sock, code=code)
            self.assertIn(word, p.stdout)
            self.ctl("result", self.JOB["id"], "-f", "csv", "-s", self.sock, code=code)

    def test_formats(self):
        """The exit code is the report's, whatever it is written as."""
        for document, code in (("suite", 0), ("wrong", 4), ("partial", 5)):
            self.accept(self.STARTED, self.DONE, document=document)
            for name, word in (("junit", "<testsuites"), ("markdown", "\n| layer |"),
                               ("html", "<!DOCTYPE html>")):
                p = self.ctl("submit", "example", "--wait", "-f", name, "-s", self.sock, code=code)
                self.assertIn(word, p.stdout)
                written = self.ctl("result", self.JOB["id"], "-f", name, "-o", "out", "-s",
                                   self.sock, code=code)
                self.assertEqual(written.stdout, "")
                with open(os.path.join(self.dir, "out"), encoding="utf-8") as f:
                    self.assertEqual(f.read(), p.stdout)
        self.assertIn("needs --wait", self.ctl("submit", "example", "-f", "junit", "-s", self.sock,
                                               code=2).stderr)
        for verb in ("list", "status", "doctor"):
            self.assertIn("must be table, json or csv",
                          self.ctl(verb, "-f", "html", "-s", self.sock, code=2).stderr)

    def test_failed_job(self):
        for state in ("failed", "cancelled"):
            self.accept(self.STARTED, {"event": "done", "state": state, "reason": "out of luck"})
            p = self.ctl("submit", "example", "--wait", "-o", "out", "-s", self.sock, code=4)
            self.assertIn(f"is {state}: out of luck", p.stderr)
            self.assertFalse(os.path.exists(os.path.join(self.dir, "out")))

    def test_stream_breaks(self):
        base = self.accept()
        self.answers[base + "/events"] = [
            stream(self.STARTED, {"event": "replicate", "ok": True, "replicates_done": 2,
                                  "fraction": 0.5}),
            None,
            stream(self.STARTED, {"event": "replicate", "ok": True, "replicates_done": 1,
                                  "fraction": 0.2}, self.DONE)]
        p = self.ctl("watch", self.JOB["id"], "-s", self.sock)
        self.assertEqual(p.stderr.count("measuring x"), 1)
        self.assertNotIn("20%", p.stderr)
        self.assertIn("dws3", p.stdout)

    def test_interrupt_and_timeout(self):
        base = self.accept()
        self.answers[base + "/events"] = [60.0]
        p = self.ctl("submit", "example", "--wait", "--timeout", "500ms", "-s", self.sock, code=124)
        self.assertIn("goes on", p.stderr)
        for args in (["submit", "example", "--wait"], ["watch", self.JOB["id"]]):
            self.requests.clear()
            process = self.start(*args, "-s", self.sock)
            self.wait_for(lambda: any(r[0].endswith("/events") for r in self.requests))
            process.send_signal(signal.SIGINT)
            _, err = process.communicate(timeout=10)
            self.assertEqual(process.returncode, 130)
            self.assertIn(f"job {self.JOB['id']} goes on", err)
            self.assertIn(f"dwbenchctl cancel --socket {self.sock} {self.JOB['id']}", err)

    def test_list(self):
        job = dict(self.JOB, created_at="2026-11-22T16:25:38.123Z", started_at=None,
                   finished_at=None, queue_position=3, progress=None)
        bad = dict(job, state="failed", reason="outputs, wrong", queue_position=None)
        self.answers["GET /v1/jobs?limit=2&state=failed"] = [
            http(200, {"jobs": [job, bad], "next": "x"})]
        args = ["list", "--limit", "2", "--state", "failed", "-s", self.sock]
        p = self.ctl(*args)
        self.assertIn("place 3", p.stdout)
        self.assertIn("outputs, wrong", p.stdout)
        self.assertIn("2026-11-22T16:25:38Z", p.stdout)
        self.assertIn("older", p.stderr)
        rows = list(csv.DictReader(io.StringIO(self.ctl(*args, "-f", "csv").stdout)))
        self.assertEqual(rows[1]["reason"], "outputs, wrong")
        self.assertEqual(rows[0]["started_at"], "")
        self.assertEqual(len(json.loads(self.ctl(*args, "-f", "json").stdout)["jobs"]), 2)

    def test_doctor_named_daemon(self):
        self.answers["GET /v1/info"] = [http(200, {
            "version": "0.0.1", "loop": {"backend": "epoll", "fallback_reason": "EPERM"},
            "machine": None, "machine_error": "no worker"})]
        p = self.ctl("doctor", "-s", self.sock, "-f", "json", code=4)
        levels = {f["subject"]: f["level"] for f in json.loads(p.stdout)}
        self.assertEqual(levels["worker"], "problem")
        self.assertEqual(levels["event loop"], "note")
        self.assertEqual(levels["daemon"], "note")  # another version


    def test_doctor_troubled(self):
        """A socket for everybody, an odd answer, none in time, a format that it has not."""
        info = {"version": None, "loop": {}, "machine": None, "machine_error": ""}
        self.answers["GET /v1/info"] = [http(200, info)]
        os.chmod(self.sock, 0o666)
        p = self.ctl("doctor", "-s", self.sock, code=4)
        self.assertIn("writable for everybody", p.stdout)
        self.assertIn("dwbenchd of an unknown version", p.stdout)
        self.answers["GET /v1/info"] = [http(200, [])]
        p = self.ctl("doctor", "-s", self.sock, code=3)
        self.assertIn("no answer at", p.stdout)
        self.assertIn("a private one, works", p.stdout)
        self.assertEqual(self.ctl("doctor", "-s", self.sock, "-f", "csv", code=2).stdout, "")
        self.answers["GET /v1/info"] = [60.0]
        self.ctl("doctor", "-s", self.sock, "--timeout", "300ms", code=124)
        self.answers["GET /v1/info"] = [http(200, {**info, "machine_error": None})]
        process = self.start("doctor", "-s", self.sock)  # the probe is waited for
        self.wait_for(lambda: len(self.requests) > 6)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=20)
        self.assertEqual(process.returncode, 130)


class Real(Case):
    def test_doctor_alone(self):
        """Without a service: a note, and the machine as a private daemon sees it."""
        self.env["XDG_RUNTIME_DIR"] = self.dir
        p = self.ctl("doctor", "-o", "report")
        self.assertEqual(p.stdout, "")
        with open(os.path.join(self.dir, "report"), encoding="utf-8") as f:
            report = f.read()
        self.assertIn("a private one, works", report)
        self.assertIn("systemctl enable --now dwbench.socket", report)
        self.env["DWBENCH_SOCKET"] = self.sock
        levels = {f["subject"]: f["level"] for f in
                  json.loads(self.ctl("doctor", "-f", "json", code=3).stdout)}
        self.assertIn("CPU", levels)
        self.assertEqual(self.left_behind(), [])
        shutil.copy(CTL, self.dir)  # no daemon beside it
        p = subprocess.run([os.path.join(self.dir, "dwbenchctl"), "doctor"], env=self.env,
                           capture_output=True, text=True, cwd=self.dir, timeout=60)
        self.assertEqual(p.returncode, 4)
        self.assertIn("a private daemon cannot be started", p.stdout)

    def daemon(self):
        daemon = Daemon(worker=WORKER)
        self.addCleanup(daemon.close)
        daemon.start()
        self.sock = self.env["DWBENCH_SOCKET"] = daemon.socket

    def measure(self, *args):
        """Exit 0; or 5, when the machine was so busy that every sample of an operation had to be
        dropped: then the document must say so."""
        p = subprocess.run([CTL, *args, *QUICK, "-f", "json"], capture_output=True, text=True,
                           env=self.env, cwd=self.dir, stdin=subprocess.DEVNULL, timeout=120)
        self.assertIn(p.returncode, (0, 5), f"{args}\n{p.stdout}\n{p.stderr}")
        document = json.loads(p.stdout)
        entry = document["results"][0]
        self.assertEqual(document["ratio"], entry["ratio"])
        self.assertGreater(entry["verification"]["positions"], 0)
        job, own = document["job"]["measuring"], entry["measuring"]
        self.assertEqual(job["kernel_ns"], own["kernel_ns"])  # one layer, and no restart
        self.assertEqual(job["replicates"], entry["replicates"])
        self.assertLess(own["kernel_ns"], own["wall_ns"])
        self.assertLess(own["wall_ns"], job["wall_ns"])
        self.assertAlmostEqual(job["share"], job["kernel_ns"] / job["wall_ns"])
        if p.returncode == 5:
            self.assertIsNone(entry["ratio"]["time"]["floor"])
            self.assertEqual(entry["verdict"], "contaminated")
            self.assertGreater(entry["dropped_share"], 0.5)
        else:
            self.assertGreater(entry["ratio"]["time"]["floor"], 0)
        return document

    def left_behind(self):
        return [n for n in os.listdir(self.dir) if n.startswith("dwbench-run")]

    @measures
    def test_run(self):
        document = self.measure("run", *TINY)
        self.assertEqual(document["results"][0]["layer"]["name"], "tiny")
        self.assertEqual(self.left_behind(), [])
        self.assertEqual(self.processes(), [])

    @measures
    def test_run_quiet_table(self):
        p = subprocess.run([CTL, "run", *TINY, *QUICK, "-q"], capture_output=True, text=True,
                           env=self.env, cwd=self.dir, timeout=120)
        self.assertIn(p.returncode, (0, 5))
        self.assertEqual(p.stderr, "")
        self.assertRegex(p.stdout, r"(?m)^tiny +8 16x16 k3 s1 ")
        self.assertIn("machine: ", p.stdout)
        self.assertRegex(p.stdout, r"measuring: \d+% of [\d.]+ s in timed calls")

    @measures
    def test_run_environment(self):
        args = ["run", *TINY, *QUICK, "-q", "--environment"]
        p = subprocess.run([CTL, *args, "-f", "json"], capture_output=True, text=True,
                           env=self.env, cwd=self.dir, timeout=120)
        self.assertIn(p.returncode, (0, 5), p.stderr)
        environment = json.loads(p.stdout)
        self.assertEqual(len(environment["build"]["build_id"]), 40)
        for path, reason in environment["unreadable"].items():
            member = environment
            for step in path.split("."):
                member = member[step]
            self.assertIsNone(member, path)
            self.assertTrue(reason, path)
        p = subprocess.run([CTL, *args], capture_output=True, text=True, env=self.env,
                           cwd=self.dir, timeout=120)
        self.assertRegex(p.stdout, r"(?m)^Processor\n  cpu\.model +\S")
        self.assertRegex(p.stdout, r"(?m)^  libraries\.xnnpack +not readable \(not loaded")

    def run_until_measuring(self):
        process = self.start("run", "example", "--budget", "60s")
        self.wait_for(lambda: any("dwbench-run" in line for line in self.processes()))
        line = ""
        while "measuring" not in line:
            line = process.stderr.readline()
            self.assertNotEqual(line, "", "ended early")
        return process

    def test_run_interrupted(self):
        process = self.run_until_measuring()
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=20)
        self.assertEqual(process.returncode, 130)
        self.assertEqual(self.left_behind(), [])
        self.wait_for(lambda: not self.processes())

    def test_run_killed(self):
        process = self.run_until_measuring()
        process.kill()
        process.communicate(timeout=20)
        self.wait_for(lambda: not self.processes())

    def test_run_timeout(self):
        self.ctl("run", "example", "--budget", "60s", "--timeout", "1s", code=124)
        self.assertEqual(self.left_behind(), [])
        self.wait_for(lambda: not self.processes())

    def test_run_daemon_dies(self):
        process = self.run_until_measuring()
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{pid}/cmdline", "rb") as f:
                    line = f.read().decode(errors="replace")
            except OSError:
                continue
            if self.dir in line and "dwbenchd" in line.split("\0")[0]:
                os.kill(int(pid), signal.SIGKILL)
        _, err = process.communicate(timeout=20)
        self.assertEqual(process.returncode, 3)
        self.assertIn("killed by signal 9", err)
        self.assertEqual(self.left_behind(), [])

    @measures
    def test_service(self):
        self.daemon()
        path = self.write("layer.yaml", "{name: mine, Dk: 3, Dx: 8, M: 8, N: 8}\n")
        document = self.measure("submit", path, "--wait")
        job = json.loads(self.ctl("list", "-f", "json").stdout)["jobs"][0]
        self.assertEqual(job["state"], "done")
        code = 0 if document["ratio"]["time"]["floor"] else 5
        p = self.ctl("result", job["id"], "-f", "json", code=code)
        self.assertEqual(json.loads(p.stdout), document)
        self.assertIn("mine", self.ctl("watch", job["id"], code=code).stdout)
        row = next(csv.DictReader(io.StringIO(
            self.ctl("result", job["id"], "-f", "csv", code=code).stdout)))
        self.assertEqual(row["job"], job["id"])
        floor = document["ratio"]["time"]["floor"]
        self.assertEqual(row["ratio"], f"{floor:.9g}" if floor else "")
        self.assertIn("done", self.ctl("status", job["id"]).stdout)
        self.assertRegex(self.ctl("status").stdout, "1 done")
        self.assertIn("finished", self.ctl("cancel", job["id"], code=2).stderr)
        self.assertIn("# TYPE", self.ctl("metrics").stdout)
        self.assertIn(self.sock, self.ctl("version").stdout)
        self.assertIn("problem", self.ctl("doctor").stdout)
        if LOOP == "denied":
            self.assertIn("epoll, because io_uring is not to be had: io_uring is not available: "
                          "Operation not permitted", " ".join(self.ctl("doctor").stdout.split()))
            self.assertIn('dwbench_loop_fallback{error="EPERM"} 1', self.ctl("metrics").stdout)

    def test_one_key_one_job(self):
        self.daemon()
        ids = {self.ctl("submit", *TINY, *QUICK, "-q", "--idempotency-key", "k").stdout
               for _ in range(3)}
        self.assertEqual(len(ids), 1)
        self.ctl("submit", "example", *QUICK, "--idempotency-key", "k", code=2)

    def test_cancel(self):
        self.daemon()
        waiting = self.start("submit", "example", "--budget", "60s", "--wait")
        job = self.wait_for(lambda: [j for j in json.loads(
            self.ctl("list", "-f", "json").stdout)["jobs"] if j["state"] == "running"])[0]
        self.ctl("result", job["id"], code=2)
        self.assertIn("cancelled", self.ctl("cancel", job["id"]).stdout)
        _, err = waiting.communicate(timeout=20)
        self.assertEqual(waiting.returncode, 4)
        self.assertIn("is cancelled", err)
        self.assertIn("is cancelled", self.ctl("cancel", job["id"]).stdout)  # once more is fine


if __name__ == "__main__":
    harness.main()
