#!/usr/bin/env python3
"""Shows that rsaudit.py can fail: on versions, on acceptances that ran out, on acceptances of nothing."""
import datetime
import sys
import unittest

import rsaudit


def advisory(identifier, patched, **more):
    return {"advisory": {"id": identifier, **more}, "versions": {"patched": patched}}, "a title"


def lock(**crates):
    registry = "registry+https://github.com/rust-lang/crates.io-index"
    return {"package": [{"name": name, "version": number, "source": registry} for name, number in crates.items()]}


def applies(number, patched, **more):
    return bool(rsaudit.findings_of(lock(ring=number), {"ring": [advisory("RUSTSEC-2026-0001", patched, **more)]}))


FINDING = ("RUSTSEC-2026-0001", "ring", "0.16.0", None, [">=0.17"], "a title")
ACCEPTANCE = {"id": "RUSTSEC-2026-0001", "crate": "ring", "reason": "not reachable", "until": datetime.date(2026, 12, 31)}


class Versions(unittest.TestCase):
    def test_a_version_before_the_patch_is_found(self):
        self.assertTrue(applies("0.16.20", [">=0.17.0"]))
        self.assertFalse(applies("0.17.0", [">=0.17.0"]))
        self.assertTrue(applies("1.0.0", []))

    def test_a_pre_release_comes_before_its_release(self):
        self.assertTrue(applies("1.0.0-rc.1", [">=1.0.0"]))
        self.assertTrue(applies("1.0.0-rc.2", [">=1.0.0-rc.10"]))

    def test_caret_tilde_and_ranges(self):
        for number, requirement, met in [
            ("1.9.0", "^1.2", True), ("2.0.0", "^1.2", False), ("0.2.9", "^0.2.3", True), ("0.3.0", "^0.2.3", False),
            ("0.0.4", "^0.0.3", False), ("1.2.9", "~1.2", True), ("1.3.0", "~1.2", False), ("1.5.0", ">=1.2, <1.5", False),
            ("1.4.9", ">=1.2, <1.5", True), ("1.2.3", "1.2.3", True), ("2.0.0-alpha", "^1.2", False),
        ]:
            self.assertEqual(rsaudit.satisfies(rsaudit.version(number)[0], requirement), met, (number, requirement))

    def test_a_withdrawn_advisory_says_nothing(self):
        self.assertFalse(applies("0.16.20", [], withdrawn="2026-01-01"))

    def test_a_crate_that_is_not_from_the_registry_is_ours(self):
        self.assertEqual(rsaudit.findings_of({"package": [{"name": "ring", "version": "0.1.0"}]}, {"ring": [advisory("X", [])]}), [])


class Acceptances(unittest.TestCase):
    def faults(self, findings, accepted, today=datetime.date(2026, 6, 1)):
        return rsaudit.judge(findings, accepted, today)[1]

    def test_a_vulnerability_fails(self):
        self.assertEqual(self.faults([FINDING], []), 1)

    def test_an_accepted_one_passes_until_its_date(self):
        self.assertEqual(self.faults([FINDING], [ACCEPTANCE]), 0)
        self.assertEqual(self.faults([FINDING], [ACCEPTANCE], datetime.date(2026, 12, 31)), 0)
        self.assertEqual(self.faults([FINDING], [ACCEPTANCE], datetime.date(2027, 1, 1)), 1)

    def test_an_acceptance_of_nothing_fails(self):
        self.assertEqual(self.faults([], [ACCEPTANCE]), 1)

    def test_informational_ones_are_shown_only(self):
        unmaintained = FINDING[:3] + ("unmaintained",) + FINDING[4:]
        lines, faults = rsaudit.judge([unmaintained], [], datetime.date(2026, 6, 1))
        self.assertEqual((len(lines), faults), (1, 0))


class Archive(unittest.TestCase):
    def test_the_archive_is_whole(self):
        advisories = rsaudit.read_advisories(rsaudit.HERE / "advisories.tar.gz")
        self.assertGreater(sum(map(len, advisories.values())), 900)
        # Known for years: ring before 0.17.12 panics under overflow checks.
        self.assertTrue(rsaudit.findings_of(lock(ring="0.17.11"), {"ring": advisories["ring"]}))


if __name__ == "__main__":
    sys.path.insert(0, str(rsaudit.HERE))
    unittest.main()
