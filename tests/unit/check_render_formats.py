#!/usr/bin/python3
"""Reads what test_render_formats dumps as its readers do: the XML with a parser, the HTML's elements,
the cells of the Markdown tables.

check_render_formats.py TEST
"""

import html.parser
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest
import xml.etree.ElementTree

HOSTILE = '<b>&"\'|`\\x0a\\x01\\xff\\xef\\xbf\\xbeµ]]>'
COUNTS = {"suite": (9, 0, 2), "layer": (1, 0, 0), "partial": (2, 0, 1), "wrong": (1, 1, 0),
          "hostile": (9, 0, 3), "gate": (5, 1, 2), "hostile_gate": (5, 1, 2)}
VOID = {"meta", "br"}


class Page(html.parser.HTMLParser):
    """Every element is closed where it was opened, in both of a table's dimensions."""

    def __init__(self, text):
        super().__init__()
        self.open, self.names, self.attributes, self.rows, self.text = [], set(), [], [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.names.add(tag)
        self.attributes += attrs
        if tag == "table":
            self.rows.append([])
        if tag == "tr":
            self.rows[-1].append(0)
        if tag in ("td", "th"):
            self.rows[-1][-1] += int(dict(attrs).get("colspan", 1))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.names.add(tag)
        self.attributes += attrs

    def handle_endtag(self, tag):
        last = self.open.pop()
        assert last == tag, f"</{tag}> closes <{last}> at {self.getpos()}"

    def handle_data(self, data):
        self.text.append(data)


class Formats(unittest.TestCase):
    directory = None

    def texts(self, extension):
        return {name: (self.directory / f"{name}.{extension}").read_text(encoding="utf-8")
                for name in COUNTS}.items()

    def test_junit(self):
        for name, text in self.texts("xml"):
            suites = xml.etree.ElementTree.fromstring(text.encode())
            self.assertEqual(suites.tag, "testsuites")
            (suite,) = suites
            cases = suite.findall("testcase")
            found = tuple(len(list(kind)) for kind in (
                cases, suite.iter("failure"), suite.iter("skipped")))
            self.assertEqual(found, COUNTS[name])
            for element in (suites, suite):
                said = [int(element.get(key)) for key in ("tests", "failures", "skipped", "errors")]
                self.assertEqual(said, [*found, 0])
            for element in suite.iter():
                if element.tag in ("failure", "skipped"):
                    self.assertTrue(element.get("message"))
                    self.assertEqual(element.text, element.get("message"))
                if element.get("time"):
                    self.assertGreater(float(element.get("time")), 0)
                if element.tag == "property":
                    self.assertTrue(element.get("name") and element.get("value"))
            self.assertTrue(all(case.findtext("system-out") for case in cases))
            self.assertEqual(len({(c.get("classname"), c.get("name")) for c in cases}),
                             1 if name.startswith("hostile") else len(cases))

    def test_junit_keeps_names(self):
        path = self.directory / "hostile.xml"
        suite = xml.etree.ElementTree.parse(path).getroot()[0]
        self.assertEqual(suite.get("name"), HOSTILE)
        for case in suite.findall("testcase"):
            self.assertEqual(case.get("name"), HOSTILE)
            self.assertEqual(case.get("classname"), f"{HOSTILE}.{HOSTILE}")
            properties = {p.get("name"): p.get("value") for p in case.iter("property")}
            self.assertEqual(properties["standard_kernel"], HOSTILE)

    def test_markdown(self):
        for name, text in self.texts("md"):
            self.assertNotRegex(text, r"[\x00-\x09\x0b-\x1f\x7f]")
            width, n_tables = 0, 0
            for line in text.splitlines():
                if not line.startswith("|"):
                    width = 0
                    self.assertRegex(line, r"^(### |- |</?details>$|<summary>|Machine: |$|Overall )")
                    self.assertNotRegex(re.sub(r"^</?(details|summary)>", "", line).removesuffix(
                        "</summary>"), r"[<>]|(?<!\\)[`|]")
                    continue
                cells = re.split(r"(?<!\\)\|", line)[1:-1]
                n_tables += width == 0
                width = width or len(cells)
                self.assertEqual(len(cells), width, line)
                self.assertNotRegex(line, r"[<>]|(?<!\\)`")
            self.assertEqual(n_tables, 3 if "gate" in name else 2)

    def test_html(self):
        for name, text in self.texts("html"):
            page = Page(text)
            self.assertEqual(page.open, [])
            self.assertEqual(page.names & {"script", "link", "img", "iframe", "b", "object"}, set())
            for key, value in page.attributes:
                self.assertNotIn(key, ("src", "href", "style"))
                self.assertFalse(key.startswith("on"), key)
                self.assertNotIn("://", value or "")
            self.assertNotIn("url(", text)
            for rows in page.rows:
                self.assertEqual(len(set(rows)), 1, rows)
            if name.startswith("hostile"):
                self.assertIn(HOSTILE[:20], "".join(page.text))


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as dumped:
        subprocess.run([sys.argv.pop(1), "--dump", dumped], check=True, stdout=subprocess.DEVNULL)
        Formats.directory = pathlib.Path(dumped)
        unittest.main()
