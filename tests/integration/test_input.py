"""Bad documents, bad HTTP, too much of everything: a clear answer, and others do not notice."""

import contextlib
import json
import os
import socket
import threading
import time
import unittest

import harness
from harness import TINY, WORKER, Daemon, wait_for

LAYER = "Dk: 3\nDx: 8\nM: 8\nN: 8\n"
BAD_DOCUMENTS = {  # what is wrong -> (document, field of one finding or None, its line or None)
    "empty": ("", None, None),
    "not YAML": ("Dk: [1\nDx: }", None, None),
    "a list": ("- 1\n- 2\n", None, None),
    "a word": ("hello", None, None),
    "unknown key": (LAYER + "frobnicate: 1\n", "frobnicate", 5),
    "duplicate key": (LAYER + "Dk: 5\n", None, 5),
    "missing keys": ("Dk: 3\n", None, None),
    "zero": ("Dk: 0\nDx: 8\nM: 8\nN: 8\n", "Dk", 1),
    "negative": ("Dk: 3\nDx: -7\nM: 8\nN: 8\n", "Dx", 2),
    "huge": ("Dk: 3\nDx: 8\nM: 99999999\nN: 8\n", "M", 3),
    "past 64 bits": ("Dk: 3\nDx: 8\nM: 8\nN: 99999999999999999999999999\n", "N", 4),
    "overflow of a tensor": ("Dk: 11\nDx: 4096\nM: 16384\nN: 16384\n", None, None),
    "a fraction": ("Dk: 3\nDx: 8.5\nM: 8\nN: 8\n", "Dx", 2),
    "NaN": ("Dk: 3\nDx: .nan\nM: 8\nN: 8\n", "Dx", 2),
    "text": ("Dk: three\nDx: 8\nM: 8\nN: 8\n", "Dk", 1),
    "Dk > Dx with valid": ("Dk: 5\nDx: 3\nM: 8\nN: 8\npadding: valid\n", None, None),
    "stride": (LAYER + "stride: 9\n", "stride", 5),
    "padding": (LAYER + "padding: reflect\n", "padding", 5),
    "budget": (LAYER + "budget: 5 parsecs\n", "budget", 5),
    "alias": ("a: &x 1\nb: *x\n", None, None),
    "tag": ("!!python/object:os.system {Dk: 3}\n", None, None),
    "two documents": (LAYER + "---\n" + LAYER, None, None),
    "not UTF-8": (b"Dk: \xff\xfe\n", None, None),
    "a NUL": (b"Dk: 3\0\n", None, None),
    "deep": ("[" * 100 + "]" * 100, None, None),
    "many events": ("[" + "1," * 5000 + "1]", None, None),
}


class Documents(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.daemon = Daemon(config={"limits": {"memory": "1GiB", "job_time": "1h"}}).start()

    @classmethod
    def tearDownClass(cls):
        cls.daemon.finish()

    def test_bad_documents(self):
        for what, (document, field, line) in BAD_DOCUMENTS.items():
            with self.subTest(what):
                response = self.daemon.post(document)
                self.assertEqual(response.status, 400, response.text)
                self.assertEqual(response.headers["Content-Type"], "application/problem+json")
                problem = response.json
                self.assertEqual(problem["code"], "invalid_document")
                self.assertGreaterEqual(len(problem["errors"]), 1)
                for error in problem["errors"]:
                    self.assertEqual(set(error), {"line", "column", "field", "value", "message"})
                    self.assertTrue(error["message"])
                    self.assertTrue((error["message"] + error["value"]).isprintable())
                if field:
                    found = [e for e in problem["errors"] if e["field"].endswith(field)]
                    self.assertTrue(found, problem)
                    self.assertEqual(found[0]["line"], line)
        self.assertEqual(self.daemon.get("/v1/jobs").json["jobs"], [])

    def test_all_findings_at_once(self):
        problem = self.daemon.post("Dk: 0\nDx: -1\nM: x\nwhat: 1\n").json
        self.assertGreaterEqual(len(problem["errors"]), 4, problem)

    def test_key_N_is_no_boolean(self):
        job = self.daemon.post(LAYER).json
        self.assertEqual(job["spec"]["N"], 8)

    def test_too_much_memory(self):
        response = self.daemon.post("Dk: 1\nDx: 1024\nM: 256\nN: 256\nname: big\n")
        problem = response.json
        self.assertEqual((response.status, problem["code"]), (422, "too_much_memory"))
        self.assertGreater(problem["needed"], problem["limit"])
        self.assertEqual(problem["limit"], 1 << 30)
        self.assertIn("big", problem["detail"])

    def test_too_much_time(self):
        for document in (LAYER + "budget: 1h\n",
                         "Dk: 11\nDx: 256\nM: 128\nN: 128\nbudget: 1s\n"):
            response = self.daemon.post(document)
            problem = response.json
            self.assertEqual((response.status, problem["code"]), (422, "too_much_time"))
            self.assertGreater(problem["needed"], problem["limit"])
            self.assertEqual(problem["limit"], 3600 * 10 ** 9)

    def test_what_the_machine_lacks_is_refused_at_once(self):
        with Daemon(worker=WORKER) as daemon:
            machine = wait_for(lambda: daemon.get("/v1/info").json["machine"])
            lacking = "neon" if "neon" not in machine["isas"] else "avx2"
            response = daemon.post(LAYER + f"isa: {lacking}\n")
            self.assertEqual((response.status, response.json["code"]), (422, "isa_not_available"))
            self.assertIn(machine["isas"][0], response.json["detail"])
            self.assertEqual(response.json["errors"][0]["value"], lacking)
            for backend in machine["backends"]:
                response = daemon.post(LAYER + f"backends: {backend['name']}\nreplicates: 1\n"
                                               "budget: 100ms\n")
                if not backend["available"]:
                    self.assertEqual((response.status, response.json["code"]),
                                     (422, "backend_not_available"))
                    continue
                self.assertEqual(response.status, 202, response.text)
                job = daemon.wait_state(response.json["id"], "done", "failed", timeout=60)
                self.assertEqual(job["state"], "done", job)
                [entry] = daemon.get(f"/v1/jobs/{job['id']}/result").json["results"]
                self.assertEqual(entry["backend"], backend["name"])
                self.assertTrue(entry["verification"]["ok"])

    def test_xnnpack_is_held_to_the_isa(self):
        with Daemon(worker=WORKER) as daemon:
            machine = wait_for(lambda: daemon.get("/v1/info").json["machine"])
            if not next(b["available"] for b in machine["backends"] if b["name"] == "xnnpack"):
                self.skipTest("XNNPACK is not there")
            for isa in machine["isas"]:
                response = daemon.post(LAYER + f"isa: {isa}\nbackends: xnnpack\nreplicates: 1\n"
                                               "budget: 100ms\n")
                self.assertEqual(response.status, 202, response.text)
                job = daemon.wait_state(response.json["id"], "done", "failed", timeout=60)
                if isa == "portable":
                    self.assertEqual(job["state"], "failed")
                    self.assertIn("XNNPACK can be held to", json.dumps(job))
                    continue
                self.assertEqual(job["state"], "done", job)
                [entry] = daemon.get(f"/v1/jobs/{job['id']}/result").json["results"]
                self.assertEqual({o["isa"] for o in entry["operations"].values()}, {isa})
                self.assertTrue(entry["verification"]["ok"])

    def test_long_texts_are_cut_in_answers_and_logs(self):
        response = self.daemon.post(LAYER + f"name: {'x' * 60000}\n")
        self.assertEqual(response.status, 400)
        self.assertLess(len(response.body), 4096)
        response = self.daemon.post(LAYER + 'name: "\\e[31m\\n<3>forged"\n')
        self.assertEqual(response.status, 400)
        self.assertNotIn("\x1b", response.text + self.daemon.log())
        self.assertFalse([line for line in self.daemon.log().splitlines()
                          if not line.startswith("dwbenchd: ")])


class Http(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.daemon = Daemon(config={"http": {"header_deadline": "700ms", "idle_timeout": "1s"}})
        cls.daemon.start()

    @classmethod
    def tearDownClass(cls):
        cls.daemon.finish()

    def healthy(self):
        self.assertEqual(self.daemon.get("/healthz").status, 200)

    def read_all(self, connection):
        data = b""
        try:
            while part := connection.recv(65536):
                data += part
        except ConnectionResetError:
            pass
        return data

    def test_100_megabytes_are_cut_early(self):
        for chunked in (False, True):
            with self.subTest(chunked=chunked):
                connection = self.daemon.raw()
                head = "Transfer-Encoding: chunked" if chunked else "Content-Length: 104857600"
                connection.sendall(f"POST /v1/jobs HTTP/1.1\r\nHost: l\r\n{head}\r\n\r\n".encode())
                sent = 0
                piece = b"10000\r\n" + b" " * 65536 + b"\r\n" if chunked else b" " * 65536
                try:
                    while sent < 104857600:
                        sent += connection.send(piece)
                except OSError:
                    pass
                self.assertLess(sent, 4 << 20)
                answer = self.read_all(connection)
                self.assertTrue(answer.startswith(b"HTTP/1.1 413 "), answer[:100])
                self.assertIn(b'"too_large"', answer)
                connection.close()
        for size in (65537, 1 << 20):  # read to the end, so that any client sees the answer
            response = self.daemon.post(b" " * size)
            self.assertEqual((response.status, response.json["code"]), (413, "too_large"))
            pieces = [b" " * 10000] * (size // 10000 + 1)
            response = self.daemon.request("POST", "/v1/jobs", body=iter(pieces))
            self.assertEqual((response.status, response.json["code"]), (413, "too_large"))
        self.assertEqual(self.daemon.post(TINY_PADDED).status, 202)
        self.healthy()

    def test_a_long_head_is_refused(self):
        connection = self.daemon.raw()
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: l\r\nX: " + b"x" * 7000 + b"\r\n\r\n")
        self.assertTrue(connection.recv(100).startswith(b"HTTP/1.1 200 "))
        connection.close()
        for filler in (b"X: " + b"x" * 20000 + b"\r\n", b"X: y\r\n" * 4000):
            connection = self.daemon.raw()
            try:
                connection.sendall(b"GET / HTTP/1.1\r\nHost: l\r\n" + filler + b"\r\n")
            except OSError:
                pass
            answer = self.read_all(connection)
            self.assertRegex(answer[:20], rb"^HTTP/1.1 4(31|13|00) ")
            connection.close()
        self.healthy()

    def test_garbage_is_refused(self):
        for garbage in (b"\x16\x03\x01\x02\x00\x01", b"\r\n\r\n", b"GET\r\n\r\n", b"\0" * 100,
                        b"GET / HTTP/9.9\r\n\r\n", b"POST /v1/jobs HTTP/1.1\r\nHost: l\r\n"
                        b"Content-Length: -5\r\n\r\n", b"POST /v1/jobs HTTP/1.1\r\nHost: l\r\n"
                        b"Content-Length: 99999999999999999999\r\n\r\n",
                        b"POST /v1/jobs HTTP/1.1\r\nHost: l\r\nTransfer-Encoding: chunked\r\n\r\n"
                        b"zz\r\n"):
            connection = self.daemon.raw()
            connection.sendall(garbage)
            self.assertNotIn(b" 202 ", self.read_all(connection))
            connection.close()
        self.healthy()

    def test_half_requests_are_cut_at_the_deadline(self):
        for half in (b"", b"GET", b"GET /healthz HTTP/1.1\r\nHost: l\r\nX: ",
                     b"POST /v1/jobs HTTP/1.1\r\nHost: l\r\nContent-Length: 100\r\n\r\nDk:"):
            connection = self.daemon.raw()
            connection.sendall(half)
            start = time.monotonic()
            self.read_all(connection)
            self.assertLess(time.monotonic() - start, 1.5, half)
            self.assertGreater(time.monotonic() - start, 0.5, half)
            connection.close()

    def test_a_slow_drip_does_not_move_the_deadline(self):
        connection = self.daemon.raw()
        start = time.monotonic()
        with self.assertRaises(OSError):
            for _ in range(100):
                connection.sendall(b"G")
                time.sleep(0.05)
        self.assertLess(time.monotonic() - start, 1.5)

    def test_an_idle_connection_is_closed(self):
        connection = self.daemon.raw()
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: l\r\n\r\n")
        start = time.monotonic()
        self.assertTrue(self.read_all(connection).endswith(b"ok\n"))
        self.assertLess(time.monotonic() - start, 3)

    def test_closed_sockets(self):
        job = self.daemon.submit({**TINY, "name": "closed"})
        for request in (b"", b"GET / HT", b"GET /v1/info HTTP/1.1\r\nHost: l\r\n\r\n",
                        b"POST /v1/jobs HTTP/1.1\r\nHost: l\r\nContent-Length: 100\r\n\r\nDk:",
                        b"GET /v1/jobs/" + job.encode() + b"/events HTTP/1.1\r\nHost: l\r\n\r\n"):
            for _ in range(20):
                connection = self.daemon.raw()
                with contextlib.suppress(BrokenPipeError):  # past the quota it is closed already
                    connection.sendall(request)
                connection.close()
        wait_for(lambda: self.daemon.get("/healthz").status == 200)  # until then perhaps 429
        wait_for(lambda: self.daemon.metrics()["dwbench_http_connections"] <= 2)

    def test_a_listener_that_leaves_is_noticed(self):
        with Daemon(mode="hang") as daemon:
            job = daemon.submit()
            connections = []
            for _ in range(5):
                connection = daemon.raw()
                connection.sendall(f"GET /v1/jobs/{job}/events HTTP/1.1\r\nHost: l\r\n\r\n"
                                   .encode())
                connection.recv(100)
                connections.append(connection)
            self.assertGreaterEqual(daemon.metrics()["dwbench_http_connections"], 6)
            for connection in connections:
                connection.close()
            wait_for(lambda: daemon.metrics()["dwbench_http_connections"] <= 2, 5)
            self.assertEqual(daemon.delete(job).status, 200)

    def test_a_quiet_stream_outlives_the_idle_timeout(self):
        with Daemon(mode="hang", config={"http": {"idle_timeout": "1s"}}) as daemon:
            job = daemon.submit()
            connection = daemon.connect()
            connection.request("GET", f"/v1/jobs/{job}/events")
            response = connection.getresponse()
            self.assertIn(b"queued", response.readline())
            time.sleep(2.5)
            self.assertEqual(daemon.delete(job).status, 200)
            last = json.loads(response.read().splitlines()[-1])
            self.assertEqual((last["event"], last["state"]), ("done", "cancelled"))
            connection.close()

    def test_a_reader_that_stops_reading_holds_nobody_up(self):
        with Daemon(config={"http": {"idle_timeout": "1s"}}) as daemon:
            connection = daemon.raw()
            try:
                for _ in range(2000):
                    connection.settimeout(0.2)
                    connection.sendall(b"GET /v1/info HTTP/1.1\r\nHost: l\r\n\r\n")
            except OSError:
                pass
            self.assertEqual(daemon.get("/healthz").status, 200)
            wait_for(lambda: daemon.metrics()["dwbench_http_connections"] <= 1, 10)
            connection.close()

    def test_a_half_closed_client_gets_its_answer(self):
        connection = self.daemon.raw()
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: l\r\nConnection: close\r\n\r\n")
        connection.shutdown(socket.SHUT_WR)
        self.assertTrue(self.read_all(connection).endswith(b"ok\n"))
        connection.close()


TINY_PADDED = json.dumps(TINY) + " " * (65536 - len(json.dumps(TINY)))


class Quotas(unittest.TestCase):
    def test_connections_of_a_user(self):
        with Daemon(config={"quotas": {"connections_per_uid": 4}}) as daemon:
            wait_for(lambda: daemon.metrics()["dwbench_http_connections"] == 1)
            held = [daemon.raw() for _ in range(4)]
            wait_for(lambda: daemon.get("/healthz").status == 429)
            refused = daemon.get("/v1/info")
            self.assertEqual(refused.json["code"], "quota_connections")
            self.assertEqual(refused.headers["Retry-After"], "1")
            more = [daemon.raw() for _ in range(20)]  # past the margin: refused unread
            answer = more[-1].recv(1000)
            self.assertTrue(answer.startswith(b"HTTP/1.1 429 "), answer)
            self.assertIn(b"Retry-After: 1", answer)
            if os.getuid() == 0:
                self.assertEqual(self.other_user(daemon), 200)
            for connection in held + more:
                connection.close()
            wait_for(lambda: daemon.get("/healthz").status == 200)

    def other_user(self, daemon):
        from test_jobs import as_user
        os.chmod(daemon.directory, 0o755)
        os.chmod(os.path.dirname(daemon.socket), 0o755)
        os.chmod(daemon.socket, 0o666)
        return as_user(4242, lambda: daemon.get("/healthz").status)

    def test_queued_jobs_of_a_user(self):
        with Daemon(config={"quotas": {"queued_jobs_per_uid": 3}}, mode="hang") as daemon:
            running = daemon.submit()
            wait_for(lambda: daemon.job(running)["state"] == "running")
            queued = [daemon.submit(headers={"Idempotency-Key": str(i)}) for i in range(3)]
            full = daemon.post(TINY)
            self.assertEqual((full.status, full.json["code"]), (429, "quota_jobs"))
            self.assertGreater(int(full.headers["Retry-After"]), 0)
            again = daemon.post(TINY, headers={"Idempotency-Key": "1"})
            self.assertEqual((again.status, again.json["id"]), (202, queued[1]))
            daemon.delete(queued[0])
            self.assertEqual(daemon.post(TINY).status, 202)

    def test_the_whole_queue(self):
        with Daemon(config={"quotas": {"queued_jobs_total": 2}}, mode="hang") as daemon:
            running = daemon.submit()
            wait_for(lambda: daemon.job(running)["state"] == "running")
            daemon.submit()
            daemon.submit()
            full = daemon.post(TINY)
            self.assertEqual((full.status, full.json["code"]), (429, "queue_full"))

    def test_many_slow_peers_do_not_hold_up_an_honest_one(self):
        config = {"quotas": {"connections_per_uid": 500}, "http": {"header_deadline": "20s"}}
        with Daemon(config=config) as daemon:
            slow = [daemon.raw() for _ in range(300)]
            for connection in slow:
                connection.sendall(b"GET /v1/info HTTP/1.1\r\nX-Slow: ")
            stop = threading.Event()

            def drip():
                while not stop.wait(0.05):
                    for connection in slow:
                        connection.send(b"x")
            thread = threading.Thread(target=drip)
            thread.start()
            times = []
            for _ in range(100):
                start = time.monotonic()
                self.assertEqual(daemon.get("/healthz").status, 200)
                times.append(time.monotonic() - start)
            stop.set()
            thread.join()
            for connection in slow:
                connection.close()
            self.assertLess(sorted(times)[50], 0.05, "of the median: the machine may be busy")

    def test_no_client_fills_the_log(self):
        with Daemon(mode="hang") as daemon:
            def grown(cause):
                before = len(daemon.log())
                connection = daemon.connect()
                cause(connection)
                connection.close()
                self.assertEqual(daemon.get("/healthz").status, 200)
                return len(daemon.log()) - before

            def ask(connection, method, path, body=None, headers=None):
                connection.request(method, path, body, headers or {})
                response = connection.getresponse()
                return response.status, response.read()

            def bad_requests(connection):
                for i in range(10000):
                    status, _ = ask(connection, "POST", f"/v1/jobs?{i}", "x: [\n<0>forged")
                    self.assertEqual(status, 400)
            self.assertLess(grown(bad_requests), 4096)

            def come_and_go(connection):
                for i in range(1000):
                    _, body = ask(connection, "POST", "/v1/jobs", harness.json.dumps(TINY))
                    status, _ = ask(connection, "DELETE", "/v1/jobs/" + harness.json.loads(body)["id"])
                    self.assertEqual(status, 200)
            # Three lines each, if it were not for the limit of 500 and 10 a second.
            self.assertLess(grown(come_and_go), 120000)
            time.sleep(0.2)
            job = daemon.submit()
            daemon.delete(job)
            self.assertRegex(daemon.log(), r"(?m)^dwbenchd: \d+ lines like the next were left out$")

    def test_descriptors_run_out(self):
        # 64 descriptors: enough to start, fewer than connections are allowed.
        daemon = Daemon(config={"quotas": {"connections_per_uid": 1000}})
        command = daemon.command
        daemon.command = lambda *more: ["prlimit", "--nofile=64:64", *command(*more)]
        with daemon:
            held = []
            for _ in range(100):
                connection = daemon.connect(1)
                connection.connect()
                held.append(connection.sock)
            time.sleep(0.3)
            self.assertIsNone(daemon.process.poll())
            for connection in held:
                connection.close()
            wait_for(lambda: daemon.get("/healthz").status == 200)
            daemon.wait_state(daemon.submit(), "done")


if __name__ == "__main__":
    harness.main()
