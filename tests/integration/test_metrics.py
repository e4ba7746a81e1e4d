"""GET /metrics in both formats: promtool finds nothing, a strict reader of OpenMetrics neither."""

import os
import re
import shutil
import subprocess
import unittest

import harness
from harness import TINY, Daemon, wait_for

TEXT = "text/plain; version=0.0.4; charset=utf-8"
OPEN = "application/openmetrics-text; version=1.0.0; charset=utf-8"
SUITE = os.path.join(harness.SOURCE_ROOT, "configs", "suites", "mobilenet_v1.yaml")

LABEL = r'[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\["\\n])*"'
SAMPLE = re.compile(rf'^([a-zA-Z_][a-zA-Z0-9_]*)(\{{(?:{LABEL}(?:,{LABEL})*)?\}})? '
                    r'(-?[0-9.]+(?:e[+-]?[0-9]+)?|[+-]Inf|NaN)$')
SUFFIXES = {"counter": {"_total"}, "gauge": {""}, "info": {"_info"},
            "histogram": {"_bucket", "_sum", "_count"}}


def check_openmetrics(text):
    """The rules of the OpenMetrics 1.0.0 text format that a page of this kind can break."""
    assert text.endswith("# EOF\n") and text.count("# EOF") == 1
    families, family, seen = {}, None, set()
    for line in text.splitlines()[:-1]:
        assert line and line == line.strip(), line
        if line.startswith("# "):
            kind, name, rest = line[2:].split(" ", 2)
            assert kind in ("HELP", "TYPE", "UNIT"), line
            if name != family:
                assert name not in families, "interleaved: " + name
                family = name
                families[name] = {}
            assert kind not in families[name], line
            families[name][kind] = rest
            continue
        match = SAMPLE.match(line)
        assert match, line
        name, labels, value = match.groups()
        kind = families[family]["TYPE"]
        suffix = name[len(family):]
        assert name.startswith(family) and suffix in SUFFIXES[kind], line
        assert (name, labels) not in seen, line
        seen.add((name, labels))
        if kind in ("counter", "histogram", "info"):
            assert float(value) >= 0, line
    for name, family in families.items():
        assert set(family) >= {"HELP", "TYPE"}, name
        assert not name.endswith(("_total", "_info", "_count", "_sum", "_bucket")), name
        if "UNIT" in family:
            assert name.endswith("_" + family["UNIT"]), name
        else:
            assert not name.endswith(("_seconds", "_bytes")), name
    check_histograms(families, text)
    return families


def check_histograms(families, text):
    for name in (name for name, family in families.items() if family["TYPE"] == "histogram"):
        series = {}
        for labels, bound, value in re.findall(
                rf'^{name}_bucket{{(.*?),?le="([^"]*)"}} (\S+)$', text, re.M):
            series.setdefault(labels, []).append((float(bound), float(value)))
        for labels, buckets in series.items():
            assert buckets == sorted(buckets), "bounds rise, and so do the counts"
            assert [n for _, n in buckets] == sorted(n for _, n in buckets)
            assert buckets[-1][0] == float("inf")
            [count] = re.findall(rf'^{name}_count{{{re.escape(labels)}}} (\S+)$', text, re.M)
            assert float(count) == buckets[-1][1]


class Metrics(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.daemon = Daemon().start()
        wait_for(lambda: cls.daemon.get("/v1/info").json["machine"])
        cls.daemon.wait_state(cls.daemon.submit(), "done")
        cls.daemon.set_mode("wrong")
        cls.daemon.wait_state(cls.daemon.submit(), "failed")
        cls.daemon.set_mode("ok")
        with open(SUITE) as stream:
            cls.suite = stream.read() + "\nbudget: 200ms\nreplicates: 2\n"
        cls.daemon.wait_state(cls.daemon.submit(cls.suite), "done", timeout=60)
        cls.daemon.get("/nothing")
        cls.daemon.request("BREW", "/v1/info")

    @classmethod
    def tearDownClass(cls):
        cls.daemon.finish()

    def test_promtool_finds_nothing(self):
        if not shutil.which("promtool"):
            self.skipTest("promtool is not installed")
        page = self.daemon.get("/metrics")
        self.assertEqual(page.headers["Content-Type"], TEXT)
        done = subprocess.run(["promtool", "check", "metrics"], input=page.body,
                              capture_output=True)
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, b"", b""))

    def test_openmetrics(self):
        page = self.daemon.get("/metrics", headers={"Accept": "application/openmetrics-text"})
        self.assertEqual(page.headers["Content-Type"], OPEN)
        families = check_openmetrics(page.text)
        for name in ("dwbench_jobs", "dwbench_queue_depth", "dwbench_replicates",
                     "dwbench_worker_failures", "dwbench_http_requests",
                     "dwbench_http_request_duration_seconds", "dwbench_layer_ratio_measured",
                     "dwbench_layer_ratio_theory", "dwbench_counters_available",
                     "dwbench_loop_backend", "dwbench_build", "process_start_time_seconds",
                     "process_resident_memory_bytes", "process_open_fds"):
            self.assertIn(name, families)

    def test_the_reader_is_strict(self):
        """It has to refuse what breaks the rules, or the test above says nothing."""
        good = self.daemon.get("/metrics", headers={"Accept": "application/openmetrics-text"}).text
        for broken in (good.replace("# EOF\n", ""), good.replace("# EOF\n", "\n# EOF\n"),
                       good.replace("TYPE dwbench_replicates ", "TYPE dwbench_replicates_total "),
                       good.replace("dwbench_replicates_total ", "dwbench_replicates "),
                       good.replace("UNIT process_resident_memory_bytes bytes",
                                    "UNIT process_resident_memory_bytes kilobytes"),
                       good.replace('le="+Inf"', 'le="2"'), good.replace('"} 1', '} 1'),
                       good.replace("# EOF", "dwbench_queue_depth 1\n# EOF")):
            self.assertNotEqual(broken, good)
            with self.assertRaises(Exception):
                check_openmetrics(broken)

    def test_negotiation(self):
        prometheus = ("application/openmetrics-text;version=1.0.0,application/openmetrics-text;"
                      "version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1")
        for accept, expected in ((None, TEXT), ("*/*", TEXT), ("text/plain", TEXT), ("", TEXT),
                                 (prometheus, OPEN), ("application/openmetrics-text", OPEN),
                                 ("application/openmetrics-text;q=0.1,text/plain;q=0.9", TEXT),
                                 ("application/openmetrics-text;q=0", TEXT),
                                 ("text/plain, APPLICATION/OPENMETRICS-TEXT ; Q=1", OPEN),
                                 ("application/openmetrics-textual", TEXT), (",;q=,", TEXT)):
            headers = {} if accept is None else {"Accept": accept}
            self.assertEqual(self.daemon.get("/metrics", headers=headers).headers["Content-Type"],
                             expected, accept)

    def test_values(self):
        metrics = self.daemon.metrics()
        n_done = len(self.daemon.get("/v1/jobs?state=done").json["jobs"])
        self.assertGreaterEqual(n_done, 2)
        self.assertEqual(metrics['dwbench_jobs{state="done"}'], n_done)
        self.assertEqual(metrics['dwbench_jobs{state="failed"}'], 1)
        self.assertEqual(metrics["dwbench_queue_depth"], 0)
        n_layers = self.suite.count("{name: dws")
        self.assertGreaterEqual(metrics["dwbench_replicates_total"], 4 + 2 * n_layers)
        self.assertEqual(metrics['dwbench_worker_failures_total{reason="wrong_outputs"}'], 1)
        self.assertEqual(metrics['dwbench_counters_available{counter="cycles"}'], 0)
        self.assertEqual(metrics['dwbench_counters_available{counter="task_clock"}'], 1)
        self.assertEqual(
            metrics['dwbench_counters_outcome{counter="cycles",outcome="no_pmu"}'], 1)
        self.assertEqual(
            metrics['dwbench_counters_outcome{counter="task_clock",outcome="counted"}'], 1)
        self.assertGreaterEqual(
            metrics['dwbench_http_requests_total{route="/v1/jobs",method="POST",code="202"}'], 3)
        self.assertGreaterEqual(
            metrics['dwbench_http_requests_total{route="other",method="GET",code="404"}'], 1)
        self.assertEqual(
            metrics['dwbench_http_requests_total{route="/v1/info",method="other",code="405"}'], 1)
        backend = self.daemon.get("/v1/info").json["loop"]["backend"]
        self.assertEqual(metrics[f'dwbench_loop_backend{{backend="{backend}"}}'], 1)
        if harness.LOOP == "denied":
            self.assertEqual(backend, "epoll")
            self.assertEqual(metrics['dwbench_loop_fallback{error="EPERM"}'], 1)
        elif harness.LOOP in ("uring", "epoll"):
            self.assertFalse([name for name in metrics if "loop_fallback" in name])
        self.assertGreater(metrics["process_start_time_seconds"], 1.6e9)
        self.assertLess(metrics["process_resident_memory_bytes"], 1 << 30)

    def ratios(self, daemon, kind="measured"):
        prefix = f"dwbench_layer_ratio_{kind}{{"
        return {name[len(prefix):-1]: value for name, value in daemon.metrics().items()
                if name.startswith(prefix)}

    def test_ratios_of_shipped_layers_only(self):
        measured, theory = self.ratios(self.daemon), self.ratios(self.daemon, "theory")
        self.assertEqual(set(measured), set(theory))
        self.assertGreater(len(measured), 5)
        for series, value in measured.items():
            self.assertIn('suite="mobilenet_v1"', series)
            self.assertAlmostEqual(value, 1.15 / 8, delta=0.01)
        other = {"name": "mobilenet_v1", "replicates": 2, "budget": "200ms",
                 "defaults": {"Dk": 3, "Dx": 8, "M": 4, "N": 4},
                 "layers": [{"name": "dws1"}, {"name": "mine"}]}
        self.daemon.wait_state(self.daemon.submit(other), "done")
        self.assertEqual(self.ratios(self.daemon), measured)
        self.assertLessEqual(len(measured) + len(theory), 100)

    def test_ratios_outlive_a_restart(self):
        with Daemon() as daemon:
            daemon.wait_state(daemon.submit(self.suite), "done", timeout=60)
            before = self.ratios(daemon)
            self.assertTrue(before)
            daemon.stop()
            daemon.start()
            self.assertEqual(self.ratios(daemon), before)

    def test_clients_cannot_grow_the_page(self):
        def n_series():
            return len(self.daemon.metrics())
        self.daemon.get("/x0")
        before = n_series()
        for i in range(50):
            self.daemon.get(f"/x{i}")
            self.daemon.request(f"M{i}", "/nothing")
            self.daemon.get("/v1/jobs/" + f"{i:020}")
        self.assertLessEqual(n_series() - before, 2 + 2 + 14)


if __name__ == "__main__":
    harness.main()
