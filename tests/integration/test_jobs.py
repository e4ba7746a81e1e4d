"""The main job through the HTTP API: submit, watch, result, list, cancel, repeat."""

import json
import os
import threading
import time
import unittest

import harness
from harness import TINY, WORKER, Daemon, alive, measures, wait_for


def check_schema(case, document):
    path = os.path.join(harness.SOURCE_ROOT, "docs", "result.schema.json")
    try:
        import jsonschema
    except ImportError:
        case.skipTest("python3-jsonschema is not installed")
    with open(path) as stream:
        schema = json.load(stream)
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(document, schema, cls=jsonschema.Draft202012Validator)


class RealWorker(unittest.TestCase):
    @measures
    def test_result_of_a_tiny_layer(self):
        with Daemon(worker=WORKER) as daemon:
            response = daemon.post("{Dk: 3, Dx: 8, M: 8, N: 8, budget: 200ms, replicates: 5}")
            self.assertEqual(response.status, 202, response.text)
            job = response.json["id"]
            self.assertEqual(response.headers["Location"], "/v1/jobs/" + job)
            self.assertEqual(daemon.get(f"/v1/jobs/{job}/result").status, 409)
            done = daemon.wait_state(job, "done", "failed", timeout=60)
            self.assertEqual(done["state"], "done", done)
            result = daemon.get(f"/v1/jobs/{job}/result").json
            self.assertEqual(result["job"]["id"], job)
            [layer] = result["results"]
            self.assertAlmostEqual(layer["theory"]["ratio"], 1 / 8 + 1 / 9)
            self.assertGreater(layer["operations"]["standard"]["time_ns"]["floor"], 0)
            self.assertGreater(layer["ratio"]["time"]["floor"], 0)
            self.assertEqual(set(layer["operations"]) >= {"standard", "depthwise", "pointwise",
                                                          "separable"}, True)
            check_schema(self, result)
            info = daemon.get("/v1/info").json
            self.assertEqual(info["machine"]["type"], "probe")
            self.assertIn("cycles", [counter["name"] for counter in info["counters"]])

    def test_worker_runs_on_the_measuring_cpu_and_the_daemon_does_not(self):
        cpus = os.sched_getaffinity(0)
        with Daemon() as daemon:
            measuring = daemon.get("/v1/info").json["measure_cpu"]
            self.assertEqual(measuring, max(cpus))
            if len(cpus) == 1:
                self.skipTest("only one CPU")
            for thread in os.listdir(f"/proc/{daemon.process.pid}/task"):
                self.assertNotIn(measuring, os.sched_getaffinity(int(thread)))
            daemon.set_mode("slow5")
            daemon.submit()
            pid = wait_for(daemon.worker_pids)[0]
            self.assertEqual(os.sched_getaffinity(pid), cpus)


class Jobs(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.daemon = Daemon().start()

    @classmethod
    def tearDownClass(cls):
        cls.daemon.finish()

    def setUp(self):
        self.daemon.set_mode("ok")

    def test_events_in_order_and_the_same_when_replayed(self):
        self.daemon.set_mode("slow0.15")
        job = self.daemon.submit()
        live = self.daemon.events(job)
        replayed = self.daemon.events(job)
        names = [event["event"] for event in live]
        self.assertEqual(names[:2], ["queued", "started"])
        self.assertEqual(names[-2:], ["result", "done"])
        self.assertIn("progress", names)
        self.assertTrue(all(event["job"] == job for event in live))
        kept = [name for name in names if name != "progress"]
        self.assertEqual(kept, [event["event"] for event in replayed])
        self.assertEqual(kept.count("replicate"), 4)
        fractions = [event["fraction"] for event in live if "fraction" in event]
        self.assertEqual(fractions, sorted(fractions))
        self.assertEqual(fractions[-1], 1)
        replicates = [event for event in live if event["event"] == "replicate"]
        self.assertEqual([event["replicates_done"] for event in replicates], [1, 2, 3, 4])
        self.assertIsInstance(replicates[-1]["half_width"], float)
        self.assertEqual(live[-1]["state"], "done")
        check_schema(self, self.daemon.get(live[-2]["url"]).json)

    def test_a_late_listener_gets_the_whole_story(self):
        self.daemon.set_mode("slow0.2")
        job = self.daemon.submit()
        wait_for(lambda: self.daemon.job(job)["state"] == "running"
                 and self.daemon.job(job)["progress"]["replicates_done"] >= 2)
        names = [event["event"] for event in self.daemon.events(job)]
        self.assertEqual([name for name in names if name != "progress"],
                         ["queued", "started"] + ["replicate"] * 4 + ["result", "done"])

    def test_imprecise_layers_get_the_whole_budget(self):
        with Daemon(env={"FAKE_WORKER_SPREAD": "0.5"}) as daemon:
            job = daemon.submit({**TINY, "precision": "0.01%"})
            daemon.wait_state(job, "done")
            self.assertEqual(len(daemon.requests()), 8)
        with Daemon() as daemon:
            daemon.wait_state(daemon.submit(), "done")
            self.assertEqual(len(daemon.requests()), 4)

    def test_replicates_of_layers_are_interleaved_at_random(self):
        suite = {"name": "s", "defaults": {"Dk": 3, "Dx": 8, "M": 4, "N": 4}, "replicates": 6,
                 "layers": [{"name": name} for name in "abcde"]}
        orders = []
        for _ in range(2):
            with Daemon() as daemon:
                daemon.wait_state(daemon.submit(suite), "done")
                orders.append(daemon.requests())
        self.assertEqual(orders[0], orders[1], "the seed decides")
        rounds = [orders[0][i:i + 5] for i in range(0, 30, 5)]
        for number, order in enumerate(rounds):
            self.assertEqual(sorted(order), [(name, number) for name in "abcde"])
        self.assertGreater(len({tuple(name for name, _ in order) for order in rounds}), 1)

    def test_idempotency(self):
        headers = {"Idempotency-Key": "key-1"}
        first = self.daemon.post(TINY, headers=headers)
        again = self.daemon.post(json.dumps(TINY, indent=2), headers=headers)
        self.assertEqual((first.status, again.status), (202, 202))
        self.assertEqual(first.json["id"], again.json["id"])
        self.assertEqual(again.headers["Idempotency-Replayed"], "true")
        self.assertIsNone(first.headers["Idempotency-Replayed"])
        other = self.daemon.post({**TINY, "M": 9}, headers=headers)
        self.assertEqual((other.status, other.json["code"]), (422, "key_reused"))
        self.daemon.wait_state(first.json["id"], "done")
        self.assertEqual(self.daemon.post(TINY, headers=headers).json["state"], "done")
        for key in ("", "a b", "x" * 128, "\x7f"):
            bad = self.daemon.post(TINY, headers={"Idempotency-Key": key})
            self.assertEqual((bad.status, bad.json["code"]), (400, "invalid_header"), key)

    def test_the_same_key_at_the_same_time_is_one_job(self):
        ids = []

        def submit():
            ids.append(self.daemon.post(TINY, headers={"Idempotency-Key": "race"}).json["id"])
        threads = [threading.Thread(target=submit) for _ in range(12)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual((len(ids), len(set(ids))), (12, 1))

    def test_list(self):
        with Daemon() as daemon:
            ids = [daemon.submit() for _ in range(5)]
            for job in ids:
                daemon.wait_state(job, "done")
            page = daemon.get("/v1/jobs?limit=2").json
            self.assertEqual([job["id"] for job in page["jobs"]], ids[:2:-1])
            seen = []
            path = "/v1/jobs?limit=2"
            while path:
                page = daemon.get(path).json
                seen += [job["id"] for job in page["jobs"]]
                path = page["next"] and f"/v1/jobs?limit=2&after={page['next']}"
            self.assertEqual(seen, ids[::-1])
            self.assertEqual(len(daemon.get("/v1/jobs?state=done").json["jobs"]), 5)
            self.assertEqual(daemon.get("/v1/jobs?state=failed").json,
                             {"jobs": [], "next": None})
            for query in ("limit=0", "limit=1001", "limit=x", "limit=", "limit=-1", "limit=1x",
                          "state=no", "after=x", "after=" + "u" * 20):
                bad = daemon.get("/v1/jobs?" + query)
                self.assertEqual((bad.status, bad.json["code"]), (400, "invalid_query"), query)

    def test_cancel_queued(self):
        self.daemon.set_mode("slow1")
        running, queued, after = [self.daemon.submit() for _ in range(3)]
        wait_for(lambda: self.daemon.job(running)["state"] == "running")
        self.assertEqual(self.daemon.job(queued)["queue_position"], 1)
        self.assertEqual(self.daemon.job(after)["queue_position"], 2)
        response = self.daemon.delete(queued)
        self.assertEqual((response.status, response.json["state"]), (200, "cancelled"))
        self.assertEqual(self.daemon.job(after)["queue_position"], 1)
        self.assertEqual(self.daemon.delete(queued).status, 200, "twice is fine")
        names = [event["event"] for event in self.daemon.events(queued)]
        self.assertEqual(names, ["queued", "done"])
        self.daemon.set_mode("ok")
        self.daemon.wait_state(running, "done")
        self.daemon.wait_state(after, "done")
        self.assertEqual(self.daemon.delete(after).json["code"], "finished")
        self.assertEqual(self.daemon.get(f"/v1/jobs/{queued}/result").json["code"], "no_result")

    def test_cancel_running_within_a_second(self):
        self.daemon.set_mode("hang")
        n = len(self.daemon.worker_pids())
        job = self.daemon.submit()
        pid = wait_for(lambda: self.daemon.worker_pids()[n:])[0]
        stream = []
        listener = threading.Thread(target=lambda: stream.extend(self.daemon.events(job)))
        listener.start()
        start = time.monotonic()
        response = self.daemon.delete(job)
        self.assertLess(time.monotonic() - start, 1)
        self.assertEqual((response.status, response.json["state"]), (200, "cancelled"))
        self.assertFalse(alive(pid))
        listener.join(5)
        self.assertEqual((stream[-1]["event"], stream[-1]["state"]), ("done", "cancelled"))

    def test_a_user_may_not_cancel_anothers_job(self):
        if os.getuid() != 0:
            self.skipTest("needs root to be two users")
        with Daemon(config={"socket_mode": "0666", "admins": [4244]}) as daemon:
            os.chmod(daemon.directory, 0o755)
            os.chmod(os.path.dirname(daemon.socket), 0o755)
            daemon.set_mode("hang")
            mine = daemon.submit()
            self.assertEqual(as_user(4242, lambda: daemon.delete(mine).status), 403)
            self.assertEqual(as_user(4243, lambda: daemon.get("/v1/jobs").status), 200)
            self.assertEqual(as_user(4242, lambda: daemon.post(TINY).status), 202)
            theirs = daemon.get("/v1/jobs?limit=1").json["jobs"][0]
            self.assertEqual(theirs["uid"], 4242)
            self.assertEqual(as_user(4242, lambda: daemon.delete(theirs["id"]).status), 200)
            self.assertEqual(as_user(4244, lambda: daemon.delete(mine).status), 200)

    def test_users_take_turns(self):
        if os.getuid() != 0:
            self.skipTest("needs root to be two users")
        with Daemon(config={"socket_mode": "0666"}, mode="hang") as daemon:
            os.chmod(daemon.directory, 0o755)
            os.chmod(os.path.dirname(daemon.socket), 0o755)
            mine = [daemon.submit({**TINY, "name": f"mine{i}"}) for i in range(4)]
            wait_for(daemon.requests)
            as_user(4242, lambda: daemon.post({**TINY, "name": "theirs"}).status)
            theirs = daemon.get("/v1/jobs?limit=1").json["jobs"][0]
            self.assertEqual(theirs["queue_position"], 1)
            self.assertEqual([daemon.job(job)["queue_position"] for job in mine[1:]], [2, 3, 4])
            daemon.set_mode("ok")
            daemon.delete(mine[0])
            for job in mine[1:] + [theirs["id"]]:
                daemon.wait_state(job, "done")
            order = list(dict.fromkeys(name for name, _ in daemon.requests()))
            self.assertEqual(order, ["mine0", "theirs", "mine1", "mine2", "mine3"])

    def test_info(self):
        info = self.daemon.get("/v1/info").json
        self.assertEqual(info["name"], "dwbenchd")
        self.assertEqual(info["pid"], self.daemon.process.pid)
        expected = {"uring": "io_uring", "epoll": "epoll"}.get(harness.LOOP)
        if expected:
            self.assertEqual(info["loop"], {"backend": expected, "fallback_reason": None})
        if harness.LOOP == "denied":
            self.assertEqual(info["loop"], {
                "backend": "epoll",
                "fallback_reason": "io_uring is not available: Operation not permitted"})
            self.assertIn("io_uring is not available (Operation not permitted): using epoll",
                          self.daemon.log())
        self.assertEqual(info["limits"]["body_bytes"], 65536)
        self.assertEqual(info["machine"]["cpu"]["model"], "fake")
        self.assertEqual([c["source"] for c in info["counters"]], [None, "software"])
        self.assertFalse(info["draining"])

    def test_unknown_paths_methods_and_jobs(self):
        unknown = "0" * 20
        for method, path, status in (
                ("GET", "/", 404), ("GET", "/v1", 404), ("GET", "/v1/jobs/", 404),
                ("GET", "/v1/jobs/../../etc/passwd", 404), ("GET", f"/v1/jobs/{unknown}/x", 404),
                ("GET", f"/v1/jobs/{unknown}", 404), ("DELETE", f"/v1/jobs/{unknown}", 404),
                ("GET", f"/v1/jobs/{unknown}/events", 404),
                ("GET", f"/v1/jobs/{unknown}/result", 404), ("GET", "/v1/jobs/%00", 404),
                ("GET", "/v1/jobs/" + "z" * 3000, 404), ("DELETE", "/v1/jobs", 405),
                ("PUT", "/v1/info", 405), ("POST", "/metrics", 405), ("PATCH", "/healthz", 405),
                ("POST", f"/v1/jobs/{unknown}/events", 405)):
            response = self.daemon.request(method, path)
            self.assertEqual(response.status, status, (method, path))
            self.assertEqual(response.headers["Content-Type"], "application/problem+json")
            self.assertEqual(response.json["status"], status)
            self.assertEqual("Allow" in response.headers, status == 405)

    def test_head(self):
        job = self.daemon.submit()
        self.daemon.wait_state(job, "done")
        for path in ("/v1/info", "/metrics", "/healthz", "/v1/jobs", f"/v1/jobs/{job}",
                     f"/v1/jobs/{job}/result", f"/v1/jobs/{job}/events"):
            response = self.daemon.request("HEAD", path)
            self.assertEqual((response.status, response.body), (200, b""), path)

    def test_one_connection_many_requests(self):
        connection = self.daemon.connect()
        for _ in range(200):
            connection.request("GET", "/healthz")
            self.assertEqual(connection.getresponse().read(), b"ok\n")
        connection.close()


def as_user(uid, call):
    """call() in a child process of that uid; its result is a small number."""
    child = os.fork()
    if child == 0:
        status = 255
        try:
            os.setgroups([])
            os.setgid(uid)
            os.setuid(uid)
            status = {200: 1, 202: 2, 403: 3, 429: 4}.get(call(), 9)
        finally:
            os._exit(status)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return {1: 200, 2: 202, 3: 403, 4: 429}.get(status, status)


if __name__ == "__main__":
    harness.main()
