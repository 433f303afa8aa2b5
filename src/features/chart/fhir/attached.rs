//! The files of an entry, as they are offered to the kind of record that carries them.
//! Does not know: FHIR beyond the hash it wants, where a file lies. Which files may be read is decided as for everybody.

use serde::Deserialize;
use serde_json::{Value, json};

use crate::features::chart::source::Source;
use crate::features::files;
use crate::kernel::base::{Code, Fault, FileId, Refusal, Stop};
use crate::kernel::crypto::{attachment_hash, base64};
use crate::kernel::engine::Data;
use crate::kernel::log::Fact;

/// As much of a body as is asked here.
#[derive(Deserialize)]
struct Carries {
    #[serde(default)]
    files: Vec<FileId>,
}

/// What is told of a file.
#[derive(Deserialize)]
struct Listed {
    files: Vec<One>,
}

#[derive(Deserialize)]
struct One {
    id: FileId,
    name: String,
    #[serde(rename = "type")]
    media_type: String,
    size: u64,
    sha256: String,
}

/// The files of an entry in its order, and how many of their bytes are held: those that fit into `room`, the first ones first.
pub(super) async fn attached(source: &Source<'_>, fact: &Fact, room: u64) -> Result<(Vec<Value>, u64), Stop> {
    if fact.files == [0; 32] || fact.withheld {
        return Ok((Vec::new(), 0));
    }
    let Carries { files: ids } = fact.read()?;
    let (mut told, mut held) = (Vec::with_capacity(ids.len()), 0);
    let listed = match listed(source, fact, &ids).await {
        Ok(listed) => listed,
        // Who exports without being a member reads no files: that there are some is said.
        Err(refusal) if matches!(refusal.code, Code::NotFound | Code::Forbidden) => {
            return Ok((ids.iter().map(|id| json!({ "id": id })).collect(), 0));
        }
        Err(refusal) => return Err(refusal.into()),
    };
    for one in listed {
        let mut file = json!({
            "id": one.id, "name": one.name, "type": one.media_type, "size": one.size, "sha256": one.sha256,
        });
        if held + one.size <= room {
            let mut bytes = Vec::new();
            let mut opened = files::open(source.engine, source.subject, fact.channel, one.id).await?;
            while let Some(chunk) = opened.next().await? {
                bytes.extend_from_slice(&chunk);
            }
            held += one.size;
            file["sha1"] = base64(&attachment_hash(&bytes)).into();
            file["data"] = base64(&bytes).into();
        }
        told.push(file);
    }
    Ok((told, held))
}

async fn listed(source: &Source<'_>, fact: &Fact, ids: &[FileId]) -> Result<Vec<One>, Refusal> {
    let mut data = Data::new();
    data.insert("channel".into(), fact.channel.to_string().into());
    data.insert("files".into(), ids.iter().map(|id| Value::from(id.to_string())).collect());
    let answer = source.engine.run_internal(source.subject.clone(), "file.info", data).await?;
    let listed: Result<Listed, _> = serde_json::from_value(answer);
    Ok(listed.map_err(|_| Stop::Failed(Fault::Defect("a list of files cannot be read")).refusal())?.files)
}
