"""What the trial-* scripts share: a dwbenchd of their own in a temporary directory, the gate run
against it, a busy neighbour, and exact binomial intervals. Standard library only."""

import argparse
import http.client
import json
import math
import os
import shutil
import signal
import socket
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))
SMALL = "Dk=3,Dx=14,M=64,N=64"  # short calls: room for +1/50 in a sample of some milliseconds
STOLEN_OR_SWITCHED = 15  # every flag of a sample
NEIGHBOUR = "Dk=3,Dx=56,M=128,N=128"


def program(build, name):
    room = {"dwbenchd": "daemon", "dwbenchctl": "client", "dwbench-worker": "measure"}[name]
    path = os.path.join(build, room, name)
    if not os.access(path, os.X_OK):
        sys.exit(f"{path} is not there: meson setup build --buildtype=release && ninja -C build")
    return path


class Service:
    """with Service(build) as service: a daemon that is gone at the end, with all it stored."""

    def __init__(self, build):
        self.build = build
        self.directory = tempfile.mkdtemp(prefix="dwbench-trial-")
        self.socket = os.path.join(self.directory, "s")
        self.log = open(os.path.join(self.directory, "log"), "w", encoding="utf-8")
        self.process = subprocess.Popen(
            [program(build, "dwbenchd"), "--allow-root", "--socket", self.socket, "--state-dir",
             os.path.join(self.directory, "state")], stdin=subprocess.DEVNULL, stderr=self.log)

    def __enter__(self):
        for _ in range(100):
            if os.path.exists(self.socket):
                return self
            time.sleep(0.1)
        sys.exit(f"dwbenchd does not start: see {self.log.name}")

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()
        self.log.close()
        shutil.rmtree(self.directory)

    def ctl(self, *arguments):
        return subprocess.run([program(self.build, "dwbenchctl"), *arguments, "--socket",
                               self.socket], stdin=subprocess.DEVNULL, capture_output=True,
                              text=True, check=False)

    def info(self):
        connection = http.client.HTTPConnection("localhost")
        connection.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.sock.connect(self.socket)
        connection.request("GET", "/v1/info")
        answer = json.loads(connection.getresponse().read())
        connection.close()
        return answer

    def records(self, n_jobs):
        """Records of the newest jobs, job by job, the newest first."""
        store = sqlite3.connect(f"file:{os.path.join(self.directory, 'state', 'dwbench.db')}?mode=ro",
                                uri=True)
        for (job,) in store.execute("SELECT number FROM job ORDER BY number DESC LIMIT ?",
                                    (n_jobs,)).fetchall():
            yield [json.loads(text) for (text,) in store.execute(
                "SELECT record FROM replicate WHERE job = ? ORDER BY layer, replicate", (job,))]
        store.close()


class Neighbour:
    """A process that multiplies and moves memory without pause on the other CPU, or nothing."""

    def __init__(self, build, cpu):
        self.process = None
        if cpu is not None:
            self.process = subprocess.Popen(
                [program(build, "dwbench-worker"), "--layer", NEIGHBOUR, "--slice", "1h", "--cpu",
                 str(cpu)], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process:
            self.process.kill()
            self.process.wait()


def binomial_tail(k, n, p):
    """P(X >= k) of Binomial(n, p)."""
    if k <= 0:
        return 1.0
    if p <= 0:
        return 0.0
    if p >= 1:
        return 1.0
    log_n = math.lgamma(n + 1)
    return min(1.0, sum(math.exp(log_n - math.lgamma(i + 1) - math.lgamma(n - i + 1) +
                                 i * math.log(p) + (n - i) * math.log1p(-p))
                        for i in range(k, n + 1)))


def exact_interval(k, n, level=0.95):
    """Clopper and Pearson 1934: of the probability behind k of n."""
    def solve(wanted, tail):
        low, high = 0.0, 1.0
        for _ in range(60):
            middle = (low + high) / 2
            low, high = (middle, high) if tail(middle) < wanted else (low, middle)
        return low

    half = (1 - level) / 2
    return (0.0 if k == 0 else solve(half, lambda p: binomial_tail(k, n, p)),
            1.0 if k == n else solve(1 - half, lambda p: binomial_tail(k + 1, n, p)))


def share(k, n):
    low, high = exact_interval(k, n)
    return f"{k} of {n} ({100 * k / n:.2f} %, 95 % interval {100 * low:.2f} .. {100 * high:.2f} %)"


def parser(description):
    result = argparse.ArgumentParser(description=description,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    result.add_argument("n", type=int, metavar="N", help="how many")
    result.add_argument("--layer", default=SMALL, help="shape (%(default)s)")
    result.add_argument("--operations", default="standard,depthwise,pointwise",
                        help="one of them a gate, in turn (%(default)s)")
    result.add_argument("--budget", default="2s", help="of a comparison (%(default)s)")
    result.add_argument("--busy", action="store_true", help="beside a busy neighbour on another CPU")
    result.add_argument("--build", default=os.path.join(ROOT, "build"), help="(%(default)s)")
    result.add_argument("--log", help="a line of JSON a comparison; what is there counts as done")
    return result


def end_by_exit(*_):
    sys.exit("ended by SIGTERM")


def read_log(path):
    if not path or not os.path.exists(path):
        return []
    with open(path, encoding="utf-8") as stream:
        return [json.loads(line) for line in stream]


def trace_errors(records):
    """Of one A/A job: log-ratio estimates whose truth is 0 from the very same samples, {pair:
    block-sequential}: the medians of the second half of the time over the first, as a benchmark
    that runs one side, then the other, has them."""
    result = {}
    for pair in range(len([s for s in records[0]["subjects"] if s.get("side") == "a"])):
        values = []
        for record in records:
            sides = [i for i, s in enumerate(record["subjects"]) if s.get("side")]
            wanted = sides[2 * pair:2 * pair + 2]
            values += [row[4] / row[3] for row in record["samples"]
                       if row[0] in wanted and not row[6] & STOLEN_OR_SWITCHED]
        half = len(values) // 2
        if half >= 2:
            result[pair] = math.log(statistics.median(values[half:]) /
                                    statistics.median(values[:half]))
    return result


def run_gates(options, b, with_traces):
    """Runs the gate until there are options.n outcomes, new ones appended to the log."""
    signal.signal(signal.SIGTERM, end_by_exit)  # so that no daemon is left behind
    outcomes = read_log(options.log)
    operations = options.operations.split(",")
    log = open(options.log, "a", encoding="utf-8") if options.log else None
    with Service(options.build) as service:
        info = service.info()
        allowed = [cpu for cpu in os.sched_getaffinity(0) if cpu != info["measure_cpu"]]
        if options.busy and not allowed:
            sys.exit("there is no other CPU for the neighbour")
        with Neighbour(options.build, allowed[0] if options.busy else None):
            while len(outcomes) < options.n:
                start = time.monotonic()
                done = service.ctl(
                    "gate", "--quiet", "--a", "native", "--b", b, "--layer", options.layer,
                    "--operations", operations[len(outcomes) % len(operations)],
                    "--budget", options.budget, "--seed",
                    str(len(outcomes) + 1), "--format", "json")
                if done.returncode not in (0, 1, 5):
                    sys.exit(f"gate ended with {done.returncode}: {done.stderr}")
                document = json.loads(done.stdout)
                outcome = {"exit": done.returncode, "seconds": time.monotonic() - start,
                           "comparisons": [
                               {"operation": c["operation"], "verdict": c["verdict"],
                                "change": c["change"], "confirmed": c["confirmed"],
                                "dropped": c["dropped_share"], "processes": c["processes"]}
                               for c in document["comparisons"]]}
                if with_traces:
                    for pair, error in trace_errors(next(service.records(1))).items():
                        outcome["comparisons"][pair]["sequential"] = error
                outcomes.append(outcome)
                if log:
                    log.write(json.dumps(outcome) + "\n")
                    log.flush()
                if sys.stderr.isatty() or len(outcomes) % 50 == 0:
                    print(f"{len(outcomes)} of {options.n}, {outcome['seconds']:.1f} s the last",
                          file=sys.stderr)
    if log:
        log.close()
    return outcomes[:options.n]


def describe(options, outcomes, what):
    seconds = [outcome["seconds"] for outcome in outcomes]
    print(f"{what}: {len(outcomes)} gates of one comparison each, "
          f"{options.layer}, {options.operations} in turn, budget {options.budget}, "
          f"{'beside a busy neighbour' if options.busy else 'without a neighbour of ours'}; "
          f"{statistics.median(seconds):.1f} s a gate (longest {max(seconds):.1f})")
    words = {}
    for outcome in outcomes:
        for comparison in outcome["comparisons"]:
            words[comparison["verdict"]] = words.get(comparison["verdict"], 0) + 1
    print("verdicts of the comparisons: " +
          ", ".join(f"{n} {word.replace('_', ' ')}" for word, n in sorted(words.items())))
