#!/usr/bin/env python3
"""Counts test cases from the test.xml files of one `bazel test` run.

  count_tests.py EVENTS REPORT NAME

EVENTS is Bazel's --build_event_json_file: it names the results of this run, cached ones too, and no stale ones. Prints
what failed with the end of its log, then "PASSED FAILED" as the last line; appends a table row a target to REPORT. A
target that fails without a failing case (crash, time-out) is one failed case; with CI=true so is a skipped case.
"""

import json
import os
import sys
import urllib.parse
import xml.etree.ElementTree

LOG_LINES = 40


def results(events_path):
    """{target: (status, {"test.xml": path, "test.log": path})}, the last attempt of each shard and run."""
    found = {}
    try:
        events = open(events_path, encoding="utf-8")
    except FileNotFoundError:
        return found
    with events:
        for line in events:
            event = json.loads(line)
            key = event.get("id", {}).get("testResult")
            if key is None:
                continue
            result = event.get("testResult", {})
            outputs = {
                output["name"]: urllib.parse.unquote(urllib.parse.urlparse(output.get("uri", "")).path)
                for output in result.get("testActionOutput", [])
            }
            found[(key["label"], key.get("shard", 0), key.get("run", 0))] = (result.get("status"), outputs)
    return found


def count_cases(xml_path):
    """(passed, names of failed, names of skipped) of one test.xml."""
    passed, failed, skipped = 0, [], []
    for case in xml.etree.ElementTree.parse(xml_path).iter("testcase"):
        name = ".".join(filter(None, (case.get("classname"), case.get("name"))))
        if case.find("failure") is not None or case.find("error") is not None:
            failed.append(name)
        elif case.find("skipped") is not None or case.get("status") == "notrun":
            skipped.append(name)
        else:
            passed += 1
    return passed, failed, skipped


def print_log_end(path):
    try:
        with open(path, encoding="utf-8", errors="replace") as log:
            for line in log.readlines()[-LOG_LINES:]:
                print("        " + line.rstrip())
    except OSError as error:
        print(f"        no log: {error}")


def main():
    events_path, report_path, run_name = sys.argv[1:]
    skips_fail = os.environ.get("CI") == "true"
    total_passed = total_failed = 0
    with open(report_path, "a", encoding="utf-8") as report:
        for (label, _, _), (status, outputs) in sorted(results(events_path).items()):
            try:
                passed, failed, skipped = count_cases(outputs["test.xml"])
            except (KeyError, OSError, xml.etree.ElementTree.ParseError):
                passed, failed, skipped = (1 if status == "PASSED" else 0), [], []
            if status != "PASSED" and not failed:
                failed = [f"{label} ({status})"]
            if skipped:
                print(f"skipped {label}: {', '.join(skipped)}")
            if skips_fail:
                failed += skipped
            if failed:
                print(f"FAILED  {label}: {', '.join(failed)}")
                print_log_end(outputs.get("test.log", ""))
            report.write(f"| {run_name}: {label} | {passed} | {len(failed)} |\n")
            total_passed += passed
            total_failed += len(failed)
    print(total_passed, total_failed)


if __name__ == "__main__":
    main()
