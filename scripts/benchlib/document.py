"""Tables in docs/PERFORMANCE.md: each case stands between markers of its own, and is replaced as a whole."""
import os
import re
import sys

from .servers import ROOT

DOCUMENT = os.path.join(ROOT, "docs", "PERFORMANCE.md")


def render(table, facts, command):
    widths = len(table.rows[0])
    lines = [f"### {table.title}", ""]
    for number, row in enumerate(table.rows):
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |")
        if number == 0:
            lines.append("|" + "---|" * widths)
    lines.append("")
    lines += [f"* {verdict}" for verdict in table.verdicts]
    lines += [""] if table.verdicts else []
    lines += [" ".join([*table.notes, facts]), "", f"    {command}"]
    return "\n".join(lines)


def put(name, text):
    with open(DOCUMENT) as file:
        document = file.read()
    begin, end = f"<!-- bench:{name} -->", "<!-- /bench -->"
    found = re.compile(re.escape(begin) + ".*?" + re.escape(end), re.DOTALL)
    if not found.search(document):
        sys.exit(f"error: {DOCUMENT} has no place for {name}\nhint: add the lines {begin} and {end}")
    document = found.sub(lambda _: f"{begin}\n{text}\n{end}", document)
    with open(DOCUMENT, "w") as file:
        file.write(document)
