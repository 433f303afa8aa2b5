"""Reads every form of a record by other people's software, and says whether every text of a list comes out of them.

Usage: judge_transcripts.py TEXTS.json PAGE.html PAPER.pdf MESSAGES TRANSACTION.json DOCUMENT.json RECORD.ndjson PROOF

`TEXTS.json` holds what was written, as a list. The PDF is read by `pdftotext` and pikepdf (structure, metadata), messages by `hl7` and hl7apy,
Bundles by the models of fhir.resources.
"""

import base64

import html.parser
import json
import pathlib
import subprocess
import sys
import unicodedata

import hl7
import pikepdf
from fhir.resources.R4B.bundle import Bundle
from hl7apy.consts import VALIDATION_LEVEL
from hl7apy.parser import parse_message


def shown(text):
    """What line ends and control characters are shown as."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    return "".join(c if c in "\n\t" or unicodedata.category(c) != "Cc" else "\ufffd" for c in text)


class Page(html.parser.HTMLParser):
    """Text of a page; refuses whatever could load or run something."""

    def __init__(self):
        super().__init__()
        self.text, self.skip, self.headings, self.lang = [], False, [], None

    def handle_starttag(self, tag, attrs):
        names = dict(attrs)
        assert tag not in ("script", "img", "iframe", "object", "embed", "link", "base", "form"), tag
        assert not any(name.startswith("on") or name in ("src", "srcset", "action") for name in names), names
        assert not names.get("href", "#").strip().lower().startswith(("http", "javascript", "data")), names
        if tag == "html":
            self.lang = names["lang"]
        if tag == "br":
            self.text.append("\n")
        if tag in ("h1", "h2", "h3"):
            self.headings.append(int(tag[1]))
        self.skip = tag in ("style", "title")

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        self.skip = False

    def handle_endtag(self, tag):
        self.skip = False

    def handle_data(self, data):
        if not self.skip:
            self.text.append(data)


def judge_page(path, texts):
    page = Page()
    page.feed(path.read_text("utf-8"))
    page.close()
    text = "".join(page.text)
    assert page.lang == "en"
    assert page.headings[0] == 1 and all(b <= a + 1 for a, b in zip(page.headings, page.headings[1:])), "headings skip a level"
    for wanted in texts:
        assert shown(wanted) in text, f"html: {wanted!r}"


def letters(text):
    """Characters without spaces and line ends, which a page breaks anew, and without what only directs the others."""
    dropped = ("Zs", "Cf", "Cc")
    return "".join(c for c in shown(text) if unicodedata.category(c) not in dropped)


def judge_paper(path, texts):
    raw = subprocess.run(["pdftotext", "-raw", "-enc", "UTF-8", str(path), "-"], check=True, capture_output=True).stdout.decode("utf-8")
    # Each page ends with its foot, which may stand inside a text that goes on.
    lines = [line for page in raw.split("\f") for line in page.split("\n") if " – page " not in line]
    text = letters("".join(lines))
    for wanted in texts:
        for word in shown(wanted).split():
            # What is read from right to left stands in the order a reader of PDF puts it in: its letters are looked for.
            if any(unicodedata.bidirectional(c) in ("R", "AL", "RLO", "RLE", "RLI") for c in wanted):
                assert all(c in text for c in letters(word)), f"pdf: {word!r}"
            else:
                assert letters(word) in text, f"pdf: {word!r}"
    with pikepdf.open(path) as pdf:
        root = pdf.Root
        assert bool(root.MarkInfo.Marked) and str(root.Lang) == "en"
        assert root.StructTreeRoot.K is not None and root.ViewerPreferences.DisplayDocTitle
        (intent,) = root.OutputIntents
        assert str(intent.S) == "/GTS_PDFA1" and "/DestOutputProfile" in intent
        with pdf.open_metadata() as meta:
            assert (meta["pdfaid:part"], meta["pdfaid:conformance"], meta["pdfuaid:part"]) == ("2", "A", "1")
            assert meta["dc:title"].startswith("Care team transcript")
        judge_tables(root.StructTreeRoot)
        assert "/Encrypt" not in pdf.trailer and "/AcroForm" not in root and "/Names" not in root
        fonts = 0
        for page in pdf.pages:
            for font in page.Resources.Font.values():
                (inner,) = font.DescendantFonts
                descriptor = inner.FontDescriptor
                assert any(name in descriptor for name in ("/FontFile", "/FontFile2", "/FontFile3")), "a font is not inside"
                assert "/ToUnicode" in font
                fonts += 1
            assert "/Annots" not in page and "/AA" not in page
        assert fonts


def under(node):
    """The elements under one of the structure tree, those of content left out."""
    if "/K" not in node:
        return []
    inside = node.K if isinstance(node.K, pikepdf.Array) else [node.K]
    return [one for one in inside if isinstance(one, pikepdf.Dictionary) and "/S" in one]


def judge_tables(root):
    """Tables are tagged as tables: rows of cells, as many in each row, under headers that say they are the columns'."""
    tables, waiting = [], under(root)
    while waiting:
        node = waiting.pop()
        if str(node.S) == "/Table":
            tables.append(node)
        waiting.extend(under(node))
    assert tables, "no table is tagged"
    for table in tables:
        parts = {str(part.S): under(part) for part in under(table)}
        assert list(parts) == ["/Caption", "/THead", "/TBody"], parts.keys()
        (head,) = parts["/THead"]
        assert all(str(cell.S) == "/TH" for cell in under(head))
        for cell in under(head):
            told = cell.A if isinstance(cell.A, pikepdf.Array) else [cell.A]
            assert any(str(one.get("/Scope")) == "/Column" for one in told), "a header of no column"
        for row in parts["/TBody"]:
            assert str(row.S) == "/TR" and [str(cell.S) for cell in under(row)] == ["/TD"] * len(under(head))


def lines(text):
    return text.replace("\r\n", "\n").replace("\r", "\n")


def judge_resources(path, texts):
    """A message is the text of its Communication; in a document, of the section as well."""
    raw = json.loads(path.read_text("utf-8"))
    Bundle.model_validate(raw)
    said = []
    for entry in raw["entry"]:
        said.extend(lines(payload["contentString"]) for payload in entry["resource"].get("payload", []) if "contentString" in payload)
    for wanted in texts:
        assert shown(wanted) in said, f"{raw['type']}: {wanted!r}"
    if raw["type"] == "document":
        told = Page()
        for section in raw["entry"][0]["resource"]["section"]:
            told.feed(section["text"]["div"])
        told.close()
        text = "".join(told.text)
        for wanted in texts:
            assert shown(wanted) in text, f"section text: {wanted!r}"


def judge_lines(path, texts):
    """Nothing is shown for anything here: it is what was written."""
    events = [json.loads(line) for line in path.read_text("utf-8").split("\n") if line]
    said = [event["data"].get("text") for event in events if event["event"] == "message.posted"]
    assert all(wanted in said for wanted in texts), "ndjson"


def judge_proof(folder, texts):
    said = []
    for path in folder.glob("channels/*/entries.ndjson"):
        for line in path.read_text("utf-8").split("\n"):
            if line:
                said.append(json.loads(base64.b64decode(json.loads(line)["body"], validate=True)).get("text"))
    assert all(wanted in said for wanted in texts), "proof"


def plain(message, field):
    # The library reads escapes one after the other, and gives CR for `.br`.
    return message.unescape(str(field)).replace("\r", "\n")


def judge_messages(folder, texts):
    bodies, ids = [], set()
    paths = sorted(folder.iterdir())
    assert [path.name for path in paths] == [f"{at:04}.hl7" for at in range(1, len(paths) + 1)]
    for path in paths:
        raw = path.read_bytes()
        assert b"\n" not in raw and raw.endswith(b"\r") and b"\x0b" not in raw and b"\x1c" not in raw
        message = hl7.parse(raw.decode("utf-8"))
        kind, event = str(message["MSH"][0][9][0][0]), str(message["MSH"][0][9][0][1])
        assert (kind, str(message["MSH"][0][18])) == ("MDM", "UNICODE UTF-8")
        control = str(message["MSH"][0][10])
        assert len(control) <= 20 and control not in ids
        ids.add(control)
        assert str(message["EVN"][0][1]) == event
        assert (str(message["TXA"][0][13]) == "") == (event == "T02")
        for obx in message["OBX"]:
            if str(obx[2]) == "FT":
                bodies.append(plain(message, obx[5]))
            else:
                assert (str(obx[2]), str(obx[3][0][0])) == ("CE", "18776-5")
        strict = parse_message(raw.decode("utf-8"), validation_level=VALIDATION_LEVEL.TOLERANT)
        assert strict.msh.version_id.value == "2.5.1" and strict.txa.txa_12.value, "hl7apy"
        report = folder.parent / "hl7apy.report"
        structured = parse_message(raw.decode("utf-8"), validation_level=VALIDATION_LEVEL.TOLERANT, find_groups=True)
        structured.validate(report_file=str(report))
    text = "\n".join(bodies)
    for wanted in texts:
        assert shown(wanted) in text, f"hl7v2: {wanted!r}"


if __name__ == "__main__":
    wanted = json.loads(pathlib.Path(sys.argv[1]).read_text("utf-8"))
    judge_page(pathlib.Path(sys.argv[2]), wanted)
    judge_paper(pathlib.Path(sys.argv[3]), wanted)
    judge_messages(pathlib.Path(sys.argv[4]), wanted)
    judge_resources(pathlib.Path(sys.argv[5]), wanted)
    judge_resources(pathlib.Path(sys.argv[6]), wanted)
    judge_lines(pathlib.Path(sys.argv[7]), wanted)
    judge_proof(pathlib.Path(sys.argv[8]), wanted)
