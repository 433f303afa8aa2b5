//! The work behind a session: resumes, decisions made again when rights move, pages. One piece at a time, each in a task.
//! Does not know queues' order or what was sent to whom last; it moves positions and the list of what is behind.

use std::collections::{HashMap, HashSet};

use tokio::time::{Duration, Instant, sleep};
use tokio_util::task::AbortOnDropHandle;

use super::{CATEGORY, Delivery, Done, End, Kind, Position, Resuming, Session, WORD_WAIT};
use crate::kernel::base::{ChannelId, Code, Fault, Refusal, Stop};
use crate::kernel::live::hub::Place;
use crate::kernel::live::pages::{self, Caller, Page, Survey};
use crate::kernel::live::queue::{ME, Standing};
use crate::kernel::live::resume::{self, Answer, Asked, Plan};
use crate::kernel::policy::audit::Draft;

/// How long a connection outlasts a database that is away; then its peer comes again by itself.
const AWAY_WAIT: Duration = Duration::from_secs(120);
/// How long somebody who asked is kept waiting before being told `busy`.
const ASKED_WAIT: Duration = Duration::from_secs(5);
/// Between two tries, at first and in the end.
const PAUSE_MIN: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(2);

impl Session {
    /// Starts what has to be read next, if nothing is under way.
    pub(super) fn work(&mut self) {
        if self.epoch.is_some() && !self.is_decided() {
            return self.recheck();
        }
        if self.working.is_some() || self.page.is_some() {
            return;
        }
        while let Some(channel) = self.behind.front().copied() {
            match self.followed.get_mut(&channel) {
                Some(position) if position.sent < position.known => {
                    let (caller, after) = (self.caller.clone(), position.sent);
                    return self.start(Kind::Page, move || {
                        let caller = caller.clone();
                        async move { Ok(Done::Page(channel, pages::page(&caller, channel, after).await?)) }
                    });
                }
                Some(position) => position.behind = false,
                None => {}
            }
            self.behind.pop_front();
        }
        if let Some(resuming) = self.resuming.take() {
            self.ready.push_back(Delivery::Resumed { id: resuming.id, answer: Ok(resuming.answer.to_json()) });
        } else if let Some((id, asked)) = self.asked.pop_front() {
            self.place.queue.set_following();
            let followed: HashSet<ChannelId> = self.followed.keys().copied().collect();
            let question = (self.caller.clone(), asked.clone(), followed);
            self.resuming = Some(Box::new(Resuming { id, asked, answer: Answer::default(), starts: HashSet::new() }));
            self.start(Kind::Resume, move || {
                let (caller, asked, followed) = question.clone();
                async move { decide(&caller, &asked, &followed).await }
            });
        }
    }

    fn recheck(&mut self) {
        // A page is read again afterwards; the others finish first.
        if self.working.as_ref().is_some_and(|(kind, _)| *kind != Kind::Page) {
            return;
        }
        let queue = &self.place.queue;
        let since = *self.stale_since.get_or_insert_with(Instant::now);
        let expired = self.until.is_some_and(|until| self.now() >= until);
        if !(queue.is_recheck_asked() || expired || since.elapsed() >= WORD_WAIT) {
            return;
        }
        // In this order, and before anything is read: word that comes later asks for another decision.
        queue.take_recheck();
        self.fresh = queue.take_fresh();
        self.stale_since = None;
        let question = (self.caller.clone(), self.follows_all.then(|| self.seen.clone()));
        self.start(Kind::Recheck, move || {
            let (caller, seen) = question.clone();
            async move { decide_again(&caller, seen.as_ref()).await }
        });
    }

    fn start<W>(&mut self, kind: Kind, work: impl Fn() -> W + Send + 'static)
    where
        W: Future<Output = Result<Done, Stop>> + Send + 'static,
    {
        let wait = if kind == Kind::Resume { ASKED_WAIT } else { AWAY_WAIT };
        self.working = Some((kind, AbortOnDropHandle::new(tokio::spawn(outlast(wait, work)))));
    }

    fn start_heads(&mut self) {
        let question = (self.caller.clone(), self.patients.clone());
        self.start(Kind::Heads, move || {
            let (caller, patients) = question.clone();
            async move { Ok(Done::Heads(pages::heads(&caller, &patients).await?)) }
        });
    }

    pub(super) fn finish(&mut self, kind: Kind, done: Result<Done, Stop>) {
        match done {
            Ok(Done::Resume(survey, plan)) => self.begin(&survey, &plan),
            Ok(Done::Recheck(survey)) => self.begin_again(&survey),
            Ok(Done::Heads(heads)) => {
                for (channel, head) in heads {
                    if let Some(position) = self.followed.get_mut(&channel).filter(|position| position.sent < head) {
                        position.hear(head, channel, &mut self.behind);
                    }
                }
            }
            Ok(Done::Page(channel, None)) => self.lose(channel),
            Ok(Done::Page(channel, Some(page))) => self.take(channel, page),
            Err(stop) if kind == Kind::Resume => {
                if let Some(resuming) = self.resuming.take() {
                    self.ready.push_back(Delivery::Resumed { id: resuming.id, answer: Err(failed(&stop)) });
                }
            }
            Err(stop) => self.ready.push_back(Delivery::End(match failed(&stop).code {
                Code::Unauthenticated => End::Ended,
                Code::Sealed => End::Sealed,
                _ => End::Failed,
            })),
        }
    }

    fn take(&mut self, channel: ChannelId, page: Page) {
        let after = self.followed.get(&channel).map(|position| position.sent);
        if after == Some(page.through) && page.frames.is_empty() {
            // Heard of, but not there: reading again would go on for ever.
            tracing::error!(channel.id = %channel, seq = page.through, "An entry was announced that cannot be read");
            self.ready.push_back(Delivery::End(End::Failed));
            return;
        }
        if let Some(resuming) = self.resuming.as_mut().filter(|resuming| resuming.starts.contains(&channel)) {
            resuming.answer.add_gaps(channel, &page.gaps);
        }
        self.page = Some(page);
    }

    fn begin(&mut self, survey: &Survey, plan: &Plan) {
        let Some(resuming) = self.resuming.as_mut() else { return };
        resuming.answer = Answer::new(&resuming.asked, plan);
        resuming.starts = plan.starts.keys().copied().collect();
        self.follows_all |= resuming.asked.follow.is_none();
        // What was followed before keeps its epoch: if that has passed, all of it is decided again.
        self.epoch.get_or_insert(survey.epoch);
        for (channel, sent) in &plan.starts {
            self.follow(*channel, *sent, survey);
        }
        self.seen.extend(survey.readable.keys());
        self.settle(survey);
    }

    fn begin_again(&mut self, survey: &Survey) {
        self.epoch = Some(survey.epoch);
        let fresh = std::mem::take(&mut self.fresh);
        let followed: Vec<(ChannelId, i64)> = self.followed.iter().map(|(id, position)| (*id, position.sent)).collect();
        for (channel, sent) in followed {
            if channel == ME || survey.readable.contains_key(&channel) {
                let found = self.followed.get(&channel).and_then(|position| position.found);
                let owed = fresh.get(&channel).filter(|first| found == Some(sent) && **first <= sent);
                self.follow(channel, owed.map_or(sent, |first| first - 1), survey);
            } else {
                self.lose(channel);
            }
        }
        if self.follows_all {
            for (channel, stand) in survey.readable.iter().filter(|(channel, _)| !self.seen.contains(*channel)) {
                let first = fresh.get(channel);
                let sent = first.map_or(stand.head, |first| (first - 1).min(stand.head));
                follow(&mut self.place, &mut self.followed, *channel, sent, survey);
                if let Some(position) = self.followed.get_mut(channel).filter(|_| first.is_none()) {
                    position.found = Some(sent);
                }
            }
        }
        self.seen = survey.readable.keys().copied().collect();
        self.settle(survey);
    }

    fn follow(&mut self, channel: ChannelId, sent: i64, survey: &Survey) {
        follow(&mut self.place, &mut self.followed, channel, sent, survey);
    }

    /// The decision is in force; what came while it was made is looked for.
    fn settle(&mut self, survey: &Survey) {
        let followed = survey.readable.iter().filter(|(channel, _)| self.followed.contains_key(channel));
        self.until = followed.filter_map(|(_, stand)| stand.until).min();
        self.patients = survey.readable.values().map(|stand| stand.patient).collect();
        self.patients.sort_unstable();
        self.patients.dedup();
        self.start_heads();
    }

    fn lose(&mut self, channel: ChannelId) {
        self.place.unfollow(channel);
        self.followed.remove(&channel);
        if let Some(resuming) = &mut self.resuming {
            resuming.answer.lose(channel);
        }
    }
}

fn follow(
    place: &mut Place,
    followed: &mut HashMap<ChannelId, Position>,
    channel: ChannelId,
    sent: i64,
    survey: &Survey,
) {
    if channel == ME {
        place.queue.follow_me(survey.epoch);
    } else {
        let until = survey.readable.get(&channel).and_then(|stand| stand.until);
        place.follow(channel, Standing { epoch: survey.epoch, until });
    }
    let position = followed.entry(channel).or_insert(Position { sent, known: sent, behind: false, found: None });
    position.sent = sent;
}

/// Does the work again while the database is away: what is owed is still there when it is back, and nothing new comes before.
async fn outlast<W>(wait: Duration, work: impl Fn() -> W + Send + 'static) -> Result<Done, Stop>
where
    W: Future<Output = Result<Done, Stop>> + Send + 'static,
{
    let since = Instant::now();
    let mut pause = PAUSE_MIN;
    loop {
        let done = work().await;
        let away = match &done {
            Err(Stop::Failed(fault)) => fault.is_away(),
            Err(Stop::Refused(refusal)) => refusal.code == Code::Busy,
            Ok(_) => false,
        };
        if !away || since.elapsed() + pause > wait {
            return done;
        }
        sleep(pause).await;
        pause = (pause * 2).min(PAUSE_MAX);
    }
}

/// What is told; a failure of ours is logged here.
pub(super) fn failed(stop: &Stop) -> Refusal {
    if let Stop::Failed(fault) = stop {
        metrics::counter!("carethread_faults_total").increment(1);
        match fault {
            // The text of a database error may quote a value.
            Fault::Database(_) => tracing::error!("The database failed a session"),
            other => tracing::error!(error = %other, "A session failed"),
        }
    }
    stop.refusal()
}

async fn decide(caller: &Caller, asked: &Asked, followed: &HashSet<ChannelId>) -> Result<Done, Stop> {
    let survey = pages::survey(caller).await?;
    let plan = resume::plan(asked, &survey, followed);
    let done = opened(caller, resume::ranges(&plan, &survey));
    let refused = plan.refused.then(|| Draft { outcome: Code::NotFound.text(), ranges: Vec::new(), ..done.clone() });
    caller.engine.audit(std::iter::once(done).chain(refused).collect()).await?;
    Ok(Done::Resume(survey, plan))
}

async fn decide_again(caller: &Caller, seen: Option<&HashSet<ChannelId>>) -> Result<Done, Stop> {
    let survey = pages::survey(caller).await?;
    let new = survey.readable.iter().filter(|(channel, _)| seen.is_some_and(|seen| !seen.contains(*channel)));
    let ranges: Vec<_> = new.map(|(channel, stand)| (*channel, stand.head + 1, stand.head)).collect();
    if !ranges.is_empty() {
        caller.engine.audit(vec![opened(caller, ranges)]).await?;
    }
    Ok(Done::Recheck(survey))
}

/// The row that stands before the first event of these channels leaves.
fn opened(caller: &Caller, ranges: Vec<(ChannelId, i64, i64)>) -> Draft {
    Draft {
        actor: Some(caller.user),
        session: Some(caller.session),
        address: caller.address,
        action: "resume".into(),
        category: CATEGORY,
        ranges,
        outcome: "done",
        ..Draft::default()
    }
}
