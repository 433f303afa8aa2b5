//! `demo`: a server on fresh data in a temporary folder, with real sample patients, a team that talks, and lines to paste.
//! Everything goes through the commands and the engine, as it would at a site. Ended, it leaves nothing behind.

mod people;
mod samples;
mod story;
mod work;

use std::io::ErrorKind;
use std::net::TcpListener;
use std::path::Path;
use std::sync::Arc;

use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::arguments::{Demo, Place};
use super::print;
use super::spare::Spare;
use crate::kernel::base::config::{Config, Database};
use crate::kernel::engine::Silent;
use crate::server::serve::{Ready, Start};
use crate::server::{Folder, Node, init, serve, settings};
use people::Person;
use story::Told;

/// The organization that owns the record.
const CUSTODIAN: &str = "Riverside Clinic";

/// Fills a folder, serves it, says how to sign in; until a signal.
///
/// # Errors
/// A sentence when the folder or the address cannot be used.
pub async fn demo(place: &Place, typed: Demo) -> anyhow::Result<()> {
    let spare = Spare::new()?;
    let folder = Folder::new(&spare.path().join("data"));
    let mut config = settings::read(&folder, place.config.as_deref(), None)?;
    // Nothing of a demonstration is left in a database that is used for something.
    config.database = Database::default();
    let chart = spare.path().join("chart");
    std::fs::create_dir(&chart)?;
    work::furnish(&mut config, chart.clone());
    init::init(&folder, &config, Some(CUSTODIAN)).await?;
    let (people, told) = fill(&folder, &config).await?;
    let listen = free(typed.listen);
    let json = place.json;
    let start = Start { folder, listen, config };
    serve::serve(start, CancellationToken::new(), move |ready| {
        // Nobody reads it: then nobody waits for it either.
        let _ = if json {
            print::lines([object(ready, &people, &told)])
        } else {
            print::lines(lines(ready, &people, &told, &chart))
        };
    })
    .await
}

async fn fill(folder: &Folder, config: &Config) -> anyhow::Result<(Vec<Person>, Told)> {
    let node = Node::open_unsealed(folder.clone(), config.clone(), Arc::new(Silent)).await?;
    let people = people::sign_up(&node).await?;
    let told = story::tell(&node, &people).await?;
    node.close().await;
    Ok((people, told))
}

/// The address, or another port of the host when somebody has it.
fn free(listen: String) -> String {
    let taken = TcpListener::bind(&listen).is_err_and(|error| error.kind() == ErrorKind::AddrInUse);
    match listen.rsplit_once(':') {
        Some((host, _)) if taken => format!("{host}:0"),
        _ => listen,
    }
}

fn object(ready: &Ready, people: &[Person], told: &Told) -> String {
    let shown = |person: &Person| {
        json!({
            "handle": person.role.handle, "name": person.role.name, "password": person.password, "token": person.token,
            "user": person.user,
        })
    };
    let people: Vec<_> = people.iter().map(shown).collect();
    json!({ "url": ready.url, "people": people, "patients": told.patients, "channel": told.channel, "item": told.item })
        .to_string()
}

fn lines(ready: &Ready, people: &[Person], told: &Told, chart: &Path) -> Vec<String> {
    let url = &ready.url;
    let mut lines = vec![format!("listening on {url}")];
    lines.extend(people.iter().map(|person| format!("{:<6} {} {}", person.role.handle, person.password, person.token)));
    let [first, second, ..] = people else { return lines };
    let socket = url.replacen("https", "wss", 1);
    let data = json!({ "channel": told.channel, "item": told.item, "text": "BP 150/90, recheck at six" });
    let post = format!("{{\"op\":\"message.post\",\"data\":{data}}}");
    lines.extend([
        String::new(),
        format!(
            "Open {url} in a browser and sign in as one of them (the certificate is the demo's own).",
            url = ready.url
        ),
        format!("What is filed to the receiver \"{}\" lies in {}.", work::TARGET, chart.display()),
        String::new(),
        format!("Listen as {} (pip install websockets), pasting the two frames:", first.role.name),
        format!("python3 -m websockets --insecure {socket}/v1/ws"),
        format!("{{\"id\":1,\"op\":\"login\",\"data\":{{\"token\":\"{}\"}}}}", first.token),
        "{\"id\":2,\"op\":\"resume\"}".into(),
        String::new(),
        format!("Write as {}, in another terminal:", second.role.name),
        format!("curl -sk {url}/v1/ops -H 'Authorization: Bearer {}' -d '{post}'", second.token),
        String::new(),
        "What is there to see:".into(),
        format!("curl -sk {url}/v1/ops -H 'Authorization: Bearer {}' -d '{{\"op\":\"channel.list\"}}'", first.token),
        String::new(),
        "All of it is gone when this ends: Ctrl-C.".into(),
    ]);
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_taken_port_is_passed_over() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap().to_string();
        assert_eq!(free(address.clone()), "127.0.0.1:0");
        drop(taken);
        assert_eq!(free(address.clone()), address);
    }
}
