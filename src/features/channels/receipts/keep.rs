//! The job that writes down what was delivered: in groups, every few seconds, so that a commit is held up by little and a frame by
//! nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::{Value, json};

use super::spans::{Page, pages};
use super::sql::{self, PageKey};
use crate::kernel::base::{ChannelId, Micros, Refusal, Stop, UserId};
use crate::kernel::engine::roll::delivered::Span;
use crate::kernel::engine::{Data, Engine, Reply, Write};
use crate::kernel::policy::{Right, Subject};

/// How often, twice: what a crash may take from receipts.
const EVERY: Duration = Duration::from_secs(1);
/// Spans of one write, in two statements: less than a commit takes.
const SPANS_MAX: usize = 128;

/// The internal op.
pub const KEEP: &str = "receipt.keep";

/// Writes down what was delivered, for as long as the engine runs. `by` has the authority of the host.
pub async fn keep(engine: Engine, by: Subject) {
    let mut failing = false;
    loop {
        tokio::time::sleep(EVERY).await;
        let (written, refused) = write_down(&engine, &by).await;
        // Said once: a database that is away stays away for more than one round.
        if let (false, Some(refusal)) = (failing, &refused) {
            tracing::warn!(code = refusal.code.text(), "What was delivered is not being written down");
        }
        failing = refused.is_some();
        // A reader whose snapshot is older than the commit still finds them on the roll.
        tokio::time::sleep(EVERY).await;
        engine.shared().roll.delivered.settle(&written);
    }
}

/// Writes down what was delivered so far: the last thing before a server stops.
pub async fn settle(engine: &Engine, by: &Subject) {
    let (written, refused) = write_down(engine, by).await;
    if let Some(refusal) = refused {
        tracing::warn!(code = refusal.code.text(), "The last of what was delivered was not written down");
    }
    engine.shared().roll.delivered.settle(&written);
}

/// Gives what was written, and why not all of it was.
async fn write_down(engine: &Engine, by: &Subject) -> (Vec<(UserId, ChannelId, Span)>, Option<Refusal>) {
    let mut waiting = engine.shared().roll.delivered.waiting();
    let (mut written, mut refused) = (0, None);
    for spans in waiting.chunks(SPANS_MAX) {
        if let Err(refusal) = engine.run_internal(by.clone(), KEEP, told(spans)).await {
            refused = Some(refusal);
            break;
        }
        written += spans.len();
    }
    waiting.truncate(written);
    (waiting, refused)
}

fn told(spans: &[(UserId, ChannelId, Span)]) -> Data {
    let list = spans.iter().map(|(user, channel, span)| json!([user, channel, span.first, span.last, span.at]));
    [("delivered".to_owned(), Value::Array(list.collect()))].into_iter().collect()
}

/// `receipt.keep`
pub async fn write(cx: &mut Write<'_>, data: &Data) -> Result<Reply, Stop> {
    cx.permit_server(Right::Administer)?;
    let wrong = || Refusal::invalid("delivered", "A list of person, channel, first and last `seq`, microseconds.");
    let mut spans: Vec<(UserId, ChannelId, i64, i64, Micros)> = Vec::new();
    for span in data.get("delivered").and_then(Value::as_array).ok_or_else(wrong)? {
        spans.push(serde_json::from_value(span.clone()).map_err(|_| wrong())?);
    }
    let mut held: BTreeMap<PageKey, Page> = BTreeMap::new();
    for (user, channel, first, last, _) in &spans {
        held.extend(pages(*first, *last).map(|(page, _, _)| ((*channel, page, *user), Page::default())));
    }
    for (channel, page, user, text) in sql::pages_of(cx.ledger().tx(), held.keys().copied()).await? {
        // A row that somebody damaged is begun anew, and says less than it did: it must not hold up everybody else's.
        let page_held = Page::read(&text).unwrap_or_else(|_| {
            tracing::error!(channel.id = %channel, page, "What was delivered cannot be read; the page is begun anew");
            Page::default()
        });
        held.insert((channel, page, user), page_held);
    }
    let mut fresh: BTreeSet<PageKey> = BTreeSet::new();
    for (user, channel, first, last, at) in spans {
        for (page, start, end) in pages(first, last) {
            let key = (channel, page, user);
            if held.entry(key).or_default().add(start, end, at) {
                fresh.insert(key);
            }
        }
    }
    if !fresh.is_empty() {
        held.retain(|key, _| fresh.contains(key));
        sql::set_pages(cx.ledger().change(), held.iter().map(|(key, page)| (*key, page.text()))).await?;
    }
    Ok(Reply::Plain(Data::new()))
}
