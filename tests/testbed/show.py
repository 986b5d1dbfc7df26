"""How the demo speaks: calm, aligned, coloured on a terminal only."""

import os
import sys
import textwrap
import unicodedata

COLOURED = sys.stdout.isatty() and "NO_COLOR" not in os.environ
WIDTH = 78
TABLE_WIDTH = 100
STYLES = {"bold": "1", "faint": "2", "red": "31", "green": "32", "yellow": "33", "blue": "34"}
SIGNS = {"+": "green", "-": "red", "~": "yellow"}


def styled(text, style):
    return f"\033[{STYLES[style]}m{text}\033[0m" if COLOURED and style else text


def heading(text):
    line = "─" * max(0, WIDTH - len(text) - 4)
    print("\n" + styled(f"── {text} {line}", "bold"), flush=True)


def say(text):
    print(text, flush=True)


def command(text, lag=""):
    print(f"\n{styled('$', 'blue')} {styled(text, 'bold')}{lag}", flush=True)


def good(text):
    print(f"{styled('ok', 'green')}  {text}", flush=True)


def bad(text):
    print(f"{styled('WRONG', 'red')}  {text}", flush=True)


def table(title, columns, rows):
    """`rows` are (sign, cells): + is new, - is gone, ~ has changed, a space is neither."""
    for line in textwrap.wrap(title, TABLE_WIDTH):
        print(f"  {styled(line, 'faint')}")
    cells = [[text(cell) for cell in row] for _, row in rows]
    widths = [max(width(each[n]) for each in [columns, *cells]) for n in range(len(columns))]
    print("    " + styled(aligned(columns, widths), "faint"))
    for (sign, _), row in zip(rows, cells):
        print(styled(f"  {sign} {aligned(row, widths)}", SIGNS.get(sign)))
    sys.stdout.flush()


def aligned(cells, widths):
    return "  ".join(cell + " " * (size - width(cell)) for cell, size in zip(cells, widths)).rstrip()


def text(cell):
    if cell is None:
        return ""
    if isinstance(cell, bool):
        return "yes" if cell else "no"
    return str(cell)


def width(word):
    """Columns on a terminal: Chinese characters take two, combining ones none."""
    wide = sum(unicodedata.east_asian_width(letter) in "WF" for letter in word)
    return len(word) + wide - sum(unicodedata.combining(letter) > 0 for letter in word)


def short(word, size=10):
    """The beginning of what is long and opaque; how many parts an entity tag tells of stays."""
    if word is None or len(word) <= size + 1:
        return word
    _, dash, parts = word.rpartition("-")
    tail = f"-{parts}" if dash and parts.isdigit() and len(parts) < 4 else ""
    return word[: size - len(tail)] + "…" + tail
