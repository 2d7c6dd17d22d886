"""Fails when a test was skipped for a reason that is not in allowed-skips.txt.

Reads the JUnit reports in the folder named as argument: a skipped test is a test that nobody
notices is missing.
"""

import sys
from pathlib import Path
from xml.etree import ElementTree as ET

allowed = Path(__file__).with_name("allowed-skips.txt").read_text(encoding="utf-8").splitlines()
surprises = {
    (case.get("classname"), case.get("name"), skip.get("message"))
    for report in Path(sys.argv[1]).glob("*.xml")
    for case in ET.parse(report).iter("testcase")  # noqa: S314 - pytest wrote it a moment ago
    for skip in case.iter("skipped")
    if skip.get("type") == "pytest.skip" and skip.get("message") not in allowed
}
for classname, name, reason in sorted(surprises, key=str):
    print(f"skipped, and the reason is not in .ci/allowed-skips.txt: {classname}.{name}: {reason}")
sys.exit(bool(surprises))
