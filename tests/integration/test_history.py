#!/usr/bin/python3
"""Comparing jobs: dwbenchctl compare, baseline and submit --baseline, and the API below them. The
worker is a fake whose times the test sets, so a regression is one and equal is equal. Beside what
harness.py takes from the environment, DWB_CTL names dwbenchctl."""

import json
import os
import shutil
import sqlite3
import subprocess
import tempfile
import unittest

import harness
from harness import Daemon

CTL = os.environ["DWB_CTL"]
LAYER = ["--layer", "Dk=3,Dx=8,M=8,N=8,name=tiny", "--budget", "200ms", "--replicates", "4"]
OTHER = {"name": "other", "Dk": 3, "Dx": 8, "M": 16, "N": 8, "budget": "200ms", "replicates": 4}
SLOWER, NOT_RESOLVED, REFUSED, UNREACHABLE = 1, 5, 2, 3


class Case(unittest.TestCase):
    def setUp(self):
        self.dir = tempfile.mkdtemp(prefix="history-", dir="/tmp")
        self.addCleanup(shutil.rmtree, self.dir, ignore_errors=True)
        self.daemon = Daemon().start()
        self.addCleanup(self.daemon.finish)

    def ctl(self, *args, code=0, socket=True):
        if socket:
            args = (*args, "--socket", self.daemon.socket)
        p = subprocess.run([CTL, *args], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                           cwd=self.dir, timeout=60, env={**os.environ, "LC_ALL": "C.UTF-8"})
        self.assertEqual(p.returncode, code, f"{args}\n{p.stdout}\n{p.stderr}")
        return p

    def job(self, document=None, **factors):
        self.daemon.set_factors(**factors)
        job = self.daemon.submit(document)
        self.daemon.wait_state(job, "done")
        return job

    def put(self, name, job):
        return self.daemon.request("PUT", f"/v1/baselines/{name}", body=json.dumps({"job": job}))

    def path(self, name):
        return os.path.join(self.dir, name)

    def compared(self, *args, code=0):
        """{operation: comparison} and the document."""
        document = json.loads(self.ctl("compare", *args, "--format", "json", code=code).stdout)
        return {row["operation"]: row for row in document["comparisons"]}, document


class Compare(Case):
    def test_same_and_slower_and_faster(self):
        a, b, c = self.job(), self.job(), self.job(depthwise=1.1, separable=1.05)
        rows, document = self.compared(a, b)
        self.assertEqual(document["schema"], "dwbench.compare/1")
        self.assertEqual((document["a"]["id"], document["b"]["id"]), (a, b))
        self.assertEqual({row["verdict"] for row in rows.values()}, {"same"})
        rows, document = self.compared(a, c, code=SLOWER)
        self.assertEqual(rows["standard"]["verdict"], "same")
        self.assertEqual(rows["depthwise"]["verdict"], "slower")
        self.assertAlmostEqual(rows["depthwise"]["change"]["raw"], 0.1, 2)
        self.assertEqual(document["overall"], {"verdict": "slower", "faster": 0, "slower": 2,
                                               "same": 2, "not_resolved": 0})
        rows, _ = self.compared(c, a)
        self.assertEqual(rows["depthwise"]["verdict"], "faster")

    def test_machine_drift_is_not_resolved_without_a_peak(self):
        a, b = self.job(), self.job(standard=1.1, depthwise=1.1, pointwise=1.1, separable=1.1,
                                    canary=1.1)
        rows, document = self.compared(a, b, code=NOT_RESOLVED)
        self.assertFalse(document["machine"]["agrees"])
        self.assertIn("canary", rows["standard"]["reason"])
        self.assertIsNone(rows["standard"]["change"]["code"])

    def test_table(self):
        a, b = self.job(), self.job(depthwise=1.1)
        text = self.ctl("compare", a, b, code=SLOWER).stdout
        for part in (f"a: {a}", f"b: {b}", "slower", "the same", "machine: ", "b is slower than a"):
            self.assertIn(part, text)

    def test_files_need_no_daemon(self):
        a, b = self.job(), self.job(depthwise=1.1)
        for job, name in ((a, "a.json"), (b, "b.json")):
            self.ctl("result", job, "--format", "json", "-o", self.path(name))
        one = self.ctl("compare", "a.json", "b.json", "--format", "json", "-o", "c.json",
                       socket=False, code=SLOWER)
        self.assertEqual(one.stdout, "")
        with open(self.path("c.json")) as stream:
            document = json.load(stream)
        self.assertEqual(document["comparisons"][0]["a"]["what"], "a.json")
        mixed, _ = self.compared("a.json", b, code=SLOWER)
        self.assertEqual(mixed["depthwise"]["b"]["what"], b)
        again = self.ctl("compare", "a.json", "b.json", "--format", "json", socket=False, code=SLOWER)
        self.assertEqual(json.loads(again.stdout), document)

    def test_refusals(self):
        a, b = self.job(), self.job(OTHER)
        p = self.ctl("compare", a, b, code=REFUSED)
        self.assertIn("tiny.native", p.stderr)
        self.assertIn("--force", p.stderr)
        c = self.job({**harness.TINY, "Dx": 10})
        p = self.ctl("compare", a, c, code=REFUSED)
        self.assertIn("tiny.native.Dx: 8 in a, 10 in b", p.stderr)
        _, document = self.compared(a, c, "--force")
        self.assertTrue(document["forced"])
        self.assertIn("tiny.native.Dx", [row["member"] for row in document["obstacles"]])
        cold = self.job({**harness.TINY, "cache": "cold"})
        self.assertIn("tiny.native.cache", self.ctl("compare", a, cold, code=REFUSED).stderr)

    def test_usage(self):
        a = self.job()
        self.ctl("compare", a, code=REFUSED)
        self.ctl("compare", "--baseline", "x", a, a, code=REFUSED)
        self.ctl("compare", a, a, "--format", "csv", code=REFUSED)
        self.ctl("compare", a, "0" * 20, code=REFUSED)
        self.ctl("compare", a, "./nothing.json", code=REFUSED)
        with open(self.path("odd.json"), "w") as stream:
            stream.write("{}")
        self.assertIn("odd.json is not a result", self.ctl("compare", a, "odd.json", code=REFUSED).stderr)
        with open(self.path("broken.json"), "w") as stream:
            stream.write("{\n")
        self.assertIn("broken.json:", self.ctl("compare", a, "broken.json", code=REFUSED).stderr)
        self.ctl("compare", a, a, "--socket", self.path("none"), socket=False, code=UNREACHABLE)


class Baseline(Case):
    def test_set_list_show_delete(self):
        first, second = self.job(), self.job()
        self.assertEqual(self.ctl("baseline", "list").stdout.split(),
                         ["name", "job", "history", "uid", "set", "at"])
        self.assertEqual(self.ctl("baseline", "set", "main", first).stdout,
                         f"baseline main is job {first}\n")
        self.ctl("baseline", "set", "main", second)
        shown = json.loads(self.ctl("baseline", "show", "main", "--format", "json").stdout)
        self.assertEqual((shown["job"], shown["history"]), (second, [first]))
        self.assertEqual(shown["uid"], os.getuid())
        self.ctl("baseline", "set", "main", first)  # again: to the front, not there twice
        shown = json.loads(self.ctl("baseline", "show", "main", "--format", "json").stdout)
        self.assertEqual((shown["job"], shown["history"]), (first, [second]))
        self.assertIn(f"before:  {second}", self.ctl("baseline", "show", "main").stdout)
        self.assertIn(first, self.ctl("baseline", "list").stdout)
        self.ctl("baseline", "delete", "main")
        self.ctl("baseline", "show", "main", code=REFUSED)
        self.ctl("baseline", "delete", "main", code=REFUSED)
        self.assertEqual(self.daemon.job(first)["state"], "done")

    def test_usage(self):
        job = self.job()
        for args in (["set", "main"], ["set", "a/b", job], ["set", "x" * 64, job], ["show"],
                     ["list", "main"], ["set", "main", "../x"], ["set", "main", "0" * 20]):
            self.ctl("baseline", *args, code=REFUSED)
        self.assertIn("did you mean delete?", self.ctl("baseline", "delte", "x", code=REFUSED).stderr)

    def test_survives_a_restart(self):
        first, second = self.job(), self.job()
        self.ctl("baseline", "set", "main", first)
        self.ctl("baseline", "set", "main", second)
        self.daemon.kill()
        self.daemon.start()
        self.assertEqual(self.daemon.get("/v1/baselines/main").json["history"], [first])

    def test_history_decides(self):
        """Jobs whose depthwise differs by 4 % by themselves: 3 % more is nothing new, 30 % is."""
        for i in range(7):
            self.ctl("baseline", "set", "main", self.job(depthwise=1 + 0.01 * (i % 5)))
        self.ctl("baseline", "set", "main", self.job())
        rows, document = self.compared("--baseline", "main", self.job(depthwise=1.03),
                                       code=NOT_RESOLVED)
        row = rows["depthwise"]
        self.assertEqual((row["history"]["n"], row["verdict"]), (7, "not_resolved"))
        self.assertIn("history, Q3 + 3 IQR of 7 jobs", row["method"])
        self.assertEqual(rows["standard"]["verdict"], "same")
        rows, _ = self.compared("--baseline", "main", self.job(depthwise=1.3), code=SLOWER)
        self.assertGreater(rows["depthwise"]["b"]["floor_ns"],
                           rows["depthwise"]["history"]["limit_ns"])

    def test_history_is_kept_at_a_hundred(self):
        jobs = [self.job() for _ in range(3)]
        self.assertEqual(self.put("main", jobs[0]).status, 200)
        path = os.path.join(self.daemon.state, "dwbench.db")
        with sqlite3.connect(path) as database:  # a hundred jobs more, without measuring them
            database.execute("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE"
                             " i < 100) INSERT INTO job (id, state, uid, name, spec, created_ns)"
                             " SELECT 'made-up-' || i, 2, 0, 'x', '{}', 1 FROM n")
            database.execute("INSERT INTO baseline (name, job, uid, set_at) SELECT 'main', number,"
                             " ?, 1 FROM job WHERE id LIKE 'made-up-%'", (os.getuid(),))
        database.close()
        self.assertEqual(self.put("main", jobs[1]).status, 200)
        shown = self.daemon.get("/v1/baselines/main").json
        self.assertEqual(len(shown["history"]), 100)
        self.assertNotIn(jobs[0], shown["history"])  # the oldest of them

    def test_named_jobs_cannot_be_removed(self):
        job, other = self.job(), self.job()
        self.put("main", job)
        self.put("main", other)
        self.daemon.stop()
        with sqlite3.connect(os.path.join(self.daemon.state, "dwbench.db")) as database:
            database.execute("PRAGMA foreign_keys = ON")
            database.execute("DELETE FROM replicate")
            database.execute("DELETE FROM result")
            with self.assertRaises(sqlite3.IntegrityError):
                database.execute("DELETE FROM job WHERE id = ?", (job,))
            database.rollback()
        database.close()
        self.daemon.start()


class Api(Case):
    def test_errors(self):
        job = self.job()
        self.daemon.set_mode("slow60")
        running = self.daemon.submit()
        for method, path, body, status, code in (
                ("PUT", "main", {"job": "0" * 20}, 404, "not_found"),
                ("PUT", "main", {"job": "odd"}, 404, "not_found"),
                ("PUT", "main", {"job": running}, 409, "no_result"),
                ("PUT", "main", {"job": 3}, 400, "invalid_document"),
                ("PUT", "main", {"job": job, "more": 1}, 400, "invalid_document"),
                ("PUT", "main", [], 400, "invalid_document"),
                ("PUT", "a b", {"job": job}, 400, "invalid_name"),
                ("PUT", "x" * 64, {"job": job}, 400, "invalid_name"),
                ("GET", "main", None, 404, "not_found"), ("GET", "a/b", None, 404, "not_found"),
                ("DELETE", "main", None, 404, "not_found"),
                ("POST", "main", {"job": job}, 405, "method_not_allowed")):
            response = self.daemon.request(method, "/v1/baselines/" + path.replace(" ", "%20"),
                                           body=json.dumps(body) if body is not None else None)
            self.assertEqual((response.status, response.json["code"]), (status, code),
                             (method, path, body))
            self.assertEqual(response.headers["Content-Type"], "application/problem+json")
        self.assertEqual(self.daemon.request("POST", "/v1/baselines").status, 405)
        self.assertEqual(self.daemon.get("/v1/baselines").json, {"baselines": []})
        self.daemon.delete(running)

    def test_longest_name(self):
        job = self.job()
        self.assertEqual(self.put("x" * 63, job).json["name"], "x" * 63)
        listed = self.daemon.get("/v1/baselines").json["baselines"]
        self.assertEqual([(b["job"], b["history_jobs"]) for b in listed], [(job, 0)])

    @unittest.skipUnless(os.getuid() == 0, "needs root to be several users")
    def test_owner(self):
        job = self.job()
        for directory in (self.daemon.directory, os.path.dirname(self.daemon.socket)):
            os.chmod(directory, 0o755)
        os.chmod(self.daemon.socket, 0o666)
        self.assertEqual(as_user(1234, lambda: self.put("theirs", job).status), 200)
        self.assertEqual(as_user(1235, lambda: self.put("theirs", job).status), 403)
        self.assertEqual(as_user(
            1235, lambda: self.daemon.request("DELETE", "/v1/baselines/theirs").status), 403)
        self.assertEqual(as_user(1235, lambda: self.daemon.get("/v1/baselines/theirs").status), 200)
        self.assertEqual(self.put("theirs", job).json["uid"], 1234)  # root may, and it stays theirs
        self.assertEqual(as_user(
            1234, lambda: self.daemon.request("DELETE", "/v1/baselines/theirs").status), 200)


class Submit(Case):
    def test_baseline(self):
        self.ctl("baseline", "set", "main", self.job())
        p = self.ctl("submit", *LAYER, "--baseline", "main", "--wait")
        self.assertLess(p.stdout.index("saving"), p.stdout.index("b is as fast as a"))
        self.daemon.set_factors(depthwise=1.2)
        p = self.ctl("submit", *LAYER, "--baseline", "main", "--wait", "-o", "report", code=SLOWER)
        with open(self.path("report")) as stream:
            text = stream.read()
        self.assertIn("b is slower than a", text)
        self.assertNotIn("\0", text)
        p = self.ctl("submit", *LAYER, "--baseline", "main", "--wait", "--format", "json",
                     code=SLOWER)
        self.assertEqual(json.loads(p.stdout)["schema"], "dwbench.compare/1")  # one document

    def test_refusals(self):
        self.assertIn("--wait", self.ctl("submit", *LAYER, "--baseline", "x", code=REFUSED).stderr)
        self.ctl("submit", *LAYER, "--wait", "--force", code=REFUSED)
        self.ctl("submit", *LAYER, "--wait", "--baseline", "x", "--format", "csv", code=REFUSED)
        self.ctl("submit", *LAYER, "--wait", "--baseline", "none", code=REFUSED)
        self.assertEqual(self.daemon.get("/v1/jobs").json["jobs"], [])  # nothing was measured for it
        self.ctl("baseline", "set", "other", self.job(OTHER))
        p = self.ctl("submit", *LAYER, "--wait", "--baseline", "other", code=REFUSED)
        self.assertIn("saving", p.stdout)  # the report is there all the same
        self.assertIn("not comparable", p.stderr)


def as_user(uid, call):
    """call() in a child process of that uid; its result is a status."""
    child = os.fork()
    if child == 0:
        code = 0
        try:
            os.setgroups([])
            os.setgid(uid)
            os.setuid(uid)
            code = call() // 4
        finally:
            os._exit(code)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return {100: 403, 50: 200}.get(code, code)


if __name__ == "__main__":
    harness.main()
