//! Documents made by hand, read by what can be told without a reader of PDF; `tests/it/transcript.rs` reads them with one.

use super::super::block::{Block, Chapter, Line};
use super::letters::Letters;
use super::lines::lines;
use super::*;

fn document(words: &[&str]) -> Vec<u8> {
    let mut pile = Pile::default();
    let title = Line::ours("Care team transcript: ").told("Ruth Okafor");
    pile.put(Block::Title(title, Vec::new())).expect("kept");
    pile.put(Block::Section { chapter: Chapter::Head, anchor: "about".into(), title: Line::ours("About") })
        .expect("kept");
    pile.put(Block::Facts(vec![("Patient".into(), Line::theirs("Ruth Okafor"))])).expect("kept");
    words.iter().for_each(|text| pile.put(Block::Paragraph(Line::theirs(*text))).expect("kept"));
    pile.print(1_772_464_200_000_000, &crate::features::chart::Progress::default()).expect("a valid document")
}

fn holds(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

#[test]
fn any_text_makes_a_document_that_keeps_the_rules() {
    let long = "x".repeat(8000);
    let hostile = crate::features::chart::transcript::tests::HOSTILE;
    let bytes = document(&[
        hostile,
        &long,
        "漢字 😀 \u{e000}\u{feff}\u{f8ff}",
        "\u{202e}\u{200b}",
        "",
        " ",
        "a\u{301}\u{301}",
        "ŠŽ Ελληνικά Кириллица",
        "مرحبا بالعالم (abc) 123",
    ]);
    assert!(bytes.starts_with(b"%PDF-1.7"));
    for part in [
        b"pdfaid:part>2".as_slice(),
        b"pdfaid:conformance>A",
        b"pdfuaid:part>1",
        b"/OutputIntents",
        b"/StructTreeRoot",
        b"/MarkInfo",
        b"/Outlines",
    ] {
        assert!(holds(&bytes, part), "{}", String::from_utf8_lossy(part));
    }
    assert_eq!(
        bytes,
        document(&[
            hostile,
            &long,
            "漢字 😀 \u{e000}\u{feff}\u{f8ff}",
            "\u{202e}\u{200b}",
            "",
            " ",
            "a\u{301}\u{301}",
            "ŠŽ Ελληνικά Кириллица",
            "مرحبا بالعالم (abc) 123"
        ]),
        "the same at the same time"
    );
}

#[test]
fn lines_hold_all_of_a_text_and_none_is_too_wide() {
    let mut letters = Letters::new().expect("fonts");
    for text in [
        "one two three four five six seven",
        "superlongwordwithoutanybreakinit and more",
        "a  b",
        "x",
        "",
        "שלום עולם abc",
        "well-known hyphenated-words",
    ] {
        for room in [3.0, 8.0, 40.0] {
            let laid = lines(&mut letters, text, false, room);
            let told: String = laid.iter().flat_map(|line| &line.pieces).map(|piece| piece.text.as_str()).collect();
            let (mut told, mut all): (Vec<char>, Vec<char>) = (told.chars().collect(), text.chars().collect());
            told.sort_unstable();
            all.sort_unstable();
            assert_eq!(told, all, "{text} in {room}");
            // A space at the end of a line may hang over.
            assert!(laid.iter().all(|line| line.width <= room + 0.7), "{text} in {room}");
        }
    }
    assert!(lines(&mut letters, "שלום", false, 40.0)[0].backwards);
    assert_eq!(letters.uncovered, 0);
    lines(&mut letters, "漢字 x \u{200d}", false, 40.0);
    assert_eq!(letters.uncovered, 2);
}
