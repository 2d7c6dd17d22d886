"""What checkov finds in a render, and what accepted_findings.txt says about it."""

import json
import re
from pathlib import Path
from typing import Any, Final

from manifests.rendering import Render, run

ACCEPTED: Final = Path(__file__).with_name("accepted_findings.txt")

Finding = tuple[str, str]
"""A check and an object, as in `CKV_K8S_40`, `StatefulSet/rabbitmq`."""


def findings(render: Render, folder: Path) -> set[Finding]:
    """Run all of checkov's checks, offline; return those that fail."""
    file = folder / f"{render.overlay}.yaml"
    file.write_text(render.text, encoding="utf-8")
    arguments = ("--framework", "kubernetes", "--skip-download", "--quiet", "--compact")
    printed = run("checkov", "--file", str(file), *arguments, "--output", "json", codes=(0, 1))
    report: dict[str, Any] = json.loads(printed)
    assert report["summary"]["passed"] > 100, "checkov has not looked"
    assert not report["summary"]["parsing_errors"]
    return {
        (check["check_id"], _object(check["resource"]))
        for check in report["results"]["failed_checks"]
    }


def accepted() -> dict[Finding, str]:
    """Return the accepted findings, each with its reason."""
    found: dict[Finding, str] = {}
    for block in re.split(r"\n\s*\n", ACCEPTED.read_text(encoding="utf-8")):
        if not block.startswith("CKV"):
            continue
        title, objects, *reason = block.strip().splitlines()
        for name in objects.split():
            found[title.partition(":")[0], name] = " ".join(line.strip() for line in reason)
    return found


def _object(resource: str) -> str:
    kind, *_, name = resource.split(".")
    return f"{kind}/{name}"
