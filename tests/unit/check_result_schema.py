#!/usr/bin/python3
"""Validates the documents of the result tests against docs/result.schema.json.

check_result_schema.py SCHEMA TEST_RESULT... Every document must pass, and every document that is then
damaged on purpose must fail: a schema that takes anything would be no schema. Exit 77 = skipped.
"""

import copy
import json
import pathlib
import subprocess
import sys
import tempfile

try:
    import jsonschema
except ImportError:
    print("skipped: python3-jsonschema is not installed")
    sys.exit(77)


def drop(path):
    def damage(document):
        *parents, key = path
        for step in parents:
            document = document[step]
        del document[key]

    return damage


def put(path, value):
    def damage(document):
        *parents, key = path
        for step in parents:
            document = document[step]
        document[key] = value

    return damage


ENTRY = ("results", 0)
STANDARD = ENTRY + ("operations", "standard")
CYCLES = STANDARD + ("counters", "cycles")
DAMAGES = [
    put(("schema",), "dwbench.result/2"),
    put(("results",), []),
    put(("surplus",), 1),
    drop(("environment",)),
    drop(("theory_ratio",)),
    drop(("job", "options")),
    drop(("job", "measuring", "replicates")),
    put(("job", "measuring", "share"), 1.5),
    put(ENTRY + ("measuring", "share"), None),
    drop(ENTRY + ("measuring",)),
    drop(ENTRY + ("ratio",)),
    put(ENTRY + ("verdict",), "good"),
    put(ENTRY + ("verdict",), "unstable"),
    put(ENTRY + ("why",), ""),
    put(ENTRY + ("threads",), 2),
    put(ENTRY + ("dropped_share",), 1.5),
    put(ENTRY + ("layer", "N"), 0),
    put(ENTRY + ("layer", "N"), False),
    drop(ENTRY + ("theory", "executed")),
    put(ENTRY + ("theory", "surplus"), 1),
    put(ENTRY + ("theory", "executed", "surplus"), 1),
    drop(ENTRY + ("operations", "pointwise")),
    put(ENTRY + ("operations", "winograd"), {}),
    put(STANDARD + ("time_ns", "floor"), -1),
    put(STANDARD + ("time_ns", "floor"), None),
    put(STANDARD + ("time_ns", "floor"), "4 ms"),
    put(CYCLES + ("value",), 12),
    put(CYCLES + ("reason",), ""),
    put(CYCLES + ("source",), "guessed"),
    put(ENTRY + ("ratio", "cycles", "value"), 0.1),
    drop(ENTRY + ("ratio", "cache_misses")),
    put(ENTRY + ("ratio", "time", "ci_low"), None),
    put(ENTRY + ("ratio", "time", "confidence"), 0.95),
    put(ENTRY + ("explain", "bounds", "depthwise", "kind"), "latency"),
    drop(ENTRY + ("explain", "bounds", "separable")),
    drop(ENTRY + ("explain", "bounds", "depthwise", "attained_gbps")),
    put(ENTRY + ("verification", "ok"), "yes"),
    put(ENTRY + ("machine", "canary", "floor_ns"), "fast"),
    put(ENTRY + ("best_separable",), "standard"),
    drop(ENTRY + ("saving_delivered_best",)),
]
SIMULATED = STANDARD + ("simulated", "counters", "instructions")
SIMULATION_DAMAGES = [
    drop(STANDARD + ("simulated", "kernel")),
    put(SIMULATED + ("value",), 1.5),
    put(SIMULATED + ("source",), "hardware"),
    put(ENTRY + ("simulation", "ratio", "instructions", "source"), "derived"),
    put(ENTRY + ("simulation", "ratio", "instructions", "value"), None),
    put(ENTRY + ("simulation", "ratio", "cycles"), 1),
    drop(ENTRY + ("simulation", "geometry", "LL")),
]


def main(damages, n_documents_min):
    """damages: (name of a document, what damages it) each."""
    schema_path, *tests = sys.argv[1:]
    schema = json.loads(pathlib.Path(schema_path).read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    failures = 0
    with tempfile.TemporaryDirectory() as directory:
        for test in tests:
            subprocess.run([test, "--dump", directory], check=True, stdout=subprocess.DEVNULL)
        documents = {
            path.stem: json.loads(path.read_text())
            for path in sorted(pathlib.Path(directory).glob("*.json"))
        }
    if len(documents) < n_documents_min:
        print(f"only {len(documents)} documents")
        failures += 1
    for name, document in documents.items():
        for error in validator.iter_errors(document):
            print(f"{name}: {error.json_path}: {error.message[:200]}")
            failures += 1
    for i, (name, damage) in enumerate(damages):
        document = copy.deepcopy(documents[name])
        damage(document)
        if validator.is_valid(document):
            print(f"damage {i} was not noticed")
            failures += 1
    print(f"{len(documents)} documents, {len(damages)} damaged ones, {failures} failures")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main([("quiet", damage) for damage in DAMAGES]
                  + [("simulated", damage) for damage in SIMULATION_DAMAGES], 10))
