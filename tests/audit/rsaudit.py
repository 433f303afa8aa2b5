#!/usr/bin/env python3
"""Checks a Cargo.lock against the RustSec advisories kept beside this file, without network.

Usage: rsaudit.py Cargo.lock

Exit 1 on a vulnerability that `accepted.toml` does not accept, on an acceptance that has run out, and on one that accepts
nothing any more. Informational advisories (unmaintained, unsound) are shown and do not fail. Standard library only.
"""
import datetime
import pathlib
import re
import sys
import tarfile
import tomllib

HERE = pathlib.Path(__file__).parent


def version(text):
    """A version as something that can be compared, and which of its minor and patch number were given."""
    match = re.match(r"^(\d+)(?:\.(\d+))?(?:\.(\d+))?(?:-([0-9A-Za-z.-]+))?", text.strip())
    if match is None:
        raise ValueError(f"not a version: {text!r}")
    numbers = (int(match[1]), int(match[2] or 0), int(match[3] or 0))
    if match[4] is None:
        before = (1, ())  # a release comes after every pre-release of it
    else:
        before = (0, tuple((0, int(part), "") if part.isdigit() else (1, 0, part) for part in match[4].split(".")))
    return (numbers, before), (match[2] is not None, match[3] is not None)


def upper_bound(operator, required, given):
    """The first version that a caret or tilde requirement no longer takes in."""
    (major, minor, patch), (has_minor, has_patch) = required[0], given
    if operator == "~":
        numbers = (major, minor + 1, 0) if has_minor else (major + 1, 0, 0)
    elif major or not has_minor:
        numbers = (major + 1, 0, 0)
    elif minor or not has_patch:
        numbers = (0, minor + 1, 0)
    else:
        numbers = (0, 0, patch + 1)
    return numbers, (0, ())


def satisfies(candidate, requirement):
    """Whether a version meets every clause of a requirement such as `>= 1.2, < 2`."""
    for clause in requirement.split(","):
        match = re.match(r"^(>=|<=|>|<|=|\^|~)?\s*(.+)$", clause.strip())
        operator, (required, given) = match[1] or "^", version(match[2])
        met = {
            ">=": candidate >= required,
            ">": candidate > required,
            "<": candidate < required,
            "<=": candidate <= required,
            "=": candidate == required,
        }.get(operator)
        if met is None:
            met = required <= candidate < upper_bound(operator, required, given)
        if not met:
            return False
    return True


def read_advisories(archive):
    """Crate name -> list of (front matter, title)."""
    advisories = {}
    with tarfile.open(archive) as tar:
        for member in tar:
            path = pathlib.PurePosixPath(member.name)
            if not member.isfile() or not re.fullmatch(r"RUSTSEC-.*\.md", path.name):
                continue
            text = tar.extractfile(member).read().decode()
            front = tomllib.loads(re.search(r"```toml\n(.*?)\n```", text, re.S)[1])
            title = re.search(r"^# (.+)$", text.split("```", 2)[2], re.M)[1].strip()
            advisories.setdefault(path.parent.name, []).append((front, title))
    return advisories


def findings_of(lock, advisories):
    """Every advisory that names a crate of the lockfile in the version it stands there: (id, crate, version, kind, patched, title)."""
    findings = []
    for package in lock.get("package", []):
        if not package.get("source", "").startswith("registry+"):
            continue
        (candidate, _) = version(package["version"])
        for front, title in sorted(advisories.get(package["name"], []), key=lambda each: each[0]["advisory"]["id"]):
            advisory, versions = front["advisory"], front.get("versions", {})
            safe = versions.get("patched", []) + versions.get("unaffected", [])
            if advisory.get("withdrawn") or any(satisfies(candidate, requirement) for requirement in safe):
                continue
            kind = advisory.get("informational")
            findings.append((advisory["id"], package["name"], package["version"], kind, versions.get("patched", []), title))
    return findings


def judge(findings, accepted, today):
    """The lines to print and the number of faults."""
    lines, faults, used = [], 0, set()
    for identifier, crate, number, kind, patched, title in findings:
        acceptance = next((each for each in accepted if (each["id"], each["crate"]) == (identifier, crate)), None)
        what = f"{identifier} {crate} {number}: {title} (patched in {', '.join(patched) or 'no version'})"
        if acceptance is not None:
            used.add((identifier, crate))
        if acceptance is not None and today <= acceptance["until"]:
            lines.append(f"accepted until {acceptance['until']}: {what}: {acceptance['reason']}")
        elif kind:
            lines.append(f"{kind}: {what}")
        else:
            over = f" (acceptance ran out on {acceptance['until']})" if acceptance else ""
            lines.append(f"VULNERABLE{over}: {what}")
            faults += 1
    for each in accepted:
        if (each["id"], each["crate"]) not in used:
            lines.append(f"STALE: accepted.toml accepts {each['id']} of {each['crate']}, which is not found any more")
            faults += 1
    return lines, faults


def read_accepted(path):
    """The entries of accepted.toml; each needs an id, a crate, a reason and a date."""
    entries = tomllib.loads(path.read_text()).get("accepted", [])
    for each in entries:
        if set(each) != {"id", "crate", "reason", "until"} or not str(each["reason"]).strip():
            sys.exit(f"{path.name}: each entry has exactly id, crate, reason and until: {each}")
        if type(each["until"]) is not datetime.date:
            sys.exit(f"{path.name}: until is a date without quotes, such as 2027-01-31: {each}")
    return entries


def main(arguments):
    if len(arguments) != 1:
        sys.exit("usage: rsaudit.py Cargo.lock")
    with open(arguments[0], "rb") as file:
        lock = tomllib.load(file)
    findings = findings_of(lock, read_advisories(HERE / "advisories.tar.gz"))
    lines, faults = judge(findings, read_accepted(HERE / "accepted.toml"), datetime.date.today())
    crates = sum(package.get("source", "").startswith("registry+") for package in lock.get("package", []))
    print("\n".join(lines + [f"{crates} crates: {len(findings)} advisories apply, {faults} to be dealt with"]))
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
