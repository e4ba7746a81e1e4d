"""The trials of the gate in their short form: they run the real gate, and their arithmetic is right.
What a gate flags and misses on a quiet machine takes hours and is in docs/method.md."""

import os
import subprocess
import sys
import tempfile
import unittest

import harness

SCRIPTS = os.path.join(harness.SOURCE_ROOT, "scripts")
BUILD = os.path.dirname(os.path.dirname(harness.DAEMON))
sys.dont_write_bytecode = True
sys.path.insert(0, SCRIPTS)

import trials  # noqa: E402


def run(script, *arguments):
    return subprocess.run([os.path.join(SCRIPTS, script), *arguments, "--build", BUILD],
                          capture_output=True, text=True, timeout=240,
                          env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"})


class Arithmetic(unittest.TestCase):
    def test_exact_intervals(self):
        # The closed forms at the ends: 1 - (a/2)^(1/n) for 0 of n.
        self.assertAlmostEqual(trials.exact_interval(0, 1000)[1], 1 - 0.025 ** (1 / 1000), 9)
        self.assertAlmostEqual(trials.exact_interval(300, 300)[0], 0.025 ** (1 / 300), 9)
        low, high = trials.exact_interval(4, 1000)
        self.assertAlmostEqual(trials.binomial_tail(4, 1000, low), 0.025, 6)
        self.assertAlmostEqual(1 - trials.binomial_tail(5, 1000, high), 0.025, 6)

    def test_block_sequential_sees_a_step_that_pairs_do_not(self):
        subjects = [{"side": "a"}, {"side": "b"}]
        slow = [[k % 2, k // 4, k // 2 % 2, 10, 10000 if k < 20 else 11000, 0, 0]
                for k in range(40)]
        error = trials.trace_errors([{"subjects": subjects, "samples": slow}])[0]
        self.assertAlmostEqual(error, 0.0953, 3)


class Trials(unittest.TestCase):
    def test_a_kernel_against_itself(self):
        with tempfile.TemporaryDirectory(prefix="trial-test-", dir="/tmp") as directory:
            log = os.path.join(directory, "log")
            done = run("trial-aa", "2", "--budget", "200ms", "--log", log)
            self.assertIn("flagged: ", done.stdout, done.stderr)
            self.assertIn("A/A: 2 gates of one comparison each", done.stdout)
            self.assertEqual(len(trials.read_log(log)), 2)
            # What the log has is not measured again.
            again = run("trial-aa", "2", "--budget", "200ms", "--log", log)
            self.assertEqual(again.stdout, done.stdout)

    def test_a_planted_slowdown(self):
        busy = ["--busy"] if len(os.sched_getaffinity(0)) > 1 else []
        done = run("trial-planted", "3", "20", "--budget", "200ms", *busy)
        self.assertIn("planted 20 %: 3 gates", done.stdout, done.stderr)
        self.assertIn("beside a busy" if busy else "without a neighbour", done.stdout)
        for operation in ("standard", "depthwise", "pointwise"):
            self.assertRegex(done.stdout, rf"{operation}: median change \+\d")


if __name__ == "__main__":
    harness.main()
