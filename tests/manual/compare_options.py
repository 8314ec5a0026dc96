#!/usr/bin/env python3
"""COMMAND --generate json | compare_options.py PAGE.scd.in COMMON.scdpart

Compares the options and verbs of a command with the source of its manual page, both ways: options
under "# OPTIONS" with those of the command, those under "## VERB" with the verb's. Prints each
difference; status 1 when there is one.
"""
import json
import re
import sys


def sections(page):
    """Heading -> its lines; "## verb" counts for itself."""
    found, lines = {}, []
    for line in page.splitlines():
        if line.startswith("#"):
            lines = found.setdefault(line, [])
        else:
            lines.append(line)
    return found


def described(lines):
    """Options of the lines that introduce one: "*-o*, *--output* _FILE_" -> {"-o _FILE_", …}."""
    options = set()
    for line in lines:
        if not line.startswith("*-"):
            continue
        value = re.search(r" (_[A-Z]+_)$", line)
        options |= {name + (" " + value[1] if value else "") for name in re.findall(r"\*(--?[A-Za-z][-\w]*)\*", line)}
    return options


def known(command, but_help):
    options = set()
    for option in command["options"]:
        if option["operand"] or (but_help and option["long"] == ["help"]):
            continue
        value = f" _{option['value']}_" if option["takes_value"] else ""
        options |= {"--" + name + value for name in option["long"]} | {"-" + name + value for name in option["short"]}
    return options


def main():
    command = json.load(sys.stdin)["command"]
    with open(sys.argv[1]) as page, open(sys.argv[2]) as common:
        parts = sections(page.read().replace("@COMMON_OPTIONS@", common.read()))
    faults = []

    def compare(where, heading, program):
        manual = described(parts.get(heading, []))
        faults.extend(f"{where}: {option} is not under '{heading}'" for option in sorted(program - manual))
        faults.extend(f"{where}: '{heading}' describes {option}, which does not exist" for option in sorted(manual - program))

    compare(command["name"], "# OPTIONS", known(command, False))
    synopsis = "\n".join(parts.get("# SYNOPSIS", []))
    for verb in command["commands"]:
        heading = "## " + verb["name"]
        if heading not in parts:
            faults.append(f"{command['name']}: there is no '{heading}'")
        if f"*{verb['name']}*" not in synopsis:
            faults.append(f"{command['name']}: SYNOPSIS does not show {verb['name']}")
        compare(f"{command['name']} {verb['name']}", heading, known(verb, True))
    verbs = {"## " + verb["name"] for verb in command["commands"]}
    faults.extend(f"{command['name']}: '{heading}' is no verb" for heading in parts
                  if heading.startswith("## ") and heading not in verbs)
    print("\n".join(faults), end="\n" if faults else "")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
