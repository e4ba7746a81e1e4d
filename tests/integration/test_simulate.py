#!/usr/bin/python3
"""Counters by simulation: the real worker under the real Valgrind, and what happens without it or
when it misbehaves. Beside what harness.py takes from the environment, DWB_CTL names dwbenchctl, and
DWB_SANITIZED says that the worker cannot run under Valgrind."""

import csv
import ctypes
import io
import json
import os
import shutil
import subprocess
import tempfile
import time
import unittest

from harness import SOURCE_ROOT, WORKER, Daemon

try:
    import jsonschema
except ImportError:
    jsonschema = None

CTL = os.environ["DWB_CTL"]
VALGRIND = shutil.which("valgrind")
BUILT_IN = "built without" not in subprocess.run(
    [WORKER, "--layer", "Dk=1,Dx=1,M=1,N=1", "--slice", "1ms", "--simulate"],
    env={**os.environ, "PATH": "/nonexistent"}, capture_output=True, text=True).stderr
WHY_NOT = ("the worker is instrumented by a sanitizer" if os.environ.get("DWB_SANITIZED")
           else "no valgrind: scripts/packages simulate" if not VALGRIND
           else "the worker was built without valgrind's header" if not BUILT_IN else "")
PR_SET_MDWE, PR_GET_MDWE = 65, 66
SMALL = "Dk=3,Dx=14,M=32,N=32"
GIVEN = "32768,8,64/1024,2,64/4096,4,64"
COUNTS = ("instructions", "data_references", "l1i_misses", "l1d_misses", "ll_misses")
OPERATIONS = ("standard", "depthwise", "pointwise", "separable", "separable_fused")


def measure(*arguments, path=None, code=0):
    environment = {**os.environ, **({"PATH": path} if path else {})}
    process = subprocess.run([WORKER, "--layer", SMALL, "--slice", "1ms", *arguments],
                             capture_output=True, text=True, env=environment, timeout=120)
    assert process.returncode == code, (process.returncode, process.stderr)
    return [json.loads(line) for line in process.stdout.splitlines()], process.stderr


def simulate(*arguments, path=None):
    """Operation -> counts by name, and the simulation itself."""
    lines, _ = measure("--simulate", *arguments, path=path)
    record = lines[-1]
    simulation = record["simulation"]
    return {record["subjects"][item["subject"]]["operation"]:
            dict(zip(COUNTS, item["counts"] or [])) for item in simulation["items"]}, simulation


@unittest.skipIf(WHY_NOT, WHY_NOT)
class Counts(unittest.TestCase):
    def test_two_runs_are_equal(self):
        first, first_simulation = simulate()
        second, second_simulation = simulate("--seed", "1", "--replicate", "5")
        self.assertEqual(first_simulation, second_simulation)
        self.assertEqual(set(first), set(OPERATIONS))
        for name, counts in first.items():
            self.assertGreater(counts["instructions"], counts["data_references"], name)
            self.assertGreater(counts["data_references"], counts["l1d_misses"], name)
            self.assertGreaterEqual(counts["l1d_misses"], counts["ll_misses"], name)
        together = first["depthwise"]["instructions"] + first["pointwise"]["instructions"]
        self.assertLess(abs(first["separable"]["instructions"] - together), 200)
        self.assertEqual(second, first)

    def test_cold_and_warm(self):
        warm, _ = simulate("--cache", "warm")
        cold, _ = simulate("--cache", "cold")
        # All of this layer stays in the last cache, and its input and output are 25,088 bytes each.
        for name in OPERATIONS:
            self.assertEqual(warm[name]["ll_misses"], 0, name)
            self.assertGreaterEqual(cold[name]["ll_misses"], 25088 * 2 // 64, name)
            self.assertEqual(warm[name]["instructions"], cold[name]["instructions"], name)

    def test_given_geometry(self):
        own, simulation = simulate()
        given, other = simulate("--geometry", GIVEN)
        self.assertEqual((simulation["origin"].split(",")[0], other["origin"]), ("sysfs", "given"))
        self.assertEqual(other["geometry"], GIVEN)
        for name in OPERATIONS:
            self.assertEqual(own[name]["instructions"], given[name]["instructions"], name)
            self.assertGreater(given[name]["l1d_misses"], own[name]["l1d_misses"], name)
            self.assertGreater(given[name]["ll_misses"], own[name]["ll_misses"], name)

    def test_avx512_is_told(self):
        isas = measure("--probe")[0][0]["isas"]
        if "avx512" not in isas:
            self.skipTest("this CPU has no AVX-512")
        _, simulation = simulate("--isa", "avx512")
        self.assertIn("no AVX-512", simulation["note"])
        for item in simulation["items"]:
            self.assertEqual(item["isa"], "avx2")
            self.assertIn("avx2", item["kernel"])
        _, simulation = simulate("--isa", "avx2")
        self.assertEqual(simulation["note"], "")
        _, simulation = simulate("--isa", "portable")
        self.assertEqual({item["isa"] for item in simulation["items"]}, {"portable"})

    def test_progress(self):
        lines, _ = measure("--simulate")
        steps = [(line["step"], line["steps"], line["simulating"]) for line in lines
                 if "simulating" in line]
        self.assertEqual(sorted(set(steps)),
                         [(i + 1, 5, name) for i, name in enumerate(OPERATIONS)])


@unittest.skipIf(WHY_NOT, WHY_NOT)
class Job(unittest.TestCase):
    """From the client to the report."""

    def run_client(self, *arguments):
        with tempfile.TemporaryDirectory(prefix="simulate-", dir="/tmp") as directory:
            process = subprocess.run(
                [CTL, "run", "--layer", SMALL, "--budget", "200ms", "--replicates", "2",
                 "--simulate", *arguments], capture_output=True, text=True, timeout=120,
                env={**os.environ, "TMPDIR": directory, "LC_ALL": "C.UTF-8"})
            self.assertEqual(os.listdir(directory), [], "left behind")
        # 5: a busy machine disturbed every sample, so nothing was measured; what is simulated stands.
        self.assertIn(process.returncode, (0, 5), process.stderr)
        return process

    def test_json(self):
        document = json.loads(self.run_client("--format", "json").stdout)
        if jsonschema:
            with open(os.path.join(SOURCE_ROOT, "docs", "result.schema.json")) as stream:
                jsonschema.validate(document, json.load(stream))
        [entry] = document["results"]
        self.assertTrue(document["job"]["options"]["simulate"])
        simulation = entry["simulation"]
        self.assertTrue(simulation["tool"].startswith("valgrind-"))
        self.assertEqual(simulation["theory"], entry["theory"]["ratio"])
        standard, separable = (entry["operations"][name]["simulated"]["counters"]
                               for name in ("standard", "separable"))
        self.assertEqual(standard["instructions"]["source"], "simulated")
        ratio = simulation["ratio"]["instructions"]
        self.assertEqual(ratio["source"], "simulated")
        self.assertAlmostEqual(ratio["value"], separable["instructions"]["value"]
                               / standard["instructions"]["value"])
        # Warm, nothing misses the last cache: no ratio, and why.
        self.assertIsNone(simulation["ratio"]["ll_misses"]["value"])
        self.assertIn("counted 0", simulation["ratio"]["ll_misses"]["reason"])
        # Never among what was measured.
        for operation in entry["operations"].values():
            for counter in operation["counters"].values():
                self.assertNotEqual(counter["source"], "simulated")

    def test_table_and_csv(self):
        process = self.run_client("--geometry", GIVEN)
        self.assertRegex(process.stdout, r"instructions +\d")
        self.assertIn("simulated, not measured: one warm call by valgrind-", process.stdout)
        self.assertIn("D1 1 KiB 2 ways", process.stdout)
        for step in range(1, 6):
            self.assertRegex(process.stderr, rf"simulating \S+: native \w+, {step} of 5")
        rows = list(csv.DictReader(io.StringIO(self.run_client("--format", "csv").stdout)))
        self.assertGreater(int(rows[0]["standard_simulated_instructions"]), 1000)
        self.assertGreater(float(rows[0]["ratio_simulated_instructions"]), 0)
        self.assertGreater(int(rows[0]["simulated_D1_bytes"]), 1024)


class Missing(unittest.TestCase):
    """Whatever the tool does, the measurement stands, and the reason is told."""

    def setUp(self):
        self.bin = tempfile.mkdtemp(prefix="simulate-", dir="/tmp")
        self.addCleanup(shutil.rmtree, self.bin, ignore_errors=True)
        if not BUILT_IN:
            self.skipTest("the worker was built without valgrind's header")

    def fake(self, script):
        path = os.path.join(self.bin, "valgrind")
        with open(path, "w") as stream:
            stream.write("#!/bin/sh\n[ \"$1\" = --version ] && echo valgrind-9.9 && exit\n"
                         + script)
        os.chmod(path, 0o755)
        return self.bin

    def reasons(self, script):
        _, simulation = simulate(path=self.fake(script))
        return {item["reason"] for item in simulation["items"]}

    def test_no_valgrind(self):
        lines, errors = measure("--simulate", path=self.bin, code=1)
        self.assertEqual(lines, [])
        self.assertIn("valgrind is not installed (sudo apt-get install valgrind)", errors)
        self.assertNotIn("simulation", measure(path=self.bin)[0][-1])

    def test_it_does_not_start(self):
        path = os.path.join(self.bin, "valgrind")
        with open(path, "w") as stream:
            stream.write("#!/bin/sh\necho '--1-- dump'\necho '==1== ' >&2\n"
                         "echo '==1==   out of memory:' >&2; echo '==1== Sorry.' >&2; exit 1\n")
        os.chmod(path, 0o755)
        _, errors = measure("--simulate", path=self.bin, code=1)
        self.assertIn("cannot simulate: valgrind ended with status 1: out of memory:", errors)

    def test_a_daemon_refuses_at_once(self):
        with Daemon(worker=WORKER, env={"PATH": self.bin}) as daemon:
            end = time.monotonic() + 20
            while not daemon.get("/v1/info").json["machine"] and time.monotonic() < end:
                time.sleep(0.05)
            response = daemon.post("Dk: 3\nDx: 8\nM: 8\nN: 8\nsimulate: true\n")
            self.assertEqual((response.status, response.json["code"]),
                             (422, "simulation_not_available"))
            self.assertIn("apt-get install valgrind", response.json["detail"])

    def test_it_fails(self):
        self.assertEqual(self.reasons("echo '==1== no memory left' >&2; exit 3"),
                         {"valgrind ended with status 3: no memory left"})

    def test_it_is_killed(self):
        self.assertEqual(self.reasons("kill -SEGV $$"), {"valgrind was killed by SIGSEGV"})

    def test_it_says_nothing(self):
        self.assertEqual(self.reasons("exit 0"), {"the simulated process gave no answer"})

    def test_code_may_not_be_written(self):
        """What MemoryDenyWriteExecute does, by the kernel's own switch."""
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.prctl(PR_GET_MDWE, 0, 0, 0, 0) < 0:
            self.skipTest("this kernel has no PR_SET_MDWE")
        if os.environ.get("DWB_SANITIZED"):
            self.skipTest("the worker is instrumented by a sanitizer")
        process = subprocess.run([WORKER, "--layer", SMALL, "--slice", "1ms", "--simulate"],
                                 env={**os.environ, "PATH": self.fake("exit 0\n")},
                                 preexec_fn=lambda: libc.prctl(PR_SET_MDWE, 1, 0, 0, 0),
                                 capture_output=True, text=True, timeout=120)
        self.assertEqual(process.returncode, 1)
        self.assertIn("MemoryDenyWriteExecute", process.stderr)

    def test_it_counts_nothing(self):
        answer = json.dumps({"kernel": "k", "isa": "avx2", "mismatched": 0})
        self.assertEqual(self.reasons(f"echo '{answer}'"),
                         {"what callgrind wrote cannot be read"})

    def test_wrong_outputs(self):
        answer = json.dumps({"kernel": "k", "isa": "avx2", "mismatched": 3})
        self.assertEqual(self.reasons(f"echo '{answer}'"), {"outputs wrong at 3 positions"})

    def test_the_deadline_ends_it(self):
        pids = os.path.join(self.bin, "pids")
        self.fake(f"echo $$ >>{pids}; exec sleep 600")
        environment = {"PATH": self.bin + ":" + os.environ["PATH"]}
        with Daemon(worker=WORKER, env=environment,
                    config={"limits": {"worker_deadline": "2s", "worker_failures": 1}}) as daemon:
            response = daemon.post("Dk: 3\nDx: 8\nM: 8\nN: 8\nsimulate: true\nbudget: 100ms\n")
            self.assertEqual(response.status, 202, response.text)
            job = daemon.wait_state(response.json["id"], "done", "failed", timeout=60)
            self.assertEqual(job["state"], "failed")
            self.assertIn("did not end before its deadline", job["reason"])
            with open(pids) as stream:
                [pid] = stream.read().split()
            end = time.monotonic() + 5
            while os.path.exists(f"/proc/{pid}") and time.monotonic() < end:
                time.sleep(0.05)
            self.assertFalse(os.path.exists(f"/proc/{pid}"), "valgrind outlived its worker")


if __name__ == "__main__":
    if WHY_NOT:
        print("in part:", WHY_NOT)
    unittest.main(verbosity=2)
