#!/usr/bin/env python3
"""table.py ROWS.jsonl: measured rows as a table of text."""
import json
import sys

COLUMNS = (("ktok_s", "ktok/s", 8), ("ratio", "ratio", 7), ("times", "times", 7), ("step_s", "step s", 8), ("mfu", "mfu %", 6), ("peak_smi_MiB", "GPU MiB", 8),
           ("host_GiB", "host GiB", 9), ("first_step_s", "first s", 8), ("load_s", "load s", 7), ("load_anon_MiB", "anon MiB", 9),
           ("seconds", "seconds", 8), ("reference_ktok_s", "reference", 10))
print(f"{'run':56}" + "".join(f"{title:>{width}}" for _, title, width in COLUMNS))
for row in map(json.loads, open(sys.argv[1])):
    cells = ("" if row.get(key) is None else str(row[key]) for key, _, _ in COLUMNS)
    print(f"{row.get('row', ''):56}" + "".join(f"{cell:>{width}}" for cell, (_, _, width) in zip(cells, COLUMNS)))
