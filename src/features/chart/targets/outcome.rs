//! The receiver's own words: an OperationOutcome, with where in what we sent.

use ::http::header::CONTENT_TYPE;
use serde_json::Value;

use super::http::Answer;

/// Issues that are told; a receiver that complains of everything is understood after these.
const ISSUES_MAX: usize = 10;
/// Characters of one text, and of all.
const TEXT_CHARS_MAX: usize = 500;
const WORDS_CHARS_MAX: usize = 4000;

/// Words as they may be shown: one line, bounded.
pub(super) fn tidy(text: &str, most: usize) -> String {
    let mut line = String::new();
    for word in text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty()) {
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    line.chars().take(most).collect()
}

/// What an answer says, after its status.
pub(super) fn words(answer: &Answer) -> String {
    let said = match serde_json::from_slice::<Value>(&answer.body) {
        Ok(body) => issues(&body),
        Err(_) if answer.header(&CONTENT_TYPE).is_some_and(|class| class.starts_with("text/plain")) => {
            vec![tidy(&String::from_utf8_lossy(&answer.body), TEXT_CHARS_MAX)]
        }
        Err(_) => Vec::new(),
    };
    let status = format!("HTTP {}", answer.status);
    let parts: Vec<String> = std::iter::once(status).chain(said).filter(|part| !part.is_empty()).collect();
    tidy(&parts.join(": ").replace(":  ", ": "), WORDS_CHARS_MAX)
}

/// The issues of an OperationOutcome, each as `text (expression)`.
pub(super) fn issues(body: &Value) -> Vec<String> {
    let issues = body["issue"].as_array().map(Vec::as_slice).unwrap_or_default();
    issues.iter().take(ISSUES_MAX).filter_map(issue).collect()
}

fn issue(issue: &Value) -> Option<String> {
    let details = &issue["details"];
    let texts = [&details["text"], &issue["diagnostics"], &details["coding"][0]["display"], &issue["code"]];
    let text = texts.into_iter().find_map(Value::as_str)?;
    let places = issue["expression"].as_array().or_else(|| issue["location"].as_array());
    let places: Vec<&str> = places.into_iter().flatten().filter_map(Value::as_str).take(3).collect();
    let text = tidy(text, TEXT_CHARS_MAX);
    Some(if places.is_empty() { text } else { format!("{text} ({})", tidy(&places.join(", "), TEXT_CHARS_MAX)) })
}
