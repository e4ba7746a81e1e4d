"""The hostile requests of tests/corpus/http against a running daemon: each gets the answers that
`expected` says, well-formed, and afterwards nothing is held, logged or leaked that should not be.

A request file is what is sent, {JOB} in it stands for the id of a job that runs; then the client
closes its half and reads to the end. Files slow_* are sent a byte at a time. A line of `expected`:
NAME, a tab, and for each answer its status, with /CODE for problem documents that have a code;
"cut" when the connection was closed without one. `test_corpus.py --print` writes such lines."""

import json
import os
import re
import socket
import sys
import time
import unittest
from concurrent.futures import ThreadPoolExecutor

import harness
from harness import SOURCE_ROOT, TINY, Daemon, wait_for

CORPUS = os.path.join(SOURCE_ROOT, "tests", "corpus", "http")
CONFIG = {"quotas": {"queued_jobs_per_uid": 100000, "queued_jobs_total": 100000},
          "limits": {"memory": "1GiB"}, "http": {"header_deadline": "2s"}}
HEADERS = {"date", "content-type", "content-length", "connection", "transfer-encoding", "location",
           "allow", "retry-after", "idempotency-replayed"}
GROWTH_BYTES_MAX = 8 << 20  # of the daemon, over the whole corpus
LOG_BYTES_MAX = 512         # a request, on average


def corpus():
    for name in sorted(os.listdir(CORPUS)):
        if name != "expected":
            with open(os.path.join(CORPUS, name), "rb") as stream:
                yield name, stream.read()


def exchange(daemon, data, slow):
    connection = daemon.raw()
    try:
        try:
            for byte in data if slow else ():
                connection.send(bytes([byte]))
                time.sleep(0.0005)
            if not slow:
                connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
        except (BrokenPipeError, ConnectionResetError):
            pass
        answer = b""
        try:
            while part := connection.recv(65536):
                answer += part
        except ConnectionResetError:
            pass
        return answer
    finally:
        connection.close()


def take_body(headers, rest, status, is_head):
    """(body, what follows it)"""
    if is_head or status in (100, 204, 304):
        return b"", rest
    if headers.get("transfer-encoding") == "chunked":
        body = b""
        while rest:
            size, rest = rest.split(b"\r\n", 1)
            n = int(size, 16)
            body, rest = body + rest[:n], rest[n + 2:]
            if n == 0:
                break
        return body, rest
    n = int(headers["content-length"]) if "content-length" in headers else len(rest)
    return rest[:n], rest[n:]


def parse(answer, is_head):
    """The answers as `expected` writes them; ValueError when they are not well-formed HTTP."""
    words = []
    while answer:
        head, rest = answer.split(b"\r\n\r\n", 1)
        lines = head.decode("ascii").split("\r\n")
        status = int(re.fullmatch(r"HTTP/1\.[01] (\d{3}) [A-Za-z -]+", lines[0]).group(1))
        headers = dict(re.fullmatch(r"([A-Za-z-]+): ([ -~]*)", line).groups() for line in lines[1:])
        headers = {name.lower(): value for name, value in headers.items()}
        if not set(headers) <= HEADERS:
            raise ValueError(f"headers: {headers}")
        body, answer = take_body(headers, rest, status, is_head)
        is_head = False
        if body.startswith(head[:12]):  # libmicrohttpd 0.9.75: a refusal of its own, head twice
            body, answer = b"", b""
        word = str(status)
        if headers.get("content-type") == "application/problem+json" and body:
            problem = json.loads(body)
            word += "/" + problem["code"]
            if problem["status"] != status or not problem["detail"].isprintable():
                raise ValueError(f"problem: {problem}")
        words.append(word)
    return " ".join(words) or "cut"


def resident(pid):
    with open(f"/proc/{pid}/statm") as stream:
        return int(stream.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def run(daemon, job, name, data):
    data = data.replace(b"{JOB}", job.encode())
    answer = exchange(daemon, data, name.startswith("slow_"))
    return parse(answer, data.lstrip(b"\r\n").startswith(b"HEAD "))


def hung_job(daemon):
    job = daemon.submit({**TINY, "name": "corpus"})
    wait_for(lambda: daemon.job(job)["state"] == "running")
    return job


def run_all(daemon, job):
    """(name, answers); several at a time, for some are only cut at the deadline."""
    def one(item):
        try:
            return item[0], run(daemon, job, *item)
        except (ValueError, AttributeError, KeyError, UnicodeError) as error:
            return item[0], f"not HTTP: {error!r}"
    with ThreadPoolExecutor(8) as pool:
        yield from pool.map(one, corpus())


class Corpus(unittest.TestCase):
    def test_every_request(self):
        with open(os.path.join(CORPUS, "expected")) as stream:
            expected = dict(line.rstrip("\n").split("\t") for line in stream)
        self.assertEqual(sorted(expected), [name for name, _ in corpus()])
        with Daemon(mode="hang", config=CONFIG) as daemon:
            job = hung_job(daemon)
            before = resident(daemon.process.pid)
            for name, got in run_all(daemon, job):
                with self.subTest(name):
                    self.assertEqual(got, expected[name])
            self.assertIsNone(daemon.process.poll(), "the daemon has ended")
            self.assertEqual(daemon.get("/healthz").status, 200)
            wait_for(lambda: daemon.metrics()["dwbench_http_connections"] <= 2)
            if not os.environ.get("DWB_SANITIZED"):
                self.assertLess(resident(daemon.process.pid) - before, GROWTH_BYTES_MAX)
            self.assertLess(os.path.getsize(daemon.log_path), LOG_BYTES_MAX * len(expected))
            self.check_log(daemon.log())

    def test_half_closed_clients_get_answers_that_come_later(self):
        submit = dict(corpus())["good_submit"]
        with Daemon(mode="hang", config=CONFIG) as daemon:
            with ThreadPoolExecutor(8) as pool:
                answers = list(pool.map(lambda _: run(daemon, "", "", submit), range(80)))
        self.assertEqual(answers, ["202"] * 80)

    def check_log(self, log):
        for line in log.splitlines():
            self.assertTrue(line.startswith("dwbenchd: "), line)
            self.assertTrue(line.isprintable(), line)
            self.assertLess(len(line), 512)


def print_lines():
    with Daemon(mode="hang", config=CONFIG) as daemon:
        for name, got in run_all(daemon, hung_job(daemon)):
            print(f"{name}\t{got}")


if __name__ == "__main__":
    if sys.argv[1:] == ["--print"]:
        print_lines()
    else:
        harness.main()
