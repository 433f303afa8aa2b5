//! Text of `format=flowed` as paragraphs again (RFC 3676), with `DelSp`.
//! Does not know: MIME, HTML.

use std::fmt::Write as _;

/// A line of a signature's separator is never flowed.
const SIGNATURE: &str = "-- ";

/// Joins what was broken for transport. Lines of one depth of quoting flow into each other; a quoted paragraph keeps its marks.
pub(super) fn unflow(text: &str, delete_space: bool) -> String {
    let mut out = String::with_capacity(text.len());
    // The depth of the paragraph that is not at its end yet.
    let mut open: Option<usize> = None;
    for line in text.split('\n') {
        let line = line.strip_suffix('\r').unwrap_or(line);
        let depth = line.bytes().take_while(|byte| *byte == b'>').count();
        let rest = line.get(depth..).unwrap_or_default();
        let rest = rest.strip_prefix(' ').unwrap_or(rest);
        let flows = rest.ends_with(' ') && rest != SIGNATURE;
        let goes_on = open == Some(depth) && rest != SIGNATURE;
        if !goes_on {
            if open.is_some() {
                out.push('\n');
            }
            for _ in 0..depth {
                out.push('>');
            }
            if depth > 0 {
                out.push(' ');
            }
        }
        let kept = if flows && delete_space { rest.strip_suffix(' ').unwrap_or(rest) } else { rest };
        let _ = out.write_str(kept);
        if flows {
            open = Some(depth);
        } else {
            out.push('\n');
            open = None;
        }
    }
    if out.ends_with('\n') {
        out.pop();
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn soft_breaks_go_and_hard_ones_stay() {
        assert_eq!(unflow("The wound \r\nis dry.\r\n\r\nSee you", false), "The wound is dry.\n\nSee you");
        assert_eq!(unflow(" From here \n>no quote", false), "From here \n> no quote");
        assert_eq!(unflow("Mia\n-- \nWard 3", false), "Mia\n-- \nWard 3");
        assert_eq!(unflow("a \n-- \nb", false), "a \n-- \nb");
        assert_eq!(unflow("", false), "");
    }

    #[test]
    fn deleted_spaces_join_words_of_scripts_without_them() {
        assert_eq!(unflow("\u{3042} \n\u{3044} \n\u{3046}", true), "\u{3042}\u{3044}\u{3046}");
        assert_eq!(unflow("two  \nwords", true), "two words");
    }

    #[test]
    fn quotes_flow_in_their_own_depth() {
        assert_eq!(unflow("> How is \n> she?\n>> Asked \n> Fine", false), "> How is she?\n>> Asked \n> Fine");
    }
}
