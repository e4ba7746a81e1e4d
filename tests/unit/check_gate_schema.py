#!/usr/bin/python3
"""Validates the documents of test_gate against docs/gate.schema.json, as check_result_schema.py does
it: all of them pass, and each damaged one fails.

check_gate_schema.py SCHEMA TEST_GATE. Exit 77 = skipped.
"""

import sys

from check_result_schema import drop, main, put

FIRST = ("comparisons", 0)
CHANGE = FIRST + ("change",)
DAMAGES = {
    "slower": [
        put(("schema",), "dwbench.gate/2"),
        put(("surplus",), 1),
        drop(("environment",)),
        drop(("job",)),
        drop(("job", "options")),
        drop(("a",)),
        drop(("b", "what")),
        put(("comparisons",), {}),
        put(FIRST + ("surplus",), 1),
        put(FIRST + ("verdict",), "not resolved"),
        put(FIRST + ("verdict",), "not_resolved"),  # needs a reason
        put(FIRST + ("reason",), None),
        put(FIRST + ("operation",), "none"),
        put(FIRST + ("operation",), "standard to canary"),
        put(FIRST + ("delta",), 0),
        put(FIRST + ("confidence",), 1),
        put(FIRST + ("processes",), 1.5),
        put(FIRST + ("pairs",), -1),
        put(FIRST + ("dropped_share",), 1.1),
        put(FIRST + ("method",), "guessed"),
        put(FIRST + ("confirmed",), "yes"),
        put(FIRST + ("a", "floor_ns"), 0),
        put(FIRST + ("a", "median_ns"), "1 ms"),
        drop(FIRST + ("b", "kernel")),
        put(FIRST + ("b", "operation"), "canary"),
        drop(CHANGE + ("ci_low",)),
        put(CHANGE + ("median",), None),  # and a verdict all the same
        put(CHANGE + ("ci_high",), None),
        put(CHANGE + ("median",), -1.5),
        drop(("overall", "slower")),
        put(("overall", "same"), -1),
        put(("overall", "verdict"), "good"),
    ],
    "confirmed": [
        put(FIRST + ("second_run", "verdict"), "good"),
        drop(FIRST + ("second_run", "change")),
        drop(FIRST + ("confirmed",)),
    ],
    "unconfirmed": [
        put(FIRST + ("verdict",), "slower"),  # an alarm that was not confirmed is none
    ],
}

if __name__ == "__main__":
    sys.exit(main([(name, damage) for name, damages in DAMAGES.items() for damage in damages], 20))
