#!/usr/bin/env python3
"""Writes what `sluicectl doctor` prints as the mend of a check into the configuration file that it is for.

    apply_mend.py FILE <MEND

A table that FILE has gets the keys, one that it lacks is appended; [[tables]] are always more of them. Lines of the mend
that are no TOML are told to people.
"""
import re
import sys


def tables(mend):
    found = []
    for line in mend:
        if line.startswith("["):
            found.append((line.strip(), []))
        elif found and re.match(r" *[\w-]+ = ", line):
            found[-1][1].append(line)
    return found


def key_of(line):
    return line.partition("=")[0].strip()


def set_key(lines, header, key_line):
    at = next(i for i, line in enumerate(lines) if line.strip() == header) + 1
    end = at
    while end < len(lines) and not lines[end].lstrip().startswith("["):
        end += 1
    for i in range(at, end):
        if key_of(lines[i]) == key_of(key_line):
            lines[i] = key_line
            return
    lines.insert(at, key_line)


def main():
    path = sys.argv[1]
    with open(path) as file:
        lines = file.read().splitlines()
    wanted = tables(sys.stdin.read().splitlines())
    if not wanted:
        sys.exit("apply_mend.py: no table in the mend")
    for header, keys in wanted:
        if header.startswith("[[") or header not in (line.strip() for line in lines):
            lines += [header, *keys]
        else:
            for key_line in keys:
                set_key(lines, header, key_line)
    with open(path, "w") as file:
        file.write("\n".join(lines) + "\n")


main()
