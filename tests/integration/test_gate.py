#!/usr/bin/python3
"""dwbenchctl gate from the command line to the exit status. Made up: a service whose worker invents
times, so that the verdict is known; Programs: two such workers under gate's own daemon; Real: the
real worker, where nothing is said of time but what no machine turns around."""

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import tempfile
import time
import unittest
import xml.etree.ElementTree

import harness
from harness import FAKE_WORKER, SOURCE_ROOT, WORKER, Daemon, measures, wait_for

CTL = os.environ["DWB_CTL"]
TINY = ["--layer", "Dk=3,Dx=8,M=16,N=16,name=tiny"]
QUICK = ["--budget", "200ms", "--replicates", "5"]
SUITE = """
name: two
defaults: {Dk: 3, Dx: 8, M: 8, N: 8}
layers: [{name: one}, {name: other, M: 16}]
"""


class Case(unittest.TestCase):
    def setUp(self):
        self.dir = tempfile.mkdtemp(prefix="gate-", dir="/tmp")
        self.addCleanup(shutil.rmtree, self.dir, ignore_errors=True)
        self.env = {k: v for k, v in os.environ.items()
                    if k not in ("DWBENCH_SOCKET", "XDG_RUNTIME_DIR", "COLUMNS", "NO_COLOR")}
        self.env["TMPDIR"] = self.dir
        self.env["LC_ALL"] = "C.UTF-8"

    def run_gate(self, *args, stdin=""):
        return subprocess.run([CTL, "gate", *args], input=stdin, capture_output=True, text=True,
                              env=self.env, cwd=self.dir, timeout=240)

    def gate(self, *args, code=0, stdin=""):
        p = self.run_gate(*args, stdin=stdin)
        self.assertEqual(p.returncode, code, f"{args}\n{p.stdout}\n{p.stderr}")
        return p

    def write(self, name, text, mode=0o644):
        path = os.path.join(self.dir, name)
        with open(path, "w", encoding="utf-8") as f:
            f.write(text)
        os.chmod(path, mode)
        return path

    def check_schema(self, document):
        try:
            import jsonschema
        except ImportError:
            return
        with open(os.path.join(SOURCE_ROOT, "docs", "gate.schema.json"), encoding="utf-8") as f:
            jsonschema.Draft202012Validator(json.load(f)).validate(document)

    def left_behind(self):
        return [n for n in os.listdir(self.dir) if n.startswith("dwbench-run")]


class Usage(Case):
    def refuse(self, *args, stdin="", says=""):
        p = self.gate(*args, code=2, stdin=stdin)
        self.assertIn(says, p.stderr)
        self.assertEqual(p.stdout, "")
        self.assertEqual(self.left_behind(), [])
        return p

    def test_sides(self):
        self.refuse(*TINY, says="--a is missing")
        self.refuse("--a", "native", *TINY, says="--b is missing")
        self.refuse("--a", "native", "--b", "", *TINY, says="is none of native")
        self.refuse("--a", "natives", "--b", "native", *TINY, says="`natives'")
        self.refuse("--a", "separable", "--b", "native", *TINY, says="form")
        self.refuse("--a", "native", "--b", "native,+1/0", *TINY, says="1 to 1000")
        self.refuse("--a", "native", "--b", "native,+1/5", "--cache", "cold", *TINY, says="warm")
        self.refuse("--a", "native", "--b", "onednn", "--operations", "canary", *TINY,
                    says="operations")
        self.refuse("--a", "native", "--b", "onednn", "--delta", "0", *TINY, says="delta")
        self.refuse("--a", "native", "--b", "onednn", "--simulate", *TINY, says="simulate")
        self.refuse("--a", "native", "--b", "onednn", "-f", "csv", *TINY, says="table, json")
        self.refuse("--a", "native", "--b", "onednn", says="")
        self.refuse("-", stdin="{Dk: 1, Dx: 1, M: 1, N: 1, a: native}", says="two sides")

    def test_programs(self):
        other = self.write("not-executable", "")
        for path, says in (("/nonexistent", "No such file"), (self.dir, "Is a directory"),
                           (other, "Permission denied"), ("", "No such file")):
            if path == other and os.geteuid() == 0 and os.access(other, os.X_OK):
                continue
            self.refuse("--a", f"worker:{path}", "--b", f"worker:{WORKER}", *TINY, says=says)
        self.refuse("--a", f"worker:{WORKER}", "--b", "native", *TINY, says="must be a worker")
        self.refuse("--a", f"worker:{WORKER},avx2", "--b", f"worker:{WORKER}", *TINY, says="isa")

    def test_plugins(self):
        self.refuse("--a", "plugin:nonsuch.so", "--b", "native", *TINY, says="nonsuch.so")
        self.refuse("--a", "native", "--b", "plugin:./x.so", "--socket",
                    os.path.join(self.dir, "s"), *TINY, says="leave --socket out")

    def test_a_service_takes_no_path(self):
        self.refuse("--a", f"worker:{WORKER}", "--b", f"worker:{WORKER}", "--socket",
                    os.path.join(self.dir, "s"), *TINY, says="leave --socket out")

    def test_no_daemon(self):
        p = self.gate("--a", "native", "--b", "native", "--socket", os.path.join(self.dir, "s"),
                      *TINY, code=3)
        self.assertEqual(p.stdout, "")


class MadeUp(Case):
    """Against a service; its worker makes b slower by what `factors` says."""

    def setUp(self):
        super().setUp()
        self.daemon = Daemon()
        self.addCleanup(self.daemon.close)
        self.daemon.start()
        wait_for(lambda: self.daemon.get("/v1/info").json["machine"])  # knows what there is
        self.args = ["--socket", self.daemon.socket, *QUICK]

    def sides(self, *args, code=0, a="native", b="native", **kwargs):
        return self.gate("--a", a, "--b", b, *self.args, *args, code=code, **kwargs)

    def document(self, *args, code=0, **kwargs):
        document = json.loads(self.sides(*args, "-f", "json", code=code, **kwargs).stdout)
        self.check_schema(document)
        return document

    def n_jobs(self):
        return len(self.daemon.get("/v1/jobs").json["jobs"])

    def test_same(self):
        document = self.document(*TINY, a="kernel:whatever", b="onednn,portable")
        self.assertEqual(document["overall"],
                         {"verdict": "same", "faster": 0, "slower": 0, "same": 3,
                          "not_resolved": 0})
        self.assertEqual([c["operation"] for c in document["comparisons"]],
                         ["standard", "depthwise", "pointwise"])
        self.assertEqual(document["a"], {"what": "kernel:whatever"})
        self.assertEqual(document["b"], {"what": "onednn,portable"})
        self.assertEqual(document["job"]["options"]["replicates"], 5)
        self.assertEqual(document["job"]["options"]["precision"], 0.0025)
        for c in document["comparisons"]:
            self.assertEqual(c["processes"], 5)
            self.assertIsNone(c["confirmed"])
        self.assertEqual(self.n_jobs(), 1)

    def test_faster(self):
        self.daemon.set_factors(b=0.9)
        document = self.document(*TINY, "--operations", "pointwise")
        [comparison] = document["comparisons"]
        self.assertEqual(comparison["verdict"], "faster")
        self.assertAlmostEqual(comparison["change"]["median"], -0.1, places=3)
        self.assertEqual(self.n_jobs(), 1)

    def test_slower_twice(self):
        self.daemon.set_factors(b=1.1)
        path = self.write("suite.yaml", SUITE)
        p = self.sides(path, "-f", "json", code=1)
        self.assertIn("measuring once more", p.stderr)
        document = json.loads(p.stdout)
        self.check_schema(document)
        self.assertEqual(len(document["comparisons"]), 6)
        for c in document["comparisons"]:
            self.assertEqual(c["verdict"], "slower")
            self.assertIs(c["confirmed"], True)
            self.assertEqual(c["second_run"]["verdict"], "slower")
        first, second = reversed(self.daemon.get("/v1/jobs").json["jobs"])
        self.assertEqual(document["job"]["id"], first["id"])
        specs = [self.daemon.job(job["id"])["spec"] for job in (first, second)]
        self.assertEqual([spec["seed"] for spec in specs], [1, 2])

    def test_slower_once(self):
        """An alarm in the first run only: no alarm, but no clean bill either."""
        self.daemon.set_factors(b=1.1, seed=1)
        p = self.sides(*TINY, code=5)
        self.assertIn("did not confirm", p.stdout)
        self.assertEqual(self.n_jobs(), 2)
        document = self.document(*TINY, "--seed", "1", code=5)
        for c in document["comparisons"]:
            self.assertEqual(c["verdict"], "not_resolved")
            self.assertIs(c["confirmed"], False)
            self.assertEqual(c["second_run"]["verdict"], "same")
            self.assertAlmostEqual(c["change"]["median"], 0.1, places=3)

    def test_the_last_seed(self):
        """The second run has the seed after it, of which there is none."""
        self.daemon.set_factors(b=1.1)
        self.sides(*TINY, "--seed", str(2 ** 63 - 1), "--operations", "depthwise", code=1)
        self.assertEqual(self.n_jobs(), 2)

    def test_only_alarms_are_measured_again(self):
        self.daemon.set_factors(b=1.1, layer="other")
        document = self.document(self.write("suite.yaml", SUITE), code=1)
        self.assertEqual([c["verdict"] for c in document["comparisons"]],
                         3 * ["same"] + 3 * ["slower"])
        first, second = reversed(self.daemon.get("/v1/jobs").json["jobs"])
        layers = [[layer["name"] for layer in self.daemon.job(job["id"])["spec"]["layers"]]
                  for job in (first, second)]
        self.assertEqual(layers, [["one", "other"], ["other"]])

    def test_no_confirmation(self):
        self.daemon.set_factors(b=1.1, seed=1)
        document = self.document(*TINY, "--no-confirm", code=1)
        for c in document["comparisons"]:
            self.assertEqual(c["verdict"], "slower")
            self.assertIsNone(c["confirmed"])
            self.assertNotIn("second_run", c)
        self.assertEqual(self.n_jobs(), 1)

    def test_not_resolved(self):
        p = self.gate("--a", "native", "--b", "onednn", "--socket", self.daemon.socket, "--budget",
                      "200ms", "--replicates", "1", *TINY, code=5)
        self.assertIn("no interval", p.stdout)

    def test_delta(self):
        self.daemon.set_factors(b=1.02)
        self.sides(*TINY, "--delta", "5%")
        self.sides(*TINY, "--delta", "1%", code=1)

    def test_sides_of_the_document(self):
        self.daemon.set_factors(b=1.1)
        text = "{Dk: 3, Dx: 8, M: 8, N: 8, name: mine, a: onednn, b: [native, portable]%s}"
        p = self.gate("-", *self.args, "-f", "json", code=1, stdin=text % ", operations: pointwise")
        document = json.loads(p.stdout)
        self.assertEqual(document["a"]["what"], "onednn")
        self.assertEqual(document["b"]["what"], "native,portable")
        self.assertEqual(len(document["comparisons"]), 1)
        p = self.gate("-", *self.args, "-f", "json", "--b", "xnnpack", code=1, stdin=text % "")
        self.assertEqual(json.loads(p.stdout)["b"]["what"], "xnnpack")  # a flag wins

    def test_formats(self):
        self.daemon.set_factors(b=1.1)
        args = [*TINY, "--operations", "depthwise"]
        junit = xml.etree.ElementTree.fromstring(self.sides(*args, "-f", "junit", code=1).stdout)
        self.assertEqual(len(list(junit.iter("testcase"))), 1)
        self.assertEqual(len(list(junit.iter("failure"))), 1)
        markdown = self.sides(*args, "-f", "markdown", code=1).stdout
        self.assertIn("| tiny ", markdown)
        self.assertIn("slower", markdown)
        html = self.sides(*args, "-f", "html", code=1).stdout
        self.assertTrue(html.startswith("<!DOCTYPE html>"))
        self.assertIn("slower", html)
        table = self.sides(*args, "-q", code=1)
        self.assertEqual(table.stderr, "")
        self.assertRegex(table.stdout, r"(?m)^tiny +depthwise ")
        written = self.sides(*args, "-f", "json", "-o", "out.json", code=1)
        self.assertEqual(written.stdout, "")
        with open(os.path.join(self.dir, "out.json"), encoding="utf-8") as f:
            self.check_schema(json.load(f))
        self.daemon.set_factors()
        junit = xml.etree.ElementTree.fromstring(self.sides(*args, "-f", "junit").stdout)
        self.assertEqual(list(junit.iter("failure")), [])

    def test_result_of_the_job(self):
        """The job is one like others: its result can be asked for later, with the same exit code."""
        self.daemon.set_factors(b=1.1)
        document = self.document(*TINY, "--no-confirm", code=1)
        p = subprocess.run([CTL, "result", document["job"]["id"], "-s", self.daemon.socket, "-f",
                            "json"], capture_output=True, text=True, env=self.env, timeout=60)
        self.assertEqual((p.returncode, json.loads(p.stdout)), (1, document), p.stderr)

    def test_a_job_by_http(self):
        job = {"name": "tiny", "Dk": 3, "Dx": 8, "M": 8, "N": 8, "budget": "200ms",
               "replicates": 5}
        for sides, status, code, part in (
                ({"a": "worker:a", "b": "worker:b"}, 422, "side_not_available", "no such worker"),
                ({"a": "worker:c", "b": "worker:b"}, 422, "side_not_available", "no such worker"),
                ({"a": "worker:/bin/true", "b": "worker:b"}, 400, "invalid_document", "path"),
                ({"a": "plugin:../x.so", "b": "native"}, 400, "invalid_document", "path"),
                ({"a": "native"}, 400, "invalid_document", "two sides"),
                ({"a": "native,avx512", "b": "native"}, 422, "isa_not_available", "portable"),
                ({"a": "native", "b": "separable"}, 400, "invalid_document", "form")):
            response = self.daemon.post({**job, **sides})
            self.assertEqual((response.status, response.json.get("code")), (status, code), sides)
            self.assertIn(part, json.dumps(response.json["errors"]))
        accepted = self.daemon.post({**job, "a": "native", "b": "native"})
        self.assertEqual(accepted.status, 202)
        spec = accepted.json["spec"]
        self.assertEqual((spec["a"], spec["b"], spec["operations"], spec["delta"]),
                         ("native", "native", "standard,depthwise,pointwise", 0.005))
        self.daemon.wait_state(accepted.json["id"], "done")

    def test_restart_in_the_middle(self):
        self.daemon.set_mode("slow0.1")
        job = self.daemon.submit({"name": "s", "defaults": {"Dk": 3, "Dx": 8, "M": 4, "N": 4},
                                  "layers": [{"name": "a"}, {"name": "b"}], "budget": "200ms",
                                  "replicates": 5, "a": "native", "b": "onednn"})
        check_restart(self, self.daemon, job, {(name, i) for name in "ab" for i in range(5)})


def stored(daemon):
    database = sqlite3.connect(os.path.join(daemon.state, "dwbench.db"))
    try:
        return database.execute("SELECT count(*) FROM replicate").fetchone()[0]
    finally:
        database.close()


def check_restart(test, daemon, job, expected):
    """Kill -9 in the middle; nothing is measured twice, and the result has all of it."""
    wait_for(lambda: daemon.job(job)["progress"]
             and daemon.job(job)["progress"]["replicates_done"] >= 3)
    daemon.kill()
    n_asked, n_stored = len(daemon.requests()), stored(daemon)
    test.assertGreaterEqual(n_stored, 3)
    daemon.set_mode("ok")
    daemon.start()
    daemon.wait_state(job, "done")
    again = daemon.requests()[n_asked:]
    test.assertEqual(len(again), len(expected) - n_stored)
    test.assertEqual(stored(daemon), len(expected))
    document = daemon.get(f"/v1/jobs/{job}/result").json
    test.check_schema(document)
    test.assertEqual(document["overall"]["verdict"], "same")
    return document


class Programs(Case):
    """Two programs. gate's own daemon starts them, so they get their directory from here."""

    def setUp(self):
        super().setUp()
        self.fake = os.path.join(self.dir, "fake")
        os.mkdir(self.fake)
        self.env["FAKE_WORKER_DIR"] = self.fake
        self.write("fake/mode", "ok")
        self.programs = [self.write(f"worker-{side}", "#!/bin/sh\n"
                                    f"echo {side} >>'{self.fake}/sides'\n"
                                    f"FAKE_WORKER_SIDE={side} exec '{FAKE_WORKER}' \"$@\"\n", 0o755)
                         for side in "ab"]
        self.sides = ["--a", f"worker:{self.programs[0]}", "--b", "worker:worker-b", *QUICK]

    def set_factors(self, **factors):
        self.write("fake/factors", json.dumps(factors))

    def order(self):
        with open(os.path.join(self.fake, "sides"), encoding="utf-8") as f:
            return "".join(f.read().split())

    def test_same(self):
        p = self.gate(*self.sides, *TINY, "--operations", "depthwise,pointwise", "-f", "json")
        document = json.loads(p.stdout)
        self.check_schema(document)
        self.assertEqual([c["operation"] for c in document["comparisons"]],
                         ["depthwise", "pointwise"])
        for c in document["comparisons"]:
            self.assertEqual(c["method"], "floors of neighbouring processes")
            self.assertEqual(c["processes"], 5)
        # As they were given, not as the daemon knows them.
        self.assertEqual(document["a"]["what"], f"worker:{self.programs[0]}")
        self.assertEqual(document["comparisons"][1]["b"]["what"], "worker:worker-b")
        self.assertEqual(self.order(), "abbaabbaab")
        self.assertEqual(self.left_behind(), [])

    def test_slower(self):
        self.set_factors(b=1.1)
        p = self.gate(*self.sides, *TINY, code=1)
        self.assertIn("worker:worker-b", p.stdout)
        self.assertEqual(self.order(), 2 * "abbaabbaab")
        self.assertEqual(self.left_behind(), [])

    def test_slower_once(self):
        self.set_factors(b=1.1, seed=1)
        self.assertIn("did not confirm", self.gate(*self.sides, *TINY, code=5).stdout)

    def test_faster(self):
        self.set_factors(b=0.9)
        self.gate(*self.sides, *TINY)

    def test_forms(self):
        p = self.gate("--a", f"worker:{self.programs[0]},standard", "--b",
                      f"separable,worker:{self.programs[1]}", *QUICK, *TINY, "-f", "json")
        [comparison] = json.loads(p.stdout)["comparisons"]
        self.assertEqual(comparison["operation"], "standard to separable")
        self.assertEqual(comparison["verdict"], "faster")

    def test_a_program_that_fails(self):
        self.write("fake/mode", "exit-3")
        p = self.gate(*self.sides, *TINY, code=4)
        self.assertIn("last line", p.stderr)
        self.assertEqual(self.left_behind(), [])

    def test_interrupted(self):
        self.write("fake/mode", "slow60")
        process = subprocess.Popen([CTL, "gate", *self.sides, *TINY], stdin=subprocess.DEVNULL,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=self.env,
                                   cwd=self.dir)
        try:
            wait_for(lambda: os.path.exists(os.path.join(self.fake, "sides")))
            time.sleep(0.2)
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=30)
        finally:
            process.kill()
        self.assertEqual(process.returncode, 130)
        self.assertEqual(self.left_behind(), [])

    def test_restart_in_the_middle(self):
        daemon = Daemon(mode="slow0.1", config={"worker_a": self.programs[0],
                                                "worker_b": self.programs[1]})
        self.addCleanup(daemon.close)
        daemon.start()
        job = daemon.submit({"name": "tiny", "Dk": 3, "Dx": 8, "M": 4, "N": 4, "budget": "200ms",
                             "replicates": 4, "a": "worker:a", "b": "worker:b"})
        document = check_restart(self, daemon, job, {("tiny", i) for i in range(8)})
        for c in document["comparisons"]:
            self.assertEqual(c["processes"], 4)


@measures
class Real(Case):
    def measure(self, *args, verdicts):
        """One of the verdicts; any of them where the machine was so busy that much was dropped."""
        p = self.run_gate(*args, *TINY, "--budget", "1s", "--replicates", "6", "--no-confirm", "-f",
                          "json")
        self.assertIn(p.returncode, (0, 1, 5), f"{args}\n{p.stdout}\n{p.stderr}")
        document = json.loads(p.stdout)
        self.check_schema(document)
        self.assertGreater(len(document["comparisons"]), 0)
        for c in document["comparisons"]:
            if c["dropped_share"] <= 0.3:
                self.assertIn(c["verdict"], verdicts, c)
        self.assertEqual(p.returncode, {"slower": 1, "not_resolved": 5}.get(
            document["overall"]["verdict"], 0))
        self.assertEqual(self.left_behind(), [])
        return document

    def isas(self):
        probe = subprocess.run([WORKER, "--probe"], capture_output=True, check=True, timeout=60)
        return json.loads(probe.stdout)["isas"]

    def test_wider_is_faster(self):
        isas = self.isas()
        if len(isas) < 2:
            self.skipTest("this machine has one ISA only")
        document = self.measure("--a", "portable", "--b", isas[1], "--operations",
                                "standard,pointwise", verdicts=("faster",))
        for c in document["comparisons"]:
            self.assertEqual(c["a"]["isa"], "portable")
            self.assertEqual(c["b"]["isa"], isas[1])
            self.assertNotEqual(c["a"]["kernel"], c["b"]["kernel"])

    def test_planted(self):
        document = self.measure("--a", "native", "--b", "native,+1/5", "--operations",
                                "standard,depthwise", verdicts=("slower", "not_resolved"))
        for c in document["comparisons"]:
            self.assertNotEqual(c["verdict"], "faster", c)
            self.assertEqual(c["a"]["kernel"], c["b"]["kernel"])

    def test_forms(self):
        document = self.measure("--a", "separable", "--b", "fused",
                                verdicts=("slower", "faster", "same", "not_resolved"))
        [comparison] = document["comparisons"]
        self.assertEqual(comparison["operation"], "separable to separable_fused")

    def test_two_programs(self):
        document = self.measure("--a", f"worker:{WORKER}", "--b", f"worker:{WORKER}",
                                "--operations", "standard",
                                verdicts=("slower", "faster", "same", "not_resolved"))
        [comparison] = document["comparisons"]
        if comparison["dropped_share"] <= 0.3:
            self.assertGreaterEqual(comparison["processes"], 6)

    def expect_failure(self, *args, says):
        p = self.gate(*args, *TINY, *QUICK, code=4)
        self.assertIn(says, p.stderr)
        self.assertEqual(p.stdout, "")

    def test_what_is_not_there(self):
        self.expect_failure("--a", "kernel:nonsuch", "--b", "native", says="there is no kernel nonsuch")
        self.expect_failure("--a", "native", "--b", "kernel:nonsuch", says="there is no kernel nonsuch")
        self.expect_failure("--a", "onednn", "--b", "native", "--operations", "separable_fused",
                  says="no operation in common")

    def test_a_kernel_by_name(self):
        probe = subprocess.run([WORKER, "--probe"], capture_output=True, check=True, timeout=60)
        name = next(k["name"] for k in json.loads(probe.stdout)["kernels"]
                    if k["op"] == "standard" and k["isa"] == "portable")
        document = self.measure("--a", f"kernel:{name}", "--b", "portable",
                                verdicts=("slower", "faster", "same", "not_resolved"))
        [comparison] = document["comparisons"]  # it has no other operation
        self.assertEqual(comparison["operation"], "standard")
        self.assertEqual(comparison["a"]["kernel"], name)


if __name__ == "__main__":
    harness.main()
