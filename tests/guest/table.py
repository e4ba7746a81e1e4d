"""Expected against counted values of the guest, as the tables of docs/counters.md have them.

All of it comes from dwbench-worker itself: what each counter was held against when it was probed,
and what two processes counted of the same layer. The emulated PMU counts instructions exactly.
"""

import json

import guest

LAYER = "Dk=3,Dx=14,M=128,N=128"
COMMAND = ("echo 2 >/proc/sys/kernel/perf_event_paranoid\n"
           + 2 * "dwbench-worker --probe || exit\n"
           + 2 * f"dwbench-worker --layer {LAYER} --slice 1ms || exit\n")


def _row(*cells):
    return "| " + " | ".join(str(cell) for cell in cells) + " |"


def _number(value):
    return "" if value is None else f"{value:,}"


def _probes(first, second):
    yield _row("counter", "event", "held against", "expected", "counted", "counted again",
               "empty window", "outcome")
    yield _row(*["---"] * 3, *["---:"] * 4, "---")
    for one, two in zip(first["counters"], second["counters"]):
        calibration, again = one["calibration"], two["calibration"]
        if one["source"] == "software":
            continue
        if not calibration:
            yield _row(one["name"], one["event"] and f"`{one['event']}`", *[""] * 5,
                       f"`{one['outcome']}`")
            continue
        least = "" if calibration["exact"] else "≥ "
        yield _row(one["name"], f"`{one['event']}`", calibration["work"],
                   least + _number(calibration["expected"]), _number(calibration["seen"]),
                   _number(again["seen"]), _number(one["overhead"]), f"`{one['outcome']}`")


def _windows(record):
    """Operation -> (calls of a window, instructions of its windows)."""
    names = [counter["name"] for counter in record["counters"]]
    windows = {}
    for subject, counter, _, n_calls, value in record["readings"]:
        if names[counter] == "instructions" and record["subjects"][subject]["backend"]:
            windows.setdefault(subject, (n_calls, []))[1].append(value)
    return windows


def _operations(first, second):
    yield _row("operation", "multiply-adds", "`fmla` at least", "calls a window",
               "counted, first process", "second process", "a call")
    yield _row("---", *["---:"] * 6)
    windows, again = _windows(first), _windows(second)
    for subject, (n_calls, values) in windows.items():
        entry = first["subjects"][subject]
        # Two halves of a block are one reading of twice the calls.
        yield _row(entry["operation"], _number(entry["macs_executed"]),
                   _number(entry["macs_executed"] // 4), _number(n_calls),
                   ", ".join(map(_number, values)), ", ".join(map(_number, again[subject][1])),
                   _number(round(min(values) / n_calls)))


def make(build, timeout):
    """The text, from a guest with the tree of a cross build directory."""
    status, output = guest.run(build, COMMAND, timeout=timeout)
    lines = [json.loads(line) for line in output.splitlines() if line[:1] == "{"]
    probes = [line for line in lines if line["type"] == "probe"]
    records = [line for line in lines if line["type"] == "replicate"]
    if status or len(probes) != 2 or len(records) != 2:
        raise guest.Failed(f"the guest's command ended with {status}: {output[-2000:]}")
    return "\n".join([*_probes(*probes), "", *_operations(*records)])
