"""The command line and the configuration: what is wrong is said at once, with its place."""

import os
import re
import subprocess
import tempfile
import unittest

import harness

SHIPPED = os.path.join(harness.SOURCE_ROOT, "configs", "dwbenchd.yaml")


def run(*arguments, env=None):
    return subprocess.run([harness.DAEMON, *arguments], capture_output=True, text=True, timeout=20,
                          env=env)


def check(text):
    with tempfile.NamedTemporaryFile("w", dir="/tmp", prefix="daemon-test-") as stream:
        stream.write(text)
        stream.flush()
        done = run("--check-config", "--config", stream.name)
        return done, done.stderr.replace(stream.name, "FILE")


class Options(unittest.TestCase):
    def test_help_and_version(self):
        for option in ("--help", "--version"):
            done = run(option)
            self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertRegex(run("--version").stdout, r"^dwbenchd \d+\.\d+\.\d+\n$")
        for option in ("--config", "--socket", "--state-dir", "--check-config", "--loop",
                       "--worker", "--log-level"):
            self.assertIn(option, run("--help").stdout)

    def test_bad_options(self):
        for arguments in (["--frobnicate"], ["extra"], ["--config"], ["--loop", "kqueue"],
                          ["--socket", "relative"], ["--log-level", "loud"],
                          ["--measure-cpu", "x"], ["--config", "/does/not/exist"]):
            done = run(*arguments)
            self.assertEqual(done.returncode, 2, arguments)
            self.assertNotEqual(done.stderr, "", arguments)
            self.assertEqual(done.stdout, "")

    def test_the_shipped_configuration(self):
        done = run("--check-config", "--config", SHIPPED)
        self.assertEqual((done.returncode, done.stderr), (0, ""))

    def test_all_findings_with_their_places(self):
        done, errors = check("socket: relative\nloop: kqueue\nfrob: 1\nquotas:\n"
                             "  connections_per_uid: 0\n  what: 2\nlimits: 7\nadmins: [root, -1]\n"
                             "http: {body_max: 1TiB, header_deadline: soon}\nsocket_mode: 999\n")
        self.assertEqual(done.returncode, 2)
        for place in ("1:9: socket", "2:7: loop", "3:7: frob", "5:24: quotas.connections_per_uid",
                      "6:9: quotas.what", "7:9: limits", "8:10: admins", "8:16: admins",
                      "9:18: http.body_max", "http.header_deadline", "10:14: socket_mode"):
            self.assertIn(place, errors)
        self.assertEqual(len(re.findall("^FILE:", errors, re.M)), 11, errors)

    def test_broken_yaml_and_big_files(self):
        for text in ("a: [", "a: &x 1\nb: *x\n", "- 1\n", "x: 1\nx: 2\n", "#" * 70000):
            done, errors = check(text)
            self.assertEqual((done.returncode, done.stdout), (2, ""), text[:20])
            self.assertIn("FILE", errors)

    def test_nowhere_to_keep_state(self):
        if os.getuid() == 0:
            self.skipTest("root has /var/lib")
        done = run("--worker", harness.FAKE_WORKER, env={"XDG_RUNTIME_DIR": "/tmp"})
        self.assertEqual(done.returncode, 2)
        self.assertIn("state_dir", done.stderr)

    def test_what_is_missing_is_named(self):
        with tempfile.TemporaryDirectory(dir="/tmp", prefix="daemon-test-") as directory:
            place = ["--allow-root", "--socket", directory + "/s", "--state-dir", directory + "/state"]
            for arguments, word in ((["--worker", "/does/not/exist"], "worker"),
                                    (["--worker", harness.FAKE_WORKER, "--measure-cpu", "4000"],
                                     "measure_cpu"),
                                    (["--worker", harness.FAKE_WORKER, "--state-dir",
                                      "/proc/x/y"], "state_dir")):
                done = run(*place, *arguments)
                self.assertEqual(done.returncode, 2, arguments)
                self.assertIn(word, done.stderr)
                self.assertFalse(os.path.exists(directory + "/s"))


if __name__ == "__main__":
    harness.main()
