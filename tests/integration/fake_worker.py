#!/usr/bin/python3
"""Stands in for dwbench-worker: instant synthetic records, and every way to misbehave.

$FAKE_WORKER_DIR/mode says how: "ok", or see misbehave(). A mode may be bound to a layer and to a
number of times: "segv:bad:2" crashes for the first two replicates of the layer `bad`.
Requests and process ids are appended to files there. A file `factors` ({"depthwise": 1.1, ...}) makes
operations, and the canary, slower; its "b" all of side b of a comparison, with "seed" in jobs of that
seed only, with "layer" that layer. A program that is side b by itself has $FAKE_WORKER_SIDE b.
"""

import json
import os
import random
import signal
import sys
import time

DIRECTORY = os.environ["FAKE_WORKER_DIR"]


def note(name, text):
    with open(os.path.join(DIRECTORY, name), "a") as stream:
        stream.write(text + "\n")


def emit(document):
    sys.stdout.write(json.dumps(document) + "\n")
    sys.stdout.flush()


def probe():
    emit({"type": "probe", "version": "0", "cpu": {"model": "fake", "flags": []},
          "isas": ["portable"], "isa_best": "portable", "kernels": [],
          "counters": [{"name": "cycles", "event": "", "unit": "", "source": None,
                        "reason": "this worker is a fake", "outcome": "no_pmu"},
                       {"name": "task_clock", "event": "getrusage", "unit": "ns",
                        "source": "software", "reason": "", "outcome": "counted"}],
          "environment": {}})


def subjects(layer, mismatched):
    k2, m, n, dy2 = layer["Dk"] ** 2, layer["M"], layer["N"], layer["Dy"] ** 2
    macs = {"standard": k2 * m * n * dy2, "depthwise": k2 * m * dy2, "pointwise": m * n * dy2,
            "separable": k2 * m * dy2 + m * n * dy2}
    rows = [{"operation": name, "backend": "native", "isa": "portable", "kernel": "fake_" + name,
             "algorithm": "direct", "level": "", "macs_nominal": count, "macs_executed": count,
             "bytes": 0, "verified": 100, "mismatched": mismatched, "worst_error": 0.1}
            for name, count in macs.items()]
    rows.append({"operation": "canary", "backend": "", "isa": "portable", "kernel": "fake_canary",
                 "algorithm": "", "level": "", "macs_nominal": 1000, "macs_executed": 1000,
                 "bytes": 0, "verified": 0, "mismatched": 0, "worst_error": 0.0})
    return rows


NAMES = ("standard", "depthwise", "pointwise", "separable", "canary")


def given_factors():
    try:
        with open(os.path.join(DIRECTORY, "factors")) as stream:
            return json.load(stream)
    except FileNotFoundError:
        return {}


def factors():
    return [given_factors().get(name, 1.0) for name in NAMES]


def factor_of_b(request):
    given = given_factors()
    if given.get("seed", request["seed"]) != request["seed"]:
        return 1.0
    if given.get("layer", request["layer"]["name"]) != request["layer"]["name"]:
        return 1.0
    return given.get("b", 1.0)


def sides_of(request, rows, times):
    """The subjects of a comparison, and their times: a and b of each operation, then the canary."""
    kept, of_kept = [], {}
    for subject, row in enumerate(rows):
        if row["operation"] in request["operations"].split(","):
            for side, factor in (("a", 1.0), ("b", factor_of_b(request))):
                of_kept[len(kept)] = times[subject] * factor
                kept.append({**row, "side": side})
    of_kept[len(kept)] = times[len(rows) - 1]
    return kept + rows[-1:], of_kept


def record(request, mismatched=0):
    layer = request["layer"]
    rng = random.Random(f'{request["seed"]} {layer["name"]} {request["replicate"]}')
    spread = float(os.environ.get("FAKE_WORKER_SPREAD", "0"))
    process = 1 + spread * rng.random()
    times = {0: 8e5, 1: 2e4 * process, 2: 9.5e4, 3: 1.15e5 * process, 4: 1e5}
    times = {subject: ns * factor for (subject, ns), factor in zip(times.items(), factors())}
    rows = subjects(layer, mismatched)
    if "a" in request:
        rows, times = sides_of(request, rows, times)
    elif os.environ.get("FAKE_WORKER_SIDE") == "b":
        times = {subject: ns * factor_of_b(request) for subject, ns in times.items()}
    samples = []
    for block in range(4):
        for half in (0, 1):
            for subject, ns in times.items():
                wall = int(10 * ns * (1 + 0.0005 * rng.random()))
                samples.append([subject, block, half, 10, wall, wall, 0])
    return {"type": "replicate", "schema": "dwbench.replicate/1", "layer": layer,
            "replicate": request["replicate"], "cpu": request["cpu"], "seed": request["seed"],
            "cache": request["cache"], "elapsed_ns": 20000000, "kernel_ns": 10000000,
            "subjects": rows, "samples": samples,
            "counters": [{"name": "cycles", "event": "", "unit": "", "source": None,
                          "reason": "this worker is a fake"}],
            "readings": [], "environment": {"cpu_model": "fake"}}


def current_mode(layer):
    with open(os.path.join(DIRECTORY, "mode")) as stream:
        mode, _, rest = stream.read().strip().partition(":")
    bound, _, times = rest.partition(":")
    if bound and bound != layer:
        return "ok"
    if times:
        counter = os.path.join(DIRECTORY, "count")
        done = os.path.getsize(counter) if os.path.exists(counter) else 0
        if done >= int(times):
            return "ok"
        with open(counter, "a") as stream:
            stream.write(".")
    return mode


def misbehave(mode, request):
    if mode == "segv":
        print("about to crash", file=sys.stderr, flush=True)
        os.kill(os.getpid(), signal.SIGSEGV)
    elif mode == "hang":
        time.sleep(3600)
    elif mode == "grandchild":  # leaves somebody behind who holds the pipe
        if os.fork() == 0:
            time.sleep(3600)
        note("pids", str(os.getpid()))
    elif mode == "garbage":
        sys.stdout.buffer.write(b"\xff\x00 not json\n")
    elif mode == "no-record":
        print("I have nothing to say", file=sys.stderr)
    elif mode == "other-record":
        emit({**record(request), "replicate": request["replicate"] + 1})
    elif mode == "two-records":
        emit(record(request))
        emit(record(request))
    elif mode == "bad-record":
        emit({**record(request), "samples": [[99, 0, 0, 1, 1, 1, 0]]})
    elif mode == "cut":
        sys.stdout.write(json.dumps(record(request))[:500])
    elif mode == "wrong":
        emit(record(request, mismatched=3))
        print("pointwise: 3 of 100 positions past the tolerance", file=sys.stderr)
        sys.exit(4)
    elif mode == "wrong-exit-0":
        emit(record(request, mismatched=3))
    elif mode == "exit-3":
        print("first line\n\x1b[31mcannot \xff do it\nlast line", file=sys.stderr)
        sys.exit(3)
    elif mode == "bad-request":
        print("no such ISA", file=sys.stderr)
        sys.exit(2)
    elif mode == "endless-line":
        while True:
            sys.stdout.write("x" * 65536)
    elif mode == "endless-lines":
        while True:
            sys.stdout.write('{"type":"progress","done_ns":1,"slice_ns":2}\n' * 1000)
    elif mode == "endless-stderr":
        emit(record(request))
        for _ in range(2000):
            sys.stderr.write("e" * 65536)
    elif mode == "memory":
        hoard = b"\x01" * (600 << 20)
        time.sleep(3600)
        print(len(hoard))
    else:
        raise ValueError(mode)
    sys.stdout.flush()
    sys.exit(0)


def main():
    if "--probe" in sys.argv:
        probe()
        return
    request = json.loads(sys.stdin.readline())
    assert sys.stdin.read() == "", "the request is one line, then the pipe is closed"
    assert sorted(os.listdir("/proc/self/fd")) == ["0", "1", "2", "3"], "descriptors leaked"
    note("pids", str(os.getpid()))
    note("requests", json.dumps([request["layer"]["name"], request["replicate"]]))
    mode = current_mode(request["layer"]["name"])
    for i in range(3):
        emit({"type": "progress", "done_ns": i * 1000, "slice_ns": 3000})
    if mode.startswith("slow"):
        time.sleep(float(mode[4:] or "0.2"))
    elif mode != "ok":
        misbehave(mode, request)
    emit(record(request))


if __name__ == "__main__":
    main()
