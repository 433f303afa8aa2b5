//! Pages: lines are put one under the other, and a page is drawn when it is full. Which piece of content belongs to which tag is kept until
//! the end, when the tree of tags is made.

use std::collections::{HashMap, VecDeque};

use krilla::Document;
use krilla::geom::Point;
use krilla::page::PageSettings;
use krilla::tagging::{Artifact, ArtifactType, ContentTag, Identifier, Node, SpanTag, TagGroup, TagId, TagKind};

use super::letters::Letters;
use super::lines::{Laid, lines};
use crate::kernel::base::Fault;

/// A4 in points, and its margins.
const PAGE: (f32, f32) = (595.276, 841.89);
const MARGIN: f32 = 50.0;
/// What is between the margins.
pub const WIDTH: f32 = PAGE.0 - 2.0 * MARGIN;
/// Of one line, in units of its font size.
const LINE: f32 = 1.35;

/// How a paragraph looks; lengths in points.
#[derive(Clone, Copy)]
pub struct Look {
    pub size: f32,
    pub bold: bool,
    pub indent: f32,
    /// Free space above.
    pub above: f32,
}

/// One paragraph; what tags it finds its content by it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct BlockId(u64);

/// A line at its place.
struct Placed {
    block: BlockId,
    y: f32,
    /// Between these ends.
    left: f32,
    right: f32,
    look: Look,
    line: Laid,
}

/// The pages of a document.
pub struct Leaves {
    document: Document,
    letters: Letters,
    placed: Vec<Placed>,
    /// Where the next line goes.
    y: f32,
    pages: usize,
    blocks: u64,
    content: HashMap<BlockId, Vec<Identifier>>,
    /// At the foot of each page.
    name: String,
}

/// The content of each paragraph.
pub struct Contents(HashMap<BlockId, Vec<Identifier>>);

/// A group that is going to hold the content of a paragraph.
pub fn held(tag: impl Into<TagKind>, block: BlockId) -> TagGroup {
    let tag = tag.into().with_id(Some(TagId::from(format!("b{}", block.0).into_bytes())));
    TagGroup::new(tag)
}

impl Leaves {
    /// None yet.
    pub fn new(document: Document) -> Result<Self, Fault> {
        let (letters, content) = (Letters::new()?, HashMap::new());
        Ok(Self { document, letters, placed: Vec::new(), y: MARGIN, pages: 0, blocks: 0, content, name: String::new() })
    }

    /// What stands at the foot of each page.
    pub fn call(&mut self, name: &str) {
        name.clone_into(&mut self.name);
    }

    /// Characters that no font has.
    pub fn uncovered(&self) -> u64 {
        self.letters.uncovered
    }

    /// The page the last line stands on, from 0.
    pub fn page(&self) -> usize {
        self.pages
    }

    /// Puts a paragraph below what is there.
    pub fn put(&mut self, text: &str, look: Look) -> Result<BlockId, Fault> {
        self.blocks += 1;
        let block = BlockId(self.blocks);
        let room = (WIDTH - look.indent) / look.size;
        let laid = lines(&mut self.letters, text, look.bold, room);
        self.y += look.above;
        // A heading does not stand alone at the foot of a page.
        let together = if look.bold && look.size > 9.5 { 4.0 } else { 1.0 };
        if self.y + together * look.size * LINE > PAGE.1 - MARGIN {
            self.turn()?;
        }
        for line in laid {
            if self.y + look.size * LINE > PAGE.1 - MARGIN {
                self.turn()?;
            }
            self.y += look.size * LINE;
            let (left, right) = (MARGIN + look.indent, PAGE.0 - MARGIN);
            self.placed.push(Placed { block, y: self.y, left, right, look, line });
        }
        Ok(block)
    }

    /// Puts texts beside each other below what is there, each between its left end and as far as it is wide. What does not fit on the
    /// page goes on at the same place of the next.
    pub fn row(&mut self, cells: &[(&str, f32, f32)], look: Look) -> Result<Vec<BlockId>, Fault> {
        let (height, bottom) = (look.size * LINE, PAGE.1 - MARGIN);
        let mut waiting = Vec::with_capacity(cells.len());
        for (text, left, width) in cells {
            self.blocks += 1;
            let laid: VecDeque<Laid> = lines(&mut self.letters, text, look.bold, width / look.size).into();
            waiting.push((BlockId(self.blocks), MARGIN + left, MARGIN + left + width, laid));
        }
        self.y += look.above;
        if self.y + height > bottom {
            self.turn()?;
        }
        loop {
            let mut lowest = self.y;
            for (block, left, right, laid) in &mut waiting {
                let (block, left, right, mut y) = (*block, *left, *right, self.y);
                while y + height <= bottom
                    && let Some(line) = laid.pop_front()
                {
                    y += height;
                    self.placed.push(Placed { block, y, left, right, look, line });
                }
                lowest = lowest.max(y);
            }
            self.y = lowest;
            if waiting.iter().all(|(_, _, _, laid)| laid.is_empty()) {
                return Ok(waiting.into_iter().map(|(block, ..)| block).collect());
            }
            self.turn()?;
        }
    }

    /// Draws the page and begins the next.
    fn turn(&mut self) -> Result<(), Fault> {
        const SIZE: Fault = Fault::Defect("A4 is no size of a page");
        let settings = PageSettings::from_wh(PAGE.0, PAGE.1).ok_or(SIZE)?;
        let mut page = self.document.start_page_with(settings);
        let mut surface = page.surface();
        for Placed { block, y, left, right, look, line } in self.placed.drain(..) {
            if line.pieces.iter().all(|piece| piece.glyphs.is_empty()) {
                continue;
            }
            let content = surface.start_tagged(ContentTag::Span(SpanTag::empty()));
            self.content.entry(block).or_default().push(content);
            let mut x = if line.backwards { (right - line.width * look.size).max(left) } else { left };
            for piece in line.pieces {
                surface.draw_glyphs(Point::from_xy(x, y), &piece.glyphs, piece.font, &piece.text, look.size, false);
                x += piece.width * look.size;
            }
            surface.end_tagged();
        }
        surface.start_tagged(ContentTag::Artifact(Artifact::with_kind(ArtifactType::Footer)));
        let foot = lines(&mut self.letters, &format!("{} – page {}", self.name, self.pages + 1), false, 70.0);
        let mut x = MARGIN;
        for piece in foot.into_iter().take(1).flat_map(|line| line.pieces) {
            surface.draw_glyphs(
                Point::from_xy(x, PAGE.1 - MARGIN / 2.0),
                &piece.glyphs,
                piece.font,
                &piece.text,
                7.5,
                false,
            );
            x += piece.width * 7.5;
        }
        surface.end_tagged();
        surface.finish();
        page.finish();
        self.pages += 1;
        self.y = MARGIN;
        Ok(())
    }

    /// Draws the last page.
    pub fn finish(mut self) -> Result<(Document, Contents), Fault> {
        self.turn()?;
        Ok((self.document, Contents(self.content)))
    }
}

impl Contents {
    /// Puts the content of paragraphs where their tags are.
    pub fn fill(&self, group: &mut TagGroup) {
        // The library marks ids that were given to it by a `U`.
        let id = group.tag.id().map(|id| id.as_bytes().to_vec());
        let block = id.and_then(|id| String::from_utf8(id).ok()?.strip_prefix("Ub")?.parse().ok()).map(BlockId);
        if let Some(content) = block.and_then(|block| self.0.get(&block)) {
            content.iter().for_each(|one| group.push(*one));
        }
        group.tag.set_id(None);
        for child in &mut group.children {
            if let Node::Group(child) = child {
                self.fill(child);
            }
        }
    }
}
