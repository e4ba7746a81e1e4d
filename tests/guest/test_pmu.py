"""The laboratory on a machine with a PMU, which is an emulated one (tests/guest/guest.py).

Instruction counts are exact there, so they are compared; nothing else that the machine would say of
its speed is. DWB_BUILD is the cross build directory, DWB_GUEST_TESTS names programs of it that
qemu-user cannot run, for want of a system call. Nothing but the standard library.
"""

import json
import os
import sys
import unittest

import guest

BUILD = os.environ["DWB_BUILD"]
TESTS = os.environ.get("DWB_GUEST_TESTS", "").split()
PEER = os.path.exists(os.path.join(BUILD, "kernels/backends/dwbench-backend-xnnpack.so"))
LAYER = "Dk=3,Dx=56,M=128,N=128"
SMALL = "Dk=3,Dx=14,M=128,N=128"
FMA_SHARES = {"standard": 0.80, "pointwise": 0.80, "depthwise": 0.55}
# A window holds the sampler's clock readings besides the calls, which differ by a few instructions.
WINDOW_SLACK = 32


def run(command, timeout=240, files=()):
    status, output = guest.run(BUILD, command, files, timeout)
    return status, output.splitlines()


def documents(lines, kind):
    return [document for document in (json.loads(line) for line in lines if line[:1] == "{")
            if document.get("type") == kind]


def counters_of(probe):
    return {counter["name"]: counter for counter in probe["counters"]}


class Counted:
    """The instructions of a worker's record, by (operation, backend): windows of equal length."""

    def __init__(self, record):
        names = [counter["name"] for counter in record["counters"]]
        self.record = record
        self.windows = {}
        self.calls = {}
        self.macs = {}
        for subject, counter, _, n_calls, value in record["readings"]:
            entry = record["subjects"][subject]
            key = entry["operation"], entry["backend"]
            if names[counter] == "instructions" and entry["macs_executed"]:
                self.windows.setdefault(key, []).append(value)
                self.calls[key] = n_calls
                self.macs[key] = entry["macs_executed"]

    def per_call(self, *key):
        return min(self.windows[key]) / self.calls[key]

    def fma_share(self, *key):
        """Of our kernels: the channels fill all vectors, so an instruction is four multiply-adds. A
        library also multiplies padding, which is not in the count."""
        return self.macs[key] / 4 / self.per_call(*key)

    def print(self):
        for key, macs in self.macs.items():
            print("%-16s %-8s %11.0f instructions a call, %.4f a multiply-add, %.1f %% for them"
                  % (*key, self.per_call(*key), self.per_call(*key) / macs,
                     100 * self.fma_share(*key)))


class Permission(unittest.TestCase):
    """What a plain user may count, and what the PMU does not have."""

    @classmethod
    def setUpClass(cls):
        script = "".join(f"echo {level} >/proc/sys/kernel/perf_event_paranoid\n"
                         "su user -c 'id -u; dwbench-worker --probe' || exit\n"
                         for level in (3, 2))
        cls.status, cls.lines = run(script)
        probes = documents(cls.lines, "probe")
        cls.denied, cls.allowed = map(counters_of, probes) if len(probes) == 2 else ({}, {})

    def test_both_probes(self):
        self.assertEqual(self.status, 0, self.lines)
        self.assertEqual(self.lines.count("1000"), 2, "not run as a plain user")

    def test_paranoid_3_is_a_reason(self):
        for name in ("cycles", "instructions", "l1d_misses"):
            counter = self.denied[name]
            self.assertIsNone(counter["source"], counter)
            self.assertIn("EACCES", counter["reason"])
            self.assertIn("kernel.perf_event_paranoid is 3", counter["reason"])

    def test_paranoid_2_counts(self):
        for name, event in (("cycles", "CPU_CYCLES"), ("instructions", "INST_RETIRED")):
            counter = self.allowed[name]
            self.assertEqual(counter["source"], "hardware", counter)
            self.assertEqual(counter["event"], "arm_n1::" + event)

    def test_an_event_that_opens_and_counts_nothing_is_refused(self):
        counter = self.allowed["l1d_misses"]
        self.assertEqual(counter["event"], "arm_n1::L1D_CACHE_REFILL")
        self.assertIsNone(counter["source"], counter)
        self.assertRegex(counter["reason"], r"^it opened but counted 0 over work with at least \d+")


class Instructions(unittest.TestCase):
    def test_counts_repeat(self):
        status, lines = run(2 * f"dwbench-worker --layer {SMALL} --slice 1ms\n")
        counted = [Counted(record) for record in documents(lines, "replicate")]
        self.assertEqual((status, len(counted)), (0, 2), lines[-20:])
        for key in counted[0].windows:
            windows = counted[0].windows[key] + counted[1].windows[key]
            self.assertGreaterEqual(len(windows), 4, key)
            self.assertEqual(counted[0].calls[key], counted[1].calls[key], key)
            self.assertLessEqual(max(windows) - min(windows), WINDOW_SLACK, (key, windows))

    def test_neon_kernels(self):
        backends = "native,xnnpack" if PEER else "native"
        status, lines = run(f"dwbench-worker --layer {LAYER} --slice 1ms --backend {backends}")
        records = documents(lines, "replicate")
        self.assertEqual((status, len(records)), (0, 1), lines[-20:])
        counted = Counted(records[0])
        counted.print()
        for operation, share in FMA_SHARES.items():
            with self.subTest(operation):
                self.assertGreaterEqual(counted.fma_share(operation, "native"), share)
        for operation in FMA_SHARES if PEER else ():
            with self.subTest(operation, peer="xnnpack"):
                self.assertLessEqual(counted.per_call(operation, "native"),
                                     counted.per_call(operation, "xnnpack"))
        if not PEER:
            print("without XNNPACK: scripts/packages guest unpacks it", file=sys.stderr)


class Programs(unittest.TestCase):
    def test_client_daemon_and_workers(self):
        status, lines = run("echo 2 >/proc/sys/kernel/perf_event_paranoid\n"
                            "su user -c 'cd /tmp; dwbenchctl run --layer Dk=3,Dx=8,M=8,N=16 "
                            "--budget 100ms --format json -o result.json 2>log'\n"
                            "status=$?\n"
                            "cat /tmp/$(test $status = 0 && echo result.json || echo log)\n"
                            "exit $status")
        self.assertEqual(status, 0, lines[-20:])
        document = json.loads("\n".join(lines[lines.index("{"):]))
        for operation in ("standard", "depthwise", "pointwise", "separable", "separable_fused"):
            counters = document["results"][0]["operations"][operation]["counters"]
            self.assertEqual(counters["instructions"]["source"], "hardware")
            self.assertGreater(counters["instructions"]["value"], 0)
            self.assertIsNone(counters["l1d_misses"]["value"])
            self.assertIn("counted 0", counters["l1d_misses"]["reason"])

    def test_what_qemu_user_has_no_system_call_for(self):
        for command in TESTS:
            program, _, argument = command.partition(":")
            with self.subTest(os.path.basename(program), argument=argument):
                status, lines = run(f"ulimit -n 4096; /opt/{os.path.basename(program)} {argument}",
                                    files=[program])
                self.assertEqual(status, 0, lines[-20:])


if __name__ == "__main__":
    try:
        guest.check()
    except guest.Unavailable as error:
        print(error)
        sys.exit(77)
    unittest.main(verbosity=2)
