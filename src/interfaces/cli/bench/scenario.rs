//! The scenarios: each gives a load, measures, and answers with a row ([`super::found`]).
//!
//! Each takes the server it runs against ([`Ground`]) and its own numbers, so that a run against Carethread and one against the
//! limit server stand in one table.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::{Context, ensure};
use futures_util::{SinkExt, StreamExt};
use serde_json::Value;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_tungstenite::tungstenite::Message;

use super::dialect::{Dialect, Member};
use super::found::{Catchup, Fanout, Idle, Rate, per};
use super::histogram::Histogram;
use super::load::{Crowd, Target, Wire};
use super::process;

/// Deliveries before this are not timed: first touches of memory and code.
const WARM_UP: Duration = Duration::from_secs(1);

/// A server and how to speak to it.
#[derive(Clone)]
pub struct Ground {
    /// Where it is.
    pub target: Target,
    /// How to speak.
    pub dialect: Arc<dyn Dialect>,
}

impl Ground {
    /// The members of the first team that has `size` people or more, cut to `size`.
    fn team(&self, size: usize) -> anyhow::Result<Vec<Member>> {
        let teams = self.dialect.teams();
        // The smallest that is large enough: a larger one would deliver to sockets that are not there.
        let best = teams.iter().enumerate().filter(|(_, people)| **people >= size).min_by_key(|(_, people)| **people);
        let (team, _) = best.with_context(|| format!("no team of {size} people"))?;
        Ok((0..size).map(|person| Member { team, person }).collect())
    }

    /// `teams` teams of exactly `size` people.
    fn teams(&self, teams: usize, size: usize) -> anyhow::Result<Vec<Vec<Member>>> {
        let all = self.dialect.teams();
        let fit = all.iter().enumerate().filter(|(_, people)| **people == size).take(teams);
        let found: Vec<Vec<Member>> =
            fit.map(|(team, _)| (0..size).map(|person| Member { team, person }).collect()).collect();
        ensure!(found.len() == teams, "{} teams of {size} people, {teams} are needed", found.len());
        Ok(found)
    }

    fn processor_us(&self) -> anyhow::Result<Option<u64>> {
        self.target.pid.map(process::processor_us).transpose()
    }

    fn resident_kib(&self) -> anyhow::Result<Option<u64>> {
        self.target.pid.map(process::resident_kib).transpose()
    }
}

/// One team of `members` sockets; messages as fast as they come back, for `seconds`.
///
/// # Errors
/// When the sockets cannot be opened or the server's process ends.
pub async fn fanout(ground: &Ground, members: usize, seconds: u64) -> anyhow::Result<Fanout> {
    let team = ground.team(members)?;
    let crowd = Crowd::gather(&ground.target, &ground.dialect, &team).await?;
    // Under the 32 commands a socket may have under way and the 256 frames that may wait for one.
    let (senders, window) = (members.min(32), (64 / members.min(32)).clamp(1, 16));
    crowd.drive(senders, window);
    sleep(WARM_UP).await;
    crowd.tally.measure();
    let tally = &crowd.tally;
    let count = || (tally.delivered.load(Ordering::Relaxed), Instant::now());
    let (processor, (before, start)) = (ground.processor_us()?, count());
    sleep(Duration::from_secs(seconds)).await;
    let ((after, end), processor_after) = (count(), ground.processor_us()?);
    let missing = crowd.rest(members as u64).await;
    let (delivered, elapsed) = (after - before, (end - start).as_secs_f64());
    let processor_us = processor.zip(processor_after).map(|(before, after)| after.saturating_sub(before));
    let found = Fanout {
        server: ground.target.name.clone(),
        members,
        under_way: senders * window,
        messages_per_second: per(delivered, elapsed * per(members as u64, 1.0)),
        deliveries_per_second: per(delivered, elapsed),
        p50_us: tally.delivery.quantile_us(0.5),
        p99_us: tally.delivery.quantile_us(0.99),
        processor_us_per_delivery: processor_us.map(|us| per(us, per(delivered, 1.0))),
        missing,
        fallen: tally.fallen.load(Ordering::Relaxed),
        refused: tally.refused(),
    };
    crowd.leave().await;
    Ok(found)
}

/// A steady rate for `seconds`, whatever comes back: `per_second` messages over `teams` teams of `members` sockets each.
///
/// # Errors
/// As [`fanout`].
pub async fn rate(
    ground: &Ground,
    per_second: u64,
    teams: usize,
    members: usize,
    seconds: u64,
) -> anyhow::Result<Rate> {
    let everyone: Vec<Member> = ground.teams(teams, members)?.into_iter().flatten().collect();
    let crowd = Crowd::gather(&ground.target, &ground.dialect, &everyone).await?;
    let (tally, start) = (&crowd.tally, Instant::now());
    let mut processor = None;
    let warm_up = per_second * WARM_UP.as_secs();
    for number in 0..warm_up + per_second * seconds {
        if number == warm_up {
            tally.measure();
            processor = ground.processor_us()?;
        }
        let due = start + Duration::from_micros(number * 1_000_000 / per_second);
        sleep_until(due).await;
        // A timer may be late by its own grain; more than that is this machine or the server holding us up, and counts.
        let late_us = u64::try_from(due.elapsed().as_micros()).unwrap_or(u64::MAX);
        let stamp_us = tally.now_us() - if late_us > 2000 { late_us } else { 0 };
        let round = usize::try_from(number)?;
        crowd.post((round % teams) * members + (round / teams) % members, stamp_us);
    }
    let processor_us = processor.zip(ground.processor_us()?).map(|(before, after)| after.saturating_sub(before));
    let missing = crowd.rest(members as u64).await;
    let found = Rate {
        server: ground.target.name.clone(),
        asked_per_second: per_second,
        teams,
        members,
        deliveries: tally.delivery.count(),
        p50_us: tally.delivery.quantile_us(0.5),
        p99_us: tally.delivery.quantile_us(0.99),
        longest_us: tally.delivery.longest_us(),
        processor: processor_us.map(|us| per(us, per(seconds, 1.0) * 1e6)),
        missing,
        fallen: tally.fallen.load(Ordering::Relaxed),
        refused: tally.refused(),
    };
    crowd.leave().await;
    Ok(found)
}

/// Opens `sockets` sockets over all teams, lets them rest for `seconds`, and looks at the server's memory.
///
/// # Errors
/// As [`fanout`]; also without a process id, or when this process may not open so many files.
pub async fn idle(ground: &Ground, sockets: usize, seconds: u64) -> anyhow::Result<Idle> {
    let files = process::files_max()?;
    ensure!(sockets + 64 < files, "{sockets} sockets need more than the {files} files allowed here: `ulimit -n`");
    let teams = ground.dialect.teams();
    // Smallest teams first: their people have the fewest sockets of other teams.
    let mut order: Vec<usize> = (0..teams.len()).collect();
    order.sort_by_key(|team| teams[*team]);
    let each = order.iter().flat_map(|&team| (0..teams[team]).map(move |person| Member { team, person }));
    let members: Vec<Member> = each.cycle().take(sockets).collect();
    // The first few touch what every later one shares.
    let first = Crowd::gather(&ground.target, &ground.dialect, &members[..sockets.min(50)]).await?;
    sleep(Duration::from_millis(500)).await;
    let before_kib = ground.resident_kib()?.context("memory needs the process id")?;
    let crowd = Crowd::gather(&ground.target, &ground.dialect, &members[first.len()..]).await?;
    sleep(Duration::from_secs(seconds)).await;
    let after_kib = ground.resident_kib()?.context("memory needs the process id")?;
    let found = Idle {
        server: ground.target.name.clone(),
        sockets,
        open: ground.target.pid.and_then(|pid| process::sockets(pid).ok()),
        before_kib,
        after_kib,
        kib_per_socket: per(after_kib.saturating_sub(before_kib), per(crowd.len() as u64, 1.0)),
        fallen: crowd.tally.fallen.load(Ordering::Relaxed) + first.tally.fallen.load(Ordering::Relaxed),
    };
    tokio::join!(crowd.leave(), first.leave());
    Ok(found)
}

/// Sockets come and go for `seconds`, `at_once` at a time; then one reads the last `entries` of a channel.
///
/// # Errors
/// As [`fanout`].
pub async fn catchup(ground: &Ground, at_once: usize, seconds: u64, entries: usize) -> anyhow::Result<Catchup> {
    let teams = ground.dialect.teams();
    let small = teams.iter().enumerate().min_by_key(|(_, people)| **people).context("no team")?.0;
    let (took, start) = (Arc::new(Histogram::default()), Instant::now());
    let end = start + Duration::from_secs(seconds);
    let mut comers = tokio::task::JoinSet::new();
    for comer in 0..at_once {
        let (ground, took) = (ground.clone(), Arc::clone(&took));
        let team = (small + comer) % teams.len();
        let member = Member { team, person: comer % teams[team] };
        comers.spawn(async move {
            while Instant::now() < end {
                let began = Instant::now();
                let mut wire = ground.target.enter(ground.dialect.as_ref(), member).await?;
                took.add(u64::try_from(began.elapsed().as_micros())?);
                let _ = wire.close(None).await;
            }
            anyhow::Ok(())
        });
    }
    while let Some(comer) = comers.join_next().await {
        comer??;
    }
    let elapsed = start.elapsed().as_secs_f64();
    let member = Member { team: small, person: 0 };
    let history_ms = read_back(ground, member, entries).await?;
    Ok(Catchup {
        server: ground.target.name.clone(),
        entered_per_second: per(took.count(), elapsed),
        p50_us: took.quantile_us(0.5),
        p99_us: took.quantile_us(0.99),
        entries: if history_ms.is_some() { entries } else { 0 },
        history_ms,
    })
}

/// Fills the member's channel with `entries` messages and reads them back five times; the median in milliseconds.
async fn read_back(ground: &Ground, member: Member, entries: usize) -> anyhow::Result<Option<f64>> {
    if ground.dialect.history(member, 1, None, 1).is_none() {
        return Ok(None);
    }
    let crowd = Crowd::gather(&ground.target, &ground.dialect, &[member]).await?;
    crowd.drive(1, 16);
    while crowd.tally.delivered.load(Ordering::Relaxed) < entries as u64 {
        ensure!(crowd.tally.fallen.load(Ordering::Relaxed) == 0, "the server closed while the channel was filled");
        sleep(Duration::from_millis(20)).await;
    }
    crowd.rest(1).await;
    crowd.leave().await;
    let mut wire = ground.target.enter(ground.dialect.as_ref(), member).await?;
    let (mut id, mut took) = (1, Vec::new());
    for _ in 0..5 {
        let (start, mut before, mut left) = (Instant::now(), None, entries);
        while left > 0 {
            id += 1;
            let ask = ground.dialect.history(member, id, before, left.min(200)).context("history was kept before")?;
            wire.send(Message::text(ask)).await?;
            let page = page(&mut wire).await?;
            before = page.first().copied();
            ensure!(before.is_some(), "history ended {left} entries early");
            left -= page.len().min(left);
        }
        took.push(start.elapsed());
    }
    took.sort_unstable();
    Ok(Some(took[2].as_secs_f64() * 1000.0))
}

/// The positions of the next page that comes, ascending.
async fn page(wire: &mut Wire) -> anyhow::Result<Vec<u64>> {
    loop {
        let Message::Text(frame) = wire.next().await.context("the server closed")?? else {
            continue;
        };
        let frame: Value = serde_json::from_str(&frame)?;
        ensure!(frame["type"] != "error", "history is refused: {}", frame["error"]["code"]);
        if frame["type"] == "reply" {
            let events = frame["data"]["events"].as_array().context("a page has events")?;
            return Ok(events.iter().filter_map(|event| event["seq"].as_u64()).collect());
        }
    }
}
