#!/usr/bin/env python3
"""`go test -v` output → JUnit XML, a case for each test that has no subtests.

  go_test_to_junit.py [--skips-itself NAME]... OUTPUT.log RESULT.xml

NAME is a test that its authors skip wherever it runs: it is neither passed nor skipped by us, so it becomes a property
of the suite and a line on stdout. Exit code 1 if there is no case, one failed, or one that had begun did not end.
"""

import argparse
import re
import sys
import xml.etree.ElementTree as ElementTree

BEGIN = re.compile(r"^=== RUN\s+(\S+)$")
# Output without a newline at its end may stand before the line.
END = re.compile(r"--- (PASS|FAIL|SKIP): (\S+) \(([0-9.]+)s\)$")
# What XML 1.0 can't hold.
FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def read_cases(lines):
    """{name: [outcome or None, seconds]} in the order in which they began."""
    cases = {}
    for line in lines:
        begin, end = BEGIN.match(line), END.search(line.rstrip())
        if begin:
            cases.setdefault(begin.group(1), [None, 0.0])
        elif end:
            cases[end.group(2)] = [end.group(1), float(end.group(3))]
    return cases


def leaves(cases):
    return {name: case for name, case in cases.items() if not any(other.startswith(name + "/") for other in cases)}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--skips-itself", action="append", default=[])
    parser.add_argument("log")
    parser.add_argument("xml")
    options = parser.parse_args()
    with open(options.log, encoding="utf-8", errors="replace") as log:
        text = log.read()

    suite = ElementTree.Element("testsuite", name="go")
    properties = ElementTree.SubElement(suite, "properties")
    bad = 0
    count = 0
    for name, (outcome, seconds) in leaves(read_cases(text.splitlines())).items():
        if outcome == "SKIP" and name in options.skips_itself:
            print(f"not run: {name} skips itself")
            ElementTree.SubElement(properties, "property", name="skips itself", value=name)
            continue
        count += 1
        parent, _, leaf = name.rpartition("/")
        case = ElementTree.SubElement(suite, "testcase", classname=parent, name=leaf, time=f"{seconds:.2f}")
        if outcome == "SKIP":
            ElementTree.SubElement(case, "skipped")
        elif outcome != "PASS":
            bad += 1
            ElementTree.SubElement(case, "failure", message=outcome or "did not end")
    suite.set("tests", str(count))
    suite.set("failures", str(bad))
    ElementTree.SubElement(suite, "system-out").text = FORBIDDEN.sub("?", text)
    ElementTree.ElementTree(suite).write(options.xml, encoding="utf-8", xml_declaration=True)
    sys.exit(0 if count > 0 and bad == 0 else 1)


if __name__ == "__main__":
    main()
