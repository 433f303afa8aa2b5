"""Reads Bundles by the models of fhir.resources (R4B, which differs from R4 in no resource used here) and says what is wrong.

Usage: judge_bundles.py FILE...
"""

import json
import sys

from fhir.resources.R4B.bundle import Bundle


def check(path):
    with open(path, encoding="utf-8") as file:
        raw = json.load(file)
    bundle = Bundle.model_validate(raw)
    assert bundle.type == "transaction", bundle.type
    urls = {entry.fullUrl for entry in bundle.entry}
    assert len(urls) == len(bundle.entry), "a fullUrl stands twice"
    for reference in references(raw):
        assert reference in urls or "?identifier=" in reference, f"{reference} leads nowhere"
    for entry in bundle.entry:
        if entry.request.method == "POST":
            assert entry.request.ifNoneExist.startswith("identifier="), entry.request
    return len(bundle.entry)


def references(value):
    if isinstance(value, list):
        for element in value:
            yield from references(element)
    elif isinstance(value, dict):
        for name, member in value.items():
            if name == "reference" and isinstance(member, str):
                yield member
            else:
                yield from references(member)


if __name__ == "__main__":
    for path in sys.argv[1:]:
        print(path, check(path))
