"""The guest's suite on the machine itself: DWB_BUILD is the native build directory.

A real PMU counts what the emulated one does, and cycles, FLOPs and misses as well; it is not exact
to the instruction (interrupts return into user mode), so what must repeat does so within a per
mille. Exit 77 with the reason where there is no PMU to count with.
"""

import json
import os
import sys
import unittest

import guest
import native

BUILD = os.environ["DWB_BUILD"]
LAYER = "Dk=3,Dx=28,M=128,N=128"
REPEATS = 1e-3
CALIBRATED = 0.02


def run(command, timeout=240):
    status, output = native.run(BUILD, command, timeout)
    return status, output.splitlines()


def documents(lines, kind):
    return [document for document in (json.loads(line) for line in lines if line[:1] == "{")
            if document.get("type") == kind]


def per_call(record, name):
    """(operation, backend) -> the least of its windows, a call."""
    names = [counter["name"] for counter in record["counters"]]
    least = {}
    for subject, counter, _, n_calls, value in record["readings"]:
        entry = record["subjects"][subject]
        key = entry["operation"], entry["backend"]
        if names[counter] == name and entry["backend"]:
            least[key] = min(least.get(key, value / n_calls), value / n_calls)
    return least


class Probe(unittest.TestCase):
    def test_each_counter_counts_or_says_why(self):
        status, lines = run("dwbench-worker --probe")
        self.assertEqual(status, 0, lines[-20:])
        for counter in documents(lines, "probe")[0]["counters"]:
            with self.subTest(counter["name"]):
                counted = counter["outcome"] == "counted"
                self.assertEqual(counter["source"] is not None, counted)
                self.assertTrue(counted or counter["reason"])
                calibration = counter["calibration"]
                if counted and calibration and calibration["exact"]:
                    self.assertLessEqual(abs(calibration["seen"] / calibration["expected"] - 1),
                                         CALIBRATED)
                elif counted and calibration:
                    self.assertGreaterEqual(calibration["seen"], calibration["expected"])


class Counts(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.status, cls.lines = run(2 * f"dwbench-worker --layer {LAYER} --slice 50ms || exit\n")
        cls.records = documents(cls.lines, "replicate")

    def test_instructions_repeat(self):
        self.assertEqual((self.status, len(self.records)), (0, 2), self.lines[-20:])
        first, second = (per_call(record, "instructions") for record in self.records)
        self.assertGreaterEqual(len(first), 5)
        for key, value in first.items():
            self.assertLessEqual(abs(second[key] / value - 1), REPEATS, key)

    def test_flops_are_those_of_the_shape(self):
        flops = per_call(self.records[0], "flops")
        if not flops:
            self.skipTest("this PMU does not count FLOPs")
        for subject in self.records[0]["subjects"]:
            key = subject["operation"], subject["backend"]
            if subject["operation"] in ("standard", "pointwise") and key in flops:
                executed = 2 * subject["macs_executed"]
                self.assertLessEqual(abs(flops[key] / executed - 1), CALIBRATED, key)


class Programs(unittest.TestCase):
    def test_client_daemon_and_workers(self):
        status, lines = run("dwbenchctl run --layer Dk=3,Dx=8,M=8,N=16 --budget 100ms "
                            "--format json -q")
        self.assertEqual(status, 0, lines[-20:])
        document = json.loads("\n".join(lines[lines.index("{"):]))
        for operation in ("standard", "depthwise", "pointwise", "separable", "separable_fused"):
            counters = document["results"][0]["operations"][operation]["counters"]
            self.assertEqual(counters["instructions"]["source"], "hardware")
            self.assertGreater(counters["instructions"]["value"], 0)
        ratio = document["results"][0]["ratio"]["instructions"]
        self.assertGreater(ratio["value"], 0)


if __name__ == "__main__":
    try:
        native.check(BUILD)
    except guest.Unavailable as error:
        print(error)
        sys.exit(77)
    unittest.main(verbosity=2)
