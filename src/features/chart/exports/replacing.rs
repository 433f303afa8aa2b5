//! When a filing takes the place of what its receiver has: somebody said so, or a document is filed again after entries were changed that
//! an earlier one holds. Then it is whole, and names what it replaces.

use super::keep::{Found, opened};
use super::model::State;
use super::sql;
use crate::features::chart::source::{Part, Source};
use crate::features::chart::transcript::Book;
use crate::features::chart::{ExportRequest, Format};
use crate::kernel::base::{PatientId, Stop, ThingId};
use crate::kernel::engine::Read;

/// Exports that are looked at for one whose place is taken.
const FORMER_MAX: i64 = 200;

/// Whether a form is one document, which is only replaced as a whole.
pub(super) fn is_document(format: Format) -> bool {
    matches!(format, Format::FhirDocument | Format::Html | Format::Pdf)
}

/// What an export to a receiver of files takes the place of; none if it only adds.
pub(super) async fn replaced(
    source: &Source<'_>,
    request: &ExportRequest,
    parts: &[Part],
    found: &Found,
) -> Result<Vec<ThingId>, Stop> {
    if let Some(former) = found.view.supersedes {
        return Ok(vec![former]);
    }
    if !is_document(request.format) {
        return Ok(Vec::new());
    }
    let book = Book::open(source, request, parts).await?;
    if !parts.iter().any(|part| book.is_changed_again(part)) {
        return Ok(Vec::new());
    }
    former(&mut source.read().await?, request.patient, found).await
}

/// The documents that a target has of the same selection, the newest first.
pub(super) async fn former(cx: &mut Read, patient: PatientId, found: &Found) -> Result<Vec<ThingId>, Stop> {
    let mut former = Vec::new();
    for row in sql::newest(cx.tx(), patient, FORMER_MAX).await? {
        if row.id == found.row.id || row.target != found.row.target || row.state != State::Filed.number() {
            continue;
        }
        let (id, one) = (row.id, opened(cx, row).await?);
        // What was chosen otherwise holds other things, and stays.
        if one.view.selection == found.view.selection {
            former.push(id);
        }
    }
    Ok(former)
}
