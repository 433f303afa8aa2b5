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
    entries = bundle.entry or []
    urls = {entry.fullUrl for entry in entries}
    assert len(urls) == len(entries), "a fullUrl stands twice"
    if bundle.type == "transaction":
        transaction(raw, entries, urls)
    elif bundle.type != "collection":
        document(bundle, raw, urls)
    return len(entries)


def transaction(raw, entries, urls):
    for reference in references(raw):
        assert reference in urls or "?identifier=" in reference, f"{reference} leads nowhere"
    for entry in entries:
        if entry.request.method == "POST":
            assert entry.request.ifNoneExist.startswith("identifier="), entry.request


def document(bundle, raw, urls):
    assert bundle.type == "document", bundle.type
    assert bundle.identifier.system and bundle.identifier.value and bundle.timestamp
    assert raw["entry"][0]["resource"]["resourceType"] == "Composition"
    # A document is whole: each reference leads to an entry, and each entry is reached from the first one.
    of = {entry["fullUrl"]: set(references(entry["resource"])) for entry in raw["entry"]}
    reached, follow = set(), [raw["entry"][0]["fullUrl"]]
    while follow:
        url = follow.pop()
        if url not in reached:
            assert url in of, f"{url} leads nowhere"
            reached.add(url)
            follow.extend(of[url])
    assert reached == urls, f"not reached: {urls - reached}"


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
