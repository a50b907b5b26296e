"""A page of metrics, read by the parser of Prometheus' own Python client.

metrics_page.py samples FAMILY...   <PAGE   the samples of these families that are not 0, a line each: name{labels} value,
                                            sorted; of a histogram its count
metrics_page.py families            <PAGE   name and type of each family, sorted
metrics_page.py documented          <MANUAL the same from the manual's table
metrics_page.py rules               <MANUAL the manual's alerts, which are YAML
"""
import re
import sys

from prometheus_client.parser import text_string_to_metric_families


def families(page):
    for family in text_string_to_metric_families(page):
        # The parser takes the ending off.
        name = family.name + ("_total" if family.type == "counter" else "")
        yield name, family


def print_samples(page, wanted):
    lines = []
    for name, family in families(page):
        if name not in wanted:
            continue
        for sample in family.samples:
            if family.type == "histogram" and not sample.name.endswith("_count") or sample.value == 0:
                continue
            labels = ",".join(f"{key}={value}" for key, value in sorted(sample.labels.items()))
            lines.append(f"{name}{{{labels}}} {sample.value:g}" if abs(sample.value) < 1e5 else
                         f"{name}{{{labels}}} {sample.value:.0f}")
    print("\n".join(sorted(lines)))


def print_families(page):
    lines = []
    for name, family in families(page):
        if not family.documentation.endswith("."):
            if not name.startswith("exposer_"):
                sys.exit(f"{name} has no HELP")
        lines.append(f"{name} {family.type}")
    print("\n".join(sorted(lines)))


def print_documented(manual):
    rows = re.findall(r"^\| `([a-z_]+)` \| (counter|gauge|histogram|summary) \|(.*?)\| (.+) \|$", manual, re.MULTILINE)
    print("\n".join(sorted(f"{name} {kind}" for name, kind, _, _ in rows)))


def print_rules(manual):
    print(re.search(r"```yaml\n(.*?)```", manual, re.DOTALL).group(1))


text = sys.stdin.read()
match sys.argv[1]:
    case "samples":
        print_samples(text, sys.argv[2:])
    case "families":
        print_families(text)
    case "documented":
        print_documented(text)
    case "rules":
        print_rules(text)
