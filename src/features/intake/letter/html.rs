//! HTML of a mail as the text a person reads: blocks become lines, lists get marks, quotes keep theirs. Nothing is loaded, nothing that is
//! not shown is kept: scripts, styles, comments, addresses of images.
//! Does not know: MIME, forwards. One pass, no tree, so that no nesting costs anything.

use mail_parser::decoders::html::add_html_token;

/// Elements of which nothing is shown.
const HIDDEN: [&str; 9] = ["head", "style", "script", "template", "title", "noscript", "object", "svg", "select"];
/// Elements that stand on lines of their own.
const BLOCKS: [&str; 22] = [
    "div", "table", "tr", "ul", "ol", "li", "dl", "dt", "dd", "section", "article", "header", "footer", "center",
    "form", "fieldset", "address", "caption", "body", "html", "main", "figure",
];
/// Blocks with an empty line around them.
const PARAGRAPHS: [&str; 9] = ["p", "h1", "h2", "h3", "h4", "h5", "h6", "blockquote", "pre"];
/// Characters of an entity: the longest has 33 (HTML 13.5).
const ENTITY_CHARS_MAX: usize = 40;
/// Marks of quoting before a line.
const QUOTES_MAX: usize = 8;

/// The text of a piece of HTML.
pub(super) fn reduce(html: &str) -> String {
    let mut page = Page { out: String::with_capacity(html.len() / 2), ..Page::default() };
    let mut rest = html;
    while let Some(at) = rest.find('<') {
        let (text, tag) = rest.split_at(at);
        page.text(text);
        rest = match tag.as_bytes().get(1) {
            Some(b'!') if tag.starts_with("<!--") => behind(tag.get(4..).unwrap_or_default(), "-->"),
            Some(b'!' | b'?') => behind(tag, ">"),
            Some(next) if next.is_ascii_alphabetic() || *next == b'/' => page.tag(tag),
            // A lone sign of "less than".
            _ => {
                page.text("<");
                tag.get(1..).unwrap_or_default()
            }
        };
    }
    page.text(rest);
    page.out.trim_matches('\n').to_owned()
}

fn behind<'a>(text: &'a str, end: &str) -> &'a str {
    text.find(end).and_then(|at| text.get(at + end.len()..)).unwrap_or_default()
}

#[derive(Default)]
struct Page {
    out: String,
    /// Line breaks that are due before the next word.
    breaks: usize,
    /// A space is due before the next word, unless a line begins.
    space: bool,
    /// Written as it stands: depth of `pre`.
    kept: usize,
    quotes: usize,
    /// Depth of quoting of the last line.
    quoted: usize,
    /// A mark of a list is due.
    mark: bool,
    /// A cell of this row was shown.
    cell: bool,
    /// Hidden elements that are not closed any more.
    unclosed: Vec<String>,
}

impl Page {
    fn text(&mut self, text: &str) {
        if text.is_empty() {
            return;
        }
        let decoded = entities(text);
        if self.kept > 0 {
            for (at, line) in decoded.split('\n').enumerate() {
                if at > 0 {
                    self.breaks += 1;
                }
                let line = line.trim_end_matches('\r');
                if !line.is_empty() {
                    self.begin();
                    self.out.push_str(line);
                }
            }
            return;
        }
        let blank = |c: char| matches!(c, ' ' | '\t' | '\r' | '\n' | '\x0c');
        let mut words = decoded.split(blank).filter(|word| !word.is_empty()).peekable();
        if words.peek().is_none() || decoded.starts_with(blank) {
            self.space = true;
        }
        for word in words {
            self.begin();
            self.out.extend(word.chars().map(|c| if c == '\u{a0}' { ' ' } else { c }).filter(|c| *c != '\u{200b}'));
            self.space = true;
        }
        self.space = decoded.ends_with(blank);
    }

    /// What is due before a word.
    fn begin(&mut self) {
        if self.breaks > 0 || self.out.is_empty() {
            let breaks = if self.out.is_empty() {
                0
            } else if self.kept > 0 {
                self.breaks
            } else {
                self.breaks.min(2)
            };
            let marks = |depth: usize| ">".repeat(depth.min(QUOTES_MAX));
            let between = marks(self.quotes.min(std::mem::replace(&mut self.quoted, self.quotes)));
            let marks = marks(self.quotes);
            for at in 0..breaks {
                while self.out.ends_with(' ') {
                    self.out.pop();
                }
                self.out.push('\n');
                if at + 1 < breaks {
                    self.out.push_str(&between);
                }
            }
            if !marks.is_empty() {
                self.out.push_str(&marks);
                self.out.push(' ');
            }
        } else if self.space {
            self.out.push(' ');
        }
        (self.breaks, self.space) = (0, false);
        if std::mem::take(&mut self.mark) {
            self.out.push_str("- ");
        }
    }

    /// Reads a tag and gives what stands behind it, or behind the whole element where nothing of it is shown.
    fn tag<'a>(&mut self, tag: &'a str) -> &'a str {
        let closes = tag.starts_with("</");
        let inside = tag.get(if closes { 2 } else { 1 }..).unwrap_or_default();
        let length = inside.bytes().take_while(u8::is_ascii_alphanumeric).count();
        let (name, attributes) = inside.split_at(length);
        let name = name.to_ascii_lowercase();
        let end = end_of_tag(attributes);
        let rest = attributes.get(end..).unwrap_or_default();
        let alone = attributes.get(..end).is_some_and(|text| text.ends_with("/>"));
        if !closes && !alone && HIDDEN.contains(&name.as_str()) {
            return self.behind_element(rest, &name);
        }
        self.element(&name, closes, attributes.get(..end).unwrap_or_default());
        rest
    }

    fn behind_element<'a>(&mut self, rest: &'a str, name: &str) -> &'a str {
        let mut from = rest;
        // One that is never closed from here is not closed from farther on either: it is looked for once.
        let closed = !self.unclosed.iter().any(|known| known == name);
        while let Some(at) = from.find("</").filter(|_| closed) {
            let close = from.get(at + 2..).unwrap_or_default();
            if close.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name)) {
                return behind(close, ">");
            }
            from = close;
        }
        if closed {
            self.unclosed.push(name.to_owned());
        }
        // Never closed: what is not shown hides no more than itself.
        rest
    }

    fn element(&mut self, name: &str, closes: bool, attributes: &str) {
        match name {
            "br" => self.breaks += 1,
            "hr" => {
                self.line(1);
                self.begin();
                self.out.push_str("----");
                self.line(1);
            }
            "td" | "th" if !closes => {
                let between = std::mem::replace(&mut self.cell, true) && self.breaks == 0;
                if between {
                    self.out.push('\t');
                }
                self.space &= !between;
            }
            "img" => {
                if let Some(text) = attribute(attributes, "alt").filter(|text| !text.trim().is_empty()) {
                    self.text(&format!("[{}]", text.trim()));
                }
            }
            _ if PARAGRAPHS.contains(&name) => {
                self.line(2);
                match (name, closes) {
                    ("pre", false) => self.kept += 1,
                    ("pre", true) => self.kept = self.kept.saturating_sub(1),
                    ("blockquote", false) => self.quotes += 1,
                    ("blockquote", true) => self.quotes = self.quotes.saturating_sub(1),
                    _ => {}
                }
            }
            _ if BLOCKS.contains(&name) => {
                self.line(1);
                match name {
                    "li" => self.mark = !closes,
                    "tr" => self.cell = false,
                    _ => {}
                }
            }
            _ => {}
        }
    }

    /// So many line breaks at least before the next word. A break that a `br` asked for counts.
    fn line(&mut self, breaks: usize) {
        self.breaks = self.breaks.max(breaks);
        self.space = false;
    }
}

/// Where a tag ends, behind its `>`; one in quotes does not count.
fn end_of_tag(attributes: &str) -> usize {
    let mut quote = None;
    for (at, byte) in attributes.bytes().enumerate() {
        match (quote, byte) {
            (None, b'>') => return at + 1,
            (None, b'"' | b'\'')
                if attributes.as_bytes().get(..at).is_some_and(|before| before.trim_ascii_end().ends_with(b"=")) =>
            {
                quote = Some(byte);
            }
            (Some(open), _) if open == byte => quote = None,
            _ => {}
        }
    }
    // A quote that is never closed: the tag ends at the first sign.
    attributes.find('>').map_or(attributes.len(), |at| at + 1)
}

fn attribute(attributes: &str, name: &str) -> Option<String> {
    let lower = attributes.to_ascii_lowercase();
    let found = lower.match_indices(name).find(|(at, _)| {
        let before = lower.get(..*at).unwrap_or_default();
        before.ends_with(|c: char| c.is_ascii_whitespace())
            && lower.get(at + name.len()..).is_some_and(|behind| behind.trim_start().starts_with('='))
    });
    let value = attributes.get(found?.0 + name.len()..)?.trim_start().strip_prefix('=')?.trim_start();
    let text = match value.chars().next()? {
        quote @ ('"' | '\'') => value.get(1..)?.split(quote).next()?,
        _ => value.split(|c: char| c.is_ascii_whitespace() || c == '>').next()?,
    };
    Some(text.to_owned())
}

/// `&amp;` and the like as what they mean; what means nothing stays.
fn entities(text: &str) -> std::borrow::Cow<'_, str> {
    if !text.contains('&') {
        return text.into();
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('&') {
        let (before, entity) = rest.split_at(at);
        out.push_str(before);
        let end = entity.bytes().take(ENTITY_CHARS_MAX).position(|byte| byte == b';').map(|end| end + 1);
        let word = end
            .and_then(|end| entity.get(1..end - 1))
            .filter(|word| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'#'));
        match (word, end) {
            (Some(_), Some(end)) => {
                add_html_token(&mut out, entity.as_bytes().get(..end).unwrap_or_default(), false);
                rest = entity.get(end..).unwrap_or_default();
            }
            _ => {
                out.push('&');
                rest = entity.get(1..).unwrap_or_default();
            }
        }
    }
    out.push_str(rest);
    out.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_reads_as_a_person_sees_it() {
        let page = "<html><head><title>T</title><style>p{}</style></head><body><p>Dear <b>Mia</b>,</p>\n<p>BP is 150/90 &lt;high&gt;.<br>Please:</p><ul><li>recheck</li><li>call&nbsp;me</li></ul><div>Thanks</div><div>Jo</div></body></html>";
        assert_eq!(reduce(page), "Dear Mia,\n\nBP is 150/90 <high>.\nPlease:\n\n- recheck\n- call me\nThanks\nJo");
    }

    #[test]
    fn what_is_not_shown_or_stands_elsewhere_is_not_there() {
        assert_eq!(reduce("a<script>alert('</p>')</script>b<!-- <p>c</p> -->d"), "abd");
        assert_eq!(
            reduce("<img src=\"http://x.example/t.gif\"><img alt='wound photo' src=cid:1>ok"),
            "[wound photo]ok"
        );
        assert_eq!(reduce("<a href=\"http://x.example/?u=1\">our page</a>"), "our page");
        assert_eq!(reduce("<style>never closed"), "never closed");
    }

    #[test]
    fn quotes_tables_and_plain_passages_keep_their_form() {
        assert_eq!(
            reduce("Hi<blockquote>one<br>two<blockquote>deep</blockquote></blockquote>end"),
            "Hi\n\n> one\n> two\n>\n>> deep\n\nend"
        );
        assert_eq!(
            reduce("<table><tr><th>Day</th><th>BP</th></tr><tr><td>1</td><td>150</td></tr></table>"),
            "Day\tBP\n1\t150"
        );
        assert_eq!(reduce("<pre>a  b\n\n\n  c</pre>"), "a  b\n\n\n  c");
    }

    #[test]
    fn broken_html_loses_no_words() {
        assert_eq!(reduce("5 < 7 & 3 > 2 &nosuch; &#128512; &#x110000;"), "5 < 7 & 3 > 2 &nosuch; \u{1f600} \u{fffd}");
        assert_eq!(reduce("<p title=\"a>b\">x</p><p title=\"never>y"), "x\n\ny");
        assert_eq!(reduce("\u{e4}<\u{e4}>&\u{e4};"), "\u{e4}<\u{e4}>&\u{e4};");
        // One look for the end, not one for each beginning.
        assert_eq!(reduce(&"<style>a</b>".repeat(100_000)).len(), 100_000);
    }
}
