#!/usr/bin/env bash
# docs/troubleshooting.md beside the sources: what it quotes of ours is said there, and what the daemon logs as WARNING or
# ERROR is quoted. It reads the tree that it lies in.
set -euo pipefail

repository=$(cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/../.." && pwd)
python3 - "$repository" <<'END'
import pathlib, re, sys

tree = pathlib.Path(sys.argv[1])
manual = (tree / "docs/troubleshooting.md").read_text()
sources = []
for folder in ["base", "unpack", "registry", "snapshotter", "cmd"]:
    for path in sorted((tree / folder).rglob("*")):
        if path.suffix in (".cc", ".h") and not re.search(r"_(test|fixture|suite)\.", path.name):
            sources.append(path.read_text())

# Literals that stand one after the other are one.
said = re.sub(r'"\s*\n\s*(<< )?"', "", "\n".join(sources)).replace('\\"', '"')

def quotes(section):
    """The code spans in the first column of a section's table, cut where names differ."""
    rows = re.findall(r"^\| (.*?) \|", section, re.MULTILINE)
    for row in rows:
        for span in re.findall(r"`([^`]+)`", row):
            for part in re.split(r"…|FILE:LINE", span):
                part = part.strip(" :,")
                if len(part) >= 4:
                    yield span, part

problems, quoted = [], 0
sections = re.split(r"^## ", manual, flags=re.MULTILINE)
for section in sections:
    title = section.split("\n", 1)[0]
    if title.startswith(("Troubleshooting", "# ", "doctor", "Messages of containerd")):
        continue
    for span, part in quotes(section):
        quoted += 1
        if part not in said:
            problems.append(f"{title}: nothing says {part!r} (of {span!r})")
logged = 0
for literal in re.findall(r'LOG(?:_IF)?\((?:WARNING|ERROR)\b[^";]*"([^"]+)"', said):
    logged += 1
    if literal.strip(" :") not in manual:
        problems.append(f"not in docs/troubleshooting.md: a line that begins with {literal!r}")
if quoted < 60 or logged < 15:
    problems.append(f"only {quoted} quotations and {logged} lines were found: the test reads something else")
print(f"{quoted} quotations, {logged} lines of the log")
sys.exit("\n".join(problems) if problems else 0)
END
