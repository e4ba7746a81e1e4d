"""Users' own kernels: what a daemon takes, what each kind of bad plugin becomes, what the report
shows, and that the documented way to build one works against the installed header.

Beside what harness.py takes from the environment: DWB_CTL, DWB_PLUGINS (the directory of the bad
plugins), DWB_EXAMPLE (the example's shared object), DWB_BUILD_ROOT (to install from).
"""

import csv
import io
import json
import os
import shutil
import subprocess
import tempfile
import unittest

import harness
from harness import LOOP, SOURCE_ROOT, WORKER, Daemon, measures

CTL = os.environ["DWB_CTL"]
BAD = os.environ["DWB_PLUGINS"]
EXAMPLE = os.environ["DWB_EXAMPLE"]
BUILD_ROOT = os.environ["DWB_BUILD_ROOT"]
SHAPE = "Dk=3,Dx=8,M=4,N=4,name=tiny"
LAYER = {"name": "tiny", "Dk": 3, "Dx": 8, "M": 4, "N": 4, "budget": "100ms", "replicates": 1}
QUICK = ["--budget", "1s", "--replicates", "4", "--precision", "50%"]

# plugin -> what the job's reason must hold besides the plugin's name, replicates that are tried
FAILURES = {
    "crash_at_load": (["killed by SIGSEGV", "died in the loading of the plugin"], 3),
    "crash_in_pack": (["killed by SIGSEGV", "died in pack() of the standard kernel"], 3),
    "crash": (["killed by SIGSEGV", "died in run() of the standard kernel slow_standard"], 3),
    "stack": (["killed by SIGSEGV", "died in run()"], 3),
    "overrun": (["killed by SIGSEGV", "died in run()"], 3),
    "illegal": (["killed by SIG", "died in run()"], 3),  # SIGTRAP on ARM
    "aborts": (["killed by SIGABRT", "died in run()"], 3),
    "exits": (["exit status 1", "exit was called in run() of the standard kernel"], 3),
    "exits_hard": (["ended without a record"], 3),
    "hangs": (["did not end before its deadline"], 3),
    "wrong_abi": (["speaks version 99 of the interface"], 3),
    "no_symbol": (["no function dwbench_plugin"], 3),
    "huge_pack": (["bytes in packed_bytes()"], 3),
    "wrong": (["outputs wrong", "separable of plugin:wrong", "positions past the tolerance"], 1),
    "writes_nan": (["outputs wrong", "separable of plugin:writes_nan"], 1),
    "forgets": (["outputs wrong", "separable of plugin:forgets"], 1),
}


def was_measured(time):
    """Of a figure with a floor. On a busy machine every sample may be dropped, and that is said."""
    return (time["floor"] or 0) > 0 or "dropped" in time.get("reason", "")


def put(name, directory, mode=0o755):
    path = os.path.join(directory, os.path.basename(name))
    shutil.copyfile(name, path)
    os.chmod(path, mode)
    return path


class Case(unittest.TestCase):
    def setUp(self):
        self.dir = tempfile.mkdtemp(prefix="plugin-", dir="/tmp")
        self.addCleanup(shutil.rmtree, self.dir, ignore_errors=True)
        self.plugins = os.path.join(self.dir, "plugins")
        os.mkdir(self.plugins, 0o755)
        os.chmod(self.plugins, 0o755)

    def put(self, name, mode=0o755):
        return put(os.path.join(BAD, name + ".so"), self.plugins, mode)

    def refused(self, daemon, plugin, code, *texts):
        response = daemon.post({**LAYER, "plugin": plugin})
        self.assertEqual((response.status, response.json["code"]), (422, code), response.text)
        for text in texts:
            self.assertIn(text, response.json["detail"])
        self.assertEqual(response.json["errors"][0]["field"], "plugin")


class Doors(Case):
    """What is refused before anything runs."""

    def test_without_a_directory(self):
        with Daemon() as daemon:
            self.refused(daemon, "mine.so", "plugins_off", "plugin_dir")
            self.assertFalse(daemon.get("/v1/info").json["plugins"]["enabled"])
            self.assertEqual(daemon.requests(), [])

    def test_a_name_and_never_a_path(self):
        with Daemon(config={"plugin_dir": self.plugins}) as daemon:
            for name in ("../mine.so", "/tmp/mine.so", "./mine.so", "mine", ".so", "a.so,b.so,c.so",
                         "mine.so\n", "mine.so,mine.so"):
                response = daemon.post({**LAYER, "plugin": name})
                self.assertEqual((response.status, response.json["code"]),
                                 (400, "invalid_document"), name)
                self.assertIn("no directory", response.json["errors"][0]["message"])

    def test_what_the_directory_holds(self):
        self.put("good")
        self.put("picky", 0o775)
        with Daemon(config={"plugin_dir": self.plugins}) as daemon:
            self.refused(daemon, "mine.so", "plugin_not_available", "there is no mine.so",
                         "there are: good.so, picky.so")
            self.refused(daemon, "good.so,picky.so", "plugin_not_available",
                         "picky.so is writable by others")
            info = daemon.get("/v1/info").json["plugins"]
            self.assertTrue(info["enabled"])
            self.assertEqual([(f["name"], f["available"]) for f in info["files"]],
                             [("good.so", True), ("picky.so", False)])
            doctor = subprocess.run([CTL, "doctor", "--socket", daemon.socket],
                                    capture_output=True, text=True, timeout=60)
            self.assertRegex(doctor.stdout, r"plugin: good\.so")
            self.assertIn("picky.so is writable by others", doctor.stdout)
            os.chmod(self.plugins, 0o777)
            self.refused(daemon, "good.so", "plugin_not_available",
                         "directory of plugins is writable by others")
            self.assertIn("writable", daemon.get("/v1/info").json["plugins"]["reason"])
            self.assertEqual(daemon.requests(), [])


class Races(Case):
    """Real workers."""

    def daemon(self, **limits):
        return Daemon(worker=WORKER, config={"plugin_dir": self.plugins, "limits": limits})

    def test_each_bad_plugin_fails_its_job_by_name(self):
        for name in FAILURES:
            self.put(name)
        with self.daemon(worker_deadline="3s") as daemon:
            for name, (texts, n_tries) in FAILURES.items():
                with self.subTest(plugin=name):
                    job = daemon.submit({**LAYER, "plugin": name + ".so"})
                    events = daemon.events(job, timeout=90)
                    ended = daemon.job(job)
                    self.assertEqual(ended["state"], "failed", ended)
                    for text in [name, *texts]:
                        self.assertIn(text, ended["reason"])
                    self.assertTrue(ended["reason"].isprintable())
                    tries = [e["ok"] for e in events if e["event"] == "replicate"]
                    self.assertEqual(tries, [False] * n_tries)
            self.assertEqual(daemon.get("/healthz").status, 200)

    @measures
    def test_two_plugins_beside_ours(self):
        self.put("good")
        put(EXAMPLE, self.plugins)
        with self.daemon() as daemon:
            job = daemon.submit({**LAYER, "plugin": "mine.so,good.so"})
            self.assertEqual(daemon.wait_state(job, "done", "failed")["state"], "done")
            document = daemon.get(f"/v1/jobs/{job}/result").json
        self.assertEqual(document["job"]["options"]["plugin"], "mine.so,good.so")
        native, mine, good = document["results"]
        self.assertEqual([native["backend"], mine["backend"], good["backend"]],
                         ["native", "plugin:mine", "plugin:good"])
        self.assertEqual(document["environment"]["plugins"],
                         {"plugin:mine": "mine 1.0", "plugin:good": "bad 0.1"})
        self.assertTrue(all(e["verification"]["ok"] for e in document["results"]))
        self.assertTrue(was_measured(good["native_speedup"]["standard"]))
        self.assertEqual(good["operations"]["standard"]["kernel"], "slow_standard")
        self.assertEqual(good["operations"]["standard"]["isa"], "portable")
        if good["operations"]["standard"]["time_ns"]["floor"]:  # there is a peak of that ISA, too
            self.assertGreater(good["operations"]["standard"]["percent_of_peak"], 0)
        self.assertTrue(was_measured(good["ratio"]["time"]))
        self.assertEqual(mine["operations"]["standard"]["reason"],
                         "the plugin has no standard kernel")
        self.assertIsNone(mine["operations"]["standard"]["time_ns"]["floor"])
        self.assertIsNotNone(mine["operations"]["separable"]["kernel"])
        self.assertTrue(was_measured(mine["native_speedup"]["separable"]))

    @measures
    def test_a_depthwise_or_a_pointwise_alone(self):
        """Few channels, many processes: an intermediate of one backend beside another's output."""
        for name in ("only_depthwise", "only_pointwise"):
            self.put(name)
        with self.daemon() as daemon:
            job = daemon.submit({**LAYER, "plugin": "only_depthwise.so,only_pointwise.so",
                                 "replicates": 20, "budget": "400ms"})
            ended = daemon.wait_state(job, "done", "failed", timeout=120)
            self.assertEqual(ended["state"], "done", ended)
            native, *plugins = daemon.get(f"/v1/jobs/{job}/result").json["results"]
        self.assertTrue(was_measured(native["ratio"]["time"]))
        for entry, operation in zip(plugins, ("depthwise", "pointwise")):
            self.assertTrue(entry["verification"]["ok"])
            for name, figures in entry["operations"].items():
                if name == operation:
                    self.assertIsNotNone(figures["kernel"])
                    self.assertTrue(was_measured(entry["native_speedup"][name]))
                else:
                    self.assertRegex(figures["reason"], r"^the plugin has no \w+ kernel$")
            self.assertRegex(entry["ratio"]["time"]["reason"], "the plugin has no standard kernel")

    @measures
    def test_metrics_stay_those_of_dwbench(self):
        put(EXAMPLE, self.plugins)
        layer = {"name": "dws7", "Dk": 3, "Dx": 14, "M": 512, "N": 512}
        suite = {"name": "mobilenet_v1", "layers": [layer], "replicates": 2, "budget": "1s"}
        with self.daemon() as daemon:
            job = daemon.submit({**suite, "plugin": "mine.so"})
            self.assertEqual(daemon.wait_state(job, "done", "failed", timeout=120)["state"], "done")
            [native, _] = daemon.get(f"/v1/jobs/{job}/result").json["results"]
            floor = native["ratio"]["time"]["floor"]
            shown = [round(value, 4) for name, value in daemon.metrics().items()
                     if name.startswith("dwbench_layer_ratio_measured{")]
            # what was not measured (every sample was dropped) is not on the page
            self.assertEqual(shown, [round(floor, 4)] if floor else [])

    def test_a_layer_that_the_plugin_does_not_take(self):
        self.put("picky")
        suite = {"name": "s", "replicates": 1, "budget": "100ms", "plugin": "picky.so",
                 "defaults": {"Dx": 9, "M": 4, "N": 4},
                 "layers": [{"name": "three", "Dk": 3}, {"name": "seven", "Dk": 7}]}
        with self.daemon() as daemon:
            job = daemon.submit(suite)
            self.assertEqual(daemon.wait_state(job, "done", "failed")["state"], "done")
            entries = [e for e in daemon.get(f"/v1/jobs/{job}/result").json["results"]
                       if e["backend"] == "plugin:picky"]
        three, seven = entries
        self.assertEqual(three["operations"]["standard"]["reason"],
                         "the plugin's standard kernels do not take this layer")
        self.assertIsNone(three["ratio"]["time"]["floor"])
        self.assertIsNotNone(seven["operations"]["standard"]["kernel"])

    def test_a_forced_isa_takes_kernels_of_that_one_only(self):
        self.put("good")
        with self.daemon() as daemon:
            for isa, there in (("portable", True), ("avx2", False), ("neon", False)):
                response = daemon.post({**LAYER, "plugin": "good.so", "isa": isa})
                if response.status == 422:  # the machine itself lacks it
                    continue
                ended = daemon.wait_state(response.json["id"], "done", "failed")
                if ended["state"] == "failed":  # the same, before the probe had answered
                    self.assertIn("lacks it", ended["reason"])
                    continue
                entry = daemon.get(f"/v1/jobs/{ended['id']}/result").json["results"][1]
                operation = entry["operations"]["standard"]
                self.assertEqual(operation["kernel"] is not None, there)
                if not there:
                    self.assertEqual(operation["reason"],
                                     f"the plugin has no standard kernel of isa {isa}")

    def test_a_job_that_waits_for_a_directory_that_is_gone(self):
        self.put("good")
        with self.daemon() as daemon:
            job = daemon.submit({**LAYER, "replicates": 1000, "budget": "20s", "plugin": "good.so"})
            daemon.wait_state(job, "running")
            daemon.stop()
            with open(daemon.config_path, "w") as stream:
                json.dump({"drain_timeout": "1s"}, stream)
            daemon.start()
            ended = daemon.wait_state(job, "failed", "done")
            self.assertEqual(ended["state"], "failed")
            self.assertIn("plugin_dir", ended["reason"])


@unittest.skipIf(LOOP == "epoll", "the client's part does not depend on the loop")
class Client(Case):
    def setUp(self):
        super().setUp()
        self.env = {**os.environ, "TMPDIR": self.dir, "LC_ALL": "C.UTF-8", "COLUMNS": "200"}
        self.env.pop("XDG_RUNTIME_DIR", None)

    def ctl(self, *arguments, code=0, stdin=""):
        done = subprocess.run([CTL, *arguments], input=stdin, capture_output=True, text=True,
                              env=self.env, cwd=self.dir, timeout=120)
        # 5: the machine was so busy that a ratio is missing, which is no matter of this file's
        self.assertIn(done.returncode, (code,) if code else (0, 5), done.stdout + done.stderr)
        return done

    @measures
    def test_run_takes_a_file(self):
        put(EXAMPLE, self.dir, 0o664)  # as a umask of 002 leaves it: the daemon gets a copy
        done = self.ctl("run", "--layer", SHAPE, "--plugin", "./mine.so", *QUICK)
        self.assertIn("tiny plugin:mine", done.stdout)
        self.assertIn("its time / native's: standard -", done.stdout)
        self.assertIn("no ratio: standard: the plugin has no standard kernel", done.stdout)
        self.assertNotIn("not counted: task_clock", done.stdout)
        self.assertEqual(sorted(os.listdir(self.dir)), ["mine.so", "plugins"])

    def test_two_of_one_name_and_csv(self):
        other = os.path.join(self.dir, "other")
        os.mkdir(other)
        put(EXAMPLE, self.dir)
        shutil.copyfile(os.path.join(BAD, "good.so"), os.path.join(other, "mine.so"))
        done = self.ctl("run", "--layer", SHAPE, "--plugin", "mine.so", "--plugin",
                        "other/mine.so", "--format", "csv", *QUICK)
        rows = list(csv.DictReader(io.StringIO(done.stdout)))
        self.assertEqual([row["backend"] for row in rows],
                         ["native", "plugin:mine", "plugin:mine-2"])

    def test_what_is_said_before_anything_starts(self):
        put(os.path.join(BAD, "good.so"), self.dir)
        with open(os.path.join(self.dir, "text.so"), "w") as stream:
            stream.write("int main;")
        shutil.copyfile(os.path.join(self.dir, "good.so"), os.path.join(self.dir, "go od.so"))
        for plugins, text in ((["none.so"], "none.so: No such file"),
                              (["text.so"], "text.so is not an ELF file"),
                              (["plugins"], "plugins is not a file"),
                              (["go od.so"], "letters, digits, dots"),
                              ([CTL], "file name"),
                              (["good.so"] * 3, "at most 2 plugins")):
            flags = [word for plugin in plugins for word in ("--plugin", plugin)]
            done = self.ctl("run", "--layer", SHAPE, *flags, code=2)
            self.assertIn(text, done.stderr)
            self.assertEqual(done.stdout, "")
        document = json.dumps({**LAYER, "plugin": "good.so"})
        self.assertIn("--plugin PATH/good.so", self.ctl("run", "-", code=2, stdin=document).stderr)
        self.assertIn("no directory", self.ctl("submit", "--layer", SHAPE, "--plugin", "./good.so",
                                               code=2).stderr)

    def test_wrong_outputs_and_crashes_have_their_exit_status(self):
        for name, text in (("wrong", "outputs wrong"), ("crash", "killed by SIGSEGV")):
            plugin = os.path.join(BAD, name + ".so")
            done = self.ctl("run", "--layer", SHAPE, "--plugin", plugin, *QUICK, code=4)
            self.assertIn(text, done.stderr)
            self.assertIn(name, done.stderr)

    def test_submit_sends_a_name(self):
        self.put("good")
        with Daemon(worker=WORKER, config={"plugin_dir": self.plugins}) as daemon:
            done = self.ctl("submit", "--socket", daemon.socket, "--layer", SHAPE, "--plugin",
                            "good.so", "--wait", "--format", "json", *QUICK)
            self.assertEqual([e["backend"] for e in json.loads(done.stdout)["results"]],
                             ["native", "plugin:good"])
            done = self.ctl("submit", "--socket", daemon.socket, "--layer", SHAPE, "--plugin",
                            "mine.so", code=2)
            self.assertIn("there are: good.so", done.stderr)

    @measures
    def test_the_documented_way_to_build_one(self):
        """Installed header, one line of cc, warnings as errors; C99 and C++ take the header too."""
        root = os.path.join(self.dir, "root")
        subprocess.run(["meson", "install", "-C", BUILD_ROOT,
                        "--no-rebuild", "--tags", "devel", "--destdir", root], check=True,
                       stdout=subprocess.DEVNULL, timeout=120)
        [prefix] = [path for path, names, _ in os.walk(root) if "include" in names]
        include = os.path.join(prefix, "include")
        source = os.path.join(SOURCE_ROOT, "examples", "plugin", "mine.c")
        plugin = os.path.join(self.dir, "mine.so")
        subprocess.run(["cc", "-O3", "-march=native", "-fPIC", "-shared", "-Wall", "-Wextra",
                        "-Werror", "-I", include, source, "-o", plugin], check=True, timeout=120)
        for compiler in (["cc", "-std=c99", "-xc"], ["c++", "-std=c++11", "-xc++"]):
            if shutil.which(compiler[0]):
                subprocess.run([*compiler, "-pedantic", "-Wall", "-Wextra", "-Werror",
                                "-fsyntax-only", "-I", include, "-"],
                               input=b"#include <dwbench/kernel.h>\n", check=True, timeout=60)
        # every tail: maps and channels that are no multiple of anything, strides, paddings
        for shape in ("Dk=3,Dx=13,M=33,N=35", "Dk=5,Dx=7,M=3,N=2,stride=2",
                      "Dk=2,Dx=6,M=31,N=65,padding=valid", "Dk=7,Dx=5,M=16,N=32,stride=3"):
            done = self.ctl("run", "--layer", shape, "--plugin", plugin, "--format", "json", *QUICK)
            entry = json.loads(done.stdout)["results"][1]
            self.assertEqual(entry["backend"], "plugin:mine")
            self.assertTrue(entry["verification"]["ok"])
            self.assertTrue(was_measured(entry["native_speedup"]["separable"]))


if __name__ == "__main__":
    harness.main()
