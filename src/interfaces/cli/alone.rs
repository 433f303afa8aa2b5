//! An order is run by the server that holds the folder, or, without one, by this process, which then holds it itself.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{anyhow, bail};

use super::arguments::Place;
use super::commands::{Answer, Command, Order, execute};
use super::{control, print};
use crate::features::chart::Out;
use crate::kernel::base::World;
use crate::kernel::engine::Silent;
use crate::server::{Folder, Hold, Node, Opened};

/// A server that is starting holds the folder but does not answer yet; another command is done soon.
const TRIES: usize = 200;
/// Between two tries: 10 s in all.
const PAUSE: Duration = Duration::from_millis(50);

/// Runs an order wherever it can be run; the files it makes go to `out`.
///
/// # Errors
/// A sentence: there is no data folder, it stays held, or the command is refused.
pub async fn run(place: &Place, mut order: Order, out: &mut dyn Out) -> anyhow::Result<Answer> {
    let folder = place.folder();
    folder.demand_initialised()?;
    for _ in 0..TRIES {
        order = match control::ask(&folder, order, out).await? {
            Ok(answer) => return Ok(answer),
            Err(order) => order,
        };
        if let Some(hold) = folder.try_hold()? {
            return alone(place, folder, hold, order, out).await;
        }
        tokio::time::sleep(PAUSE).await;
    }
    bail!("Another carethread process holds {} and does not answer.", folder.path().display())
}

async fn alone(place: &Place, folder: Folder, hold: Hold, order: Order, out: &mut dyn Out) -> anyhow::Result<Answer> {
    let config = place.settings(&folder)?;
    match Node::open(folder, hold, config, World::system(), Arc::new(Silent)).await? {
        Opened::Sealed(reason, _) => bail!("{reason}"),
        Opened::Open(node) => {
            if !matches!(order.command, Command::VerifyRecord(_)) {
                node.check().await?;
            }
            let outcome = execute(&node, order, out).await;
            node.close().await;
            outcome.map_err(|refusal| anyhow!(print::said(&refusal)))
        }
    }
}
