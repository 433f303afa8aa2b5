//! The decision against a table of rights written down a second time, over standings no feature would make: expired, doubled, family
//! with responsibilities, readers of channels that are not theirs.

use std::collections::HashMap;

use proptest::prelude::*;

use super::access::{Access, Audience, ChannelAccess, ChannelKind, Interval, Member};
use super::{Cover, Holder, Object, PersonKind, Responsibility, Right, Roles, Subject, decide};
use crate::kernel::base::{ChannelId, Code, Micros, PatientId, Refusal, UserId};

const NOW: Micros = 1_000_000;
const PEOPLE: u8 = 4;
const CHANNELS: u8 = 3;

/// What a person is at the patient; a row of the table names all that may.
mod is {
    pub const LEAD: u16 = 1;
    pub const PLAN: u16 = 2;
    pub const BARRIERS: u16 = 4;
    pub const STAFF: u16 = 8;
    pub const FAMILY: u16 = 16;
    /// Staff, while nobody leads.
    pub const LEADERLESS: u16 = 32;
    /// The author of the message, if staff.
    pub const STAFF_AUTHOR: u16 = 64;
    /// The author of the message, if family.
    pub const FAMILY_AUTHOR: u16 = 128;
    /// The member the command is about.
    pub const THEMSELF: u16 = 256;
    pub const COMMAND_LINE: u16 = 512;
    /// The author, by the command line.
    pub const HOST_AUTHOR: u16 = 1024;
    /// A reader of a message of somebody else.
    pub const NOT_AUTHOR: u16 = 2048;
    /// Staff who did not write it.
    pub const NOT_STAFF_AUTHOR: u16 = 4096;
    pub const EVERYBODY: u16 = STAFF | FAMILY | COMMAND_LINE;
    pub const LEADS: u16 = LEAD | LEADERLESS | COMMAND_LINE;
}

fn holder_of(responsibility: Responsibility) -> u16 {
    match responsibility {
        Responsibility::Lead => is::LEAD,
        Responsibility::Plan => is::PLAN,
        Responsibility::Barriers => is::BARRIERS,
    }
}

/// Who may do it in a conversation.
fn in_channel(right: Right) -> u16 {
    match right {
        Right::Read | Right::Post => is::EVERYBODY,
        Right::Document => is::STAFF | is::COMMAND_LINE,
        Right::Amend(_) => is::STAFF_AUTHOR | is::FAMILY_AUTHOR | is::HOST_AUTHOR,
        Right::Retract(_) => is::STAFF_AUTHOR | is::LEAD | is::HOST_AUTHOR,
        Right::Relink(_) => is::STAFF_AUTHOR | is::LEAD | is::PLAN | is::HOST_AUTHOR,
        Right::Answer(_) => is::NOT_AUTHOR,
        Right::Confirm(_) => is::STAFF_AUTHOR | is::HOST_AUTHOR,
        Right::ManageChannels => is::LEADS,
        Right::Take(Holder::User(_)) => is::STAFF_AUTHOR | is::HOST_AUTHOR,
        Right::Take(Holder::Responsibility { responsibility }) => holder_of(responsibility),
        Right::Witness { took_part: true, .. } => is::NOT_STAFF_AUTHOR,
        _ => 0,
    }
}

/// Who may do it at a patient, step-up and record officers aside.
fn at_patient(right: Right) -> u16 {
    match right {
        Right::SeePatient => is::EVERYBODY,
        Right::ManageTeam | Right::ManageChannels | Right::CloseRecord | Right::AccountForDisclosures => is::LEADS,
        Right::HandOff => is::STAFF | is::COMMAND_LINE,
        Right::AnswerHandoff(to) if to == user(0) => is::STAFF | is::COMMAND_LINE,
        Right::WithdrawHandoff(of) | Right::Cover(of) if of == user(0) => is::STAFF | is::COMMAND_LINE,
        Right::WithdrawHandoff(_) | Right::Cover(_) => is::LEADS,
        Right::EndMembership(_) => is::LEADS | is::THEMSELF,
        Right::ChangePlan { barrier: false } => is::LEAD | is::PLAN | is::COMMAND_LINE,
        Right::ChangePlan { barrier: true } => is::LEAD | is::PLAN | is::BARRIERS | is::COMMAND_LINE,
        Right::ImportPlan => is::LEADS | is::PLAN,
        Right::Export | Right::PreviewExport | Right::DraftExport => is::STAFF | is::COMMAND_LINE,
        _ => is::COMMAND_LINE,
    }
}

#[derive(Debug, PartialEq, Clone, Copy)]
enum Verdict {
    Hidden,
    Forbidden,
    Archived,
    Allowed,
}

fn user(n: u8) -> UserId {
    UserId::from_bytes([n + 1; 16])
}

fn channel(n: u8) -> ChannelId {
    ChannelId::from_bytes([n + 101; 16])
}

/// Everything that is decided on.
#[derive(Clone, Debug)]
struct Case {
    access: Access,
    subject: Subject,
    right: Right,
    channel: ChannelId,
}

impl Case {
    fn stands(&self) -> Option<Member> {
        let member = self.access.members.get(&self.subject.user)?;
        (member.until.is_none() || member.until > Some(NOW)).then_some(*member)
    }

    fn family_account(&self) -> bool {
        matches!(self.subject.kind, PersonKind::Patient | PersonKind::RelatedPerson)
    }

    /// All that the subject is.
    fn is(&self) -> u16 {
        let me = self.subject.user;
        let author = match self.right {
            Right::Amend(by) | Right::Retract(by) | Right::Relink(by) | Right::Answer(by) | Right::Confirm(by) => {
                Some(by)
            }
            Right::Take(Holder::User(by)) | Right::Witness { author: by, .. } => Some(by),
            _ => None,
        };
        let own = author == Some(me);
        let flag = |on: bool, bit: u16| if on { bit } else { 0 };
        let mut bits = flag(self.subject.command_line, is::COMMAND_LINE);
        bits |=
            flag(self.subject.command_line && own, is::HOST_AUTHOR) | flag(author.is_some() && !own, is::NOT_AUTHOR);
        bits |= flag(self.subject.command_line && author.is_some() && !own, is::NOT_STAFF_AUTHOR);
        let Some(member) = self.stands() else { return bits };
        bits |= flag(self.right == Right::EndMembership(me), is::THEMSELF);
        if member.family || self.family_account() {
            return bits | is::FAMILY | flag(own, is::FAMILY_AUTHOR);
        }
        let led =
            self.access.members.values().any(|member| member.lead && member.until.is_none_or(|until| until > NOW));
        bits |= is::STAFF | flag(own, is::STAFF_AUTHOR) | flag(!led, is::LEADERLESS);
        bits |= flag(author.is_some() && !own, is::NOT_STAFF_AUTHOR);
        let holds = |what| self.stands_in(what);
        bits |= flag(member.lead || holds(Responsibility::Lead), is::LEAD);
        bits |= flag(member.plan || holds(Responsibility::Plan), is::PLAN);
        bits | flag(member.barriers || holds(Responsibility::Barriers), is::BARRIERS)
    }

    /// Somebody who holds it is away, and the subject stands in.
    fn stands_in(&self, what: Responsibility) -> bool {
        let there = |user: &UserId| {
            let member = self.access.members.get(user)?;
            (!member.family && member.until.is_none_or(|until| until > NOW)).then_some(*member)
        };
        self.access.covers.iter().any(|cover| {
            let held = there(&cover.absent).is_some_and(|member| match what {
                Responsibility::Lead => member.lead,
                Responsibility::Plan => member.plan,
                Responsibility::Barriers => member.barriers,
            });
            let in_time = cover.since <= NOW && NOW < cover.until;
            cover.responsibility == what && cover.stand_in == self.subject.user && held && in_time
        })
    }

    fn reads(&self, held: &ChannelAccess) -> bool {
        let open =
            held.readers.get(&self.subject.user).and_then(|spans| spans.last()).is_some_and(|last| last.to.is_none());
        let family = self.is() & is::FAMILY != 0;
        open && self.stands().is_some() && (!family || held.audience == Audience::Shared)
    }

    fn verdict_in_channel(&self) -> Verdict {
        let held = &self.access.channels[&self.channel];
        if !self.subject.command_line && !self.reads(held) {
            return Verdict::Hidden;
        }
        let no_words = held.kind == ChannelKind::Plan && matches!(self.right, Right::Post | Right::Document);
        if no_words || self.is() & in_channel(self.right) == 0 {
            return Verdict::Forbidden;
        }
        if (held.archived || self.access.closed) && self.right != Right::Read {
            Verdict::Archived
        } else {
            Verdict::Allowed
        }
    }

    /// Whether it is allowed by a server role, without standing at the patient.
    fn officer(&self) -> bool {
        let is = |role| self.subject.roles.has(role);
        match self.right {
            Right::Export | Right::PreviewExport | Right::DraftExport => is(Roles::RECORD_OFFICER),
            Right::AccountForDisclosures => is(Roles::RECORD_OFFICER) || is(Roles::PRIVACY_OFFICER),
            _ => false,
        }
    }

    fn verdict_at_patient(&self) -> Verdict {
        let lately = self.subject.stepped_up_until > NOW || self.subject.command_line;
        let officer = self.officer();
        if self.stands().is_none() && !self.subject.command_line && !officer {
            return Verdict::Hidden;
        }
        if self.is() & at_patient(self.right) == 0 && !officer {
            return Verdict::Forbidden;
        }
        if (self.right == Right::Export || (self.right == Right::PreviewExport && officer)) && !lately {
            return Verdict::Forbidden;
        }
        let looks = [
            Right::SeePatient,
            Right::Read,
            Right::Export,
            Right::PreviewExport,
            Right::DraftExport,
            Right::AccountForDisclosures,
        ];
        let stays = looks.contains(&self.right)
            || self.right == Right::CloseRecord
            || matches!(self.right, Right::EndMembership(_));
        if self.access.closed && !stays { Verdict::Archived } else { Verdict::Allowed }
    }

    fn decided(&self, object: Object<'_>) -> (Verdict, Option<super::Permit>) {
        match decide(&self.subject, self.right, object, NOW) {
            Ok(permit) => (Verdict::Allowed, Some(permit)),
            Err(refusal) if refusal == Refusal::not_found() => (Verdict::Hidden, None),
            Err(refusal) if refusal.code == Code::Archived => (Verdict::Archived, None),
            Err(refusal) => {
                assert_eq!(refusal.code, Code::Forbidden, "nothing else is said");
                (Verdict::Forbidden, None)
            }
        }
    }

    fn in_its_channel(&self) -> Object<'_> {
        Object::Channel(Some((&self.access, self.channel)))
    }

    fn at_its_patient(&self) -> Object<'_> {
        Object::Patient(Some(&self.access))
    }
}

prop_compose! {
    fn member()(flags: [bool; 4], until in prop::option::weighted(0.4, NOW - 1..NOW + 2)) -> Member {
        Member { family: flags[0], lead: flags[1], plan: flags[2], barriers: flags[3], until }
    }
}

prop_compose! {
    fn cover()(
        what in prop::sample::select(Responsibility::ALL.to_vec()), absent in 0..PEOPLE, stand_in in 0..PEOPLE,
        since in NOW - 2..NOW + 2, until in NOW - 1..NOW + 3,
    ) -> Cover {
        let id = uuid::Uuid::nil();
        Cover { id, responsibility: what, absent: user(absent), stand_in: user(stand_in), since, until }
    }
}

fn spans() -> impl Strategy<Value = Vec<Interval>> {
    let closed = Interval { from: 1, to: Some(4) };
    let open = Interval { from: 7, to: None };
    prop::sample::select(vec![vec![], vec![closed], vec![open], vec![closed, open]])
}

fn audience() -> impl Strategy<Value = Audience> {
    prop::sample::select(vec![Audience::Staff, Audience::Shared, Audience::Named])
}

prop_compose! {
    fn channel_access()(
        audience in audience(), plan: bool, archived in prop::bool::weighted(0.3),
        readers in prop::collection::hash_map((0..PEOPLE).prop_map(user), spans(), 0..=usize::from(PEOPLE)),
    ) -> ChannelAccess {
        let kind = if plan { ChannelKind::Plan } else { ChannelKind::Conversation };
        ChannelAccess { audience, kind, archived, readers }
    }
}

fn right() -> impl Strategy<Value = Right> {
    let all = |by| {
        vec![
            Right::SeePatient,
            Right::Read,
            Right::Post,
            Right::Document,
            Right::Amend(by),
            Right::Retract(by),
            Right::Relink(by),
            Right::Answer(by),
            Right::Confirm(by),
            Right::Take(Holder::User(by)),
            Right::Take(Holder::of(Responsibility::Lead)),
            Right::Take(Holder::of(Responsibility::Plan)),
            Right::Take(Holder::of(Responsibility::Barriers)),
            Right::Witness { author: by, took_part: true },
            Right::Witness { author: by, took_part: false },
            Right::HandOff,
            Right::AnswerHandoff(by),
            Right::WithdrawHandoff(by),
            Right::Cover(by),
            Right::CloseRecord,
            Right::ChangePlan { barrier: false },
            Right::ChangePlan { barrier: true },
            Right::ManageTeam,
            Right::EndMembership(by),
            Right::ManageChannels,
            Right::RegisterPatient,
            Right::LookUpPeople,
            Right::UseTemplates,
            Right::SeeStrayMail,
            Right::ImportPlan,
            Right::Export,
            Right::PreviewExport,
            Right::DraftExport,
            Right::AccountForDisclosures,
            Right::Administer,
            Right::ReviewPrivacy,
            Right::OwnAccount,
        ]
    };
    (0..2_u8).prop_flat_map(move |n| prop::sample::select(all(user(n))))
}

prop_compose! {
    /// The subject is the first person, who is a member more often than not.
    fn case()(
        members in prop::collection::hash_map((0..PEOPLE).prop_map(user), member(), 0..=usize::from(PEOPLE)),
        channels in prop::collection::btree_map((0..CHANNELS).prop_map(channel), channel_access(), 1..=usize::from(CHANNELS)),
        kind in prop::sample::select(PersonKind::ALL.to_vec()), roles in 0..8_i16,
        command_line in prop::bool::weighted(0.15), stepped_up_until in NOW - 1..NOW + 2,
        right in right(), at: prop::sample::Index, covers in prop::collection::vec(cover(), 0..3),
        closed in prop::bool::weighted(0.15),
    ) -> Case {
        let patient = PatientId::from_bytes([0xa1; 16]);
        let channel = *at.get(&channels.keys().copied().collect::<Vec<_>>());
        let roles = Roles(roles);
        let subject = Subject {
            user: user(0), kind, roles, session: None, address: None, epoch: 1, stepped_up_until, command_line,
        };
        Case { access: Access { patient, version: 1, members, channels, covers, closed }, subject, right, channel }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4096, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_table_rules(case in case()) {
        let (decided, permit) = case.decided(case.in_its_channel());
        prop_assert_eq!(decided, case.verdict_in_channel());
        if let Some(permit) = permit {
            let held = &case.access.channels[&case.channel];
            prop_assert_eq!((permit.actor(), permit.patient()), (case.subject.user, case.access.patient));
            prop_assert_eq!((permit.channel(), permit.audience()), (case.channel, held.audience));
            prop_assert_eq!(permit.family(), case.is() & is::FAMILY != 0 && !case.subject.command_line);
        }
        let (decided, permit) = case.decided(case.at_its_patient());
        prop_assert_eq!(decided, case.verdict_at_patient());
        if let Some(permit) = permit {
            prop_assert_eq!((permit.actor(), permit.patient()), (case.subject.user, case.access.patient));
        }
    }

    /// Byte for byte: what one may not see is what never was.
    #[test]
    fn without_standing_everything_is_as_if_it_were_not_there(mut case in case()) {
        case.subject.command_line = false;
        case.access.members.remove(&case.subject.user);
        let officer = case.officer();
        let text = |object| decide(&case.subject, case.right, object, NOW).expect_err("refused").to_json().to_string();
        prop_assert_eq!(text(case.in_its_channel()), text(Object::Channel(None)));
        if !officer {
            prop_assert_eq!(text(case.at_its_patient()), text(Object::Patient(None)));
        }
        let elsewhere = ChannelId::from_bytes([9; 16]);
        prop_assert_eq!(text(Object::Channel(Some((&case.access, elsewhere)))), text(Object::Channel(None)));
    }

    #[test]
    fn a_membership_that_is_over_is_none(mut case in case(), over in NOW - 3..=NOW) {
        let mut without = case.clone();
        without.access.members.remove(&case.subject.user);
        if let Some(member) = case.access.members.get_mut(&case.subject.user) {
            member.until = Some(over);
        }
        let same = |one: Object<'_>, other: Object<'_>| {
            let (one, other) = (decide(&case.subject, case.right, one, NOW), decide(&case.subject, case.right, other, NOW));
            one.map(drop) == other.map(drop)
        };
        prop_assert!(same(case.in_its_channel(), without.in_its_channel()));
        prop_assert!(same(case.at_its_patient(), without.at_its_patient()));
    }

    #[test]
    fn family_has_its_few_rights_where_it_is_shared(mut case in case(), by_account: bool) {
        case.subject.command_line = false;
        case.subject.roles = Roles::default();
        if by_account {
            case.subject.kind = PersonKind::RelatedPerson;
        } else if let Some(member) = case.access.members.get_mut(&case.subject.user) {
            member.family = true;
        }
        let own = |by| by == case.subject.user;
        if case.decided(case.in_its_channel()).0 == Verdict::Allowed {
            prop_assert_eq!(case.access.channels[&case.channel].audience, Audience::Shared);
            let few = match case.right {
                Right::Read | Right::Post => true,
                Right::Amend(by) => own(by),
                Right::Answer(by) => !own(by),
                _ => false,
            };
            prop_assert!(few);
        }
        if case.decided(case.at_its_patient()).0 == Verdict::Allowed {
            prop_assert!(case.right == Right::SeePatient || matches!(case.right, Right::EndMembership(who) if own(who)));
        }
        let on_server = case.decided(Object::Server).0 == Verdict::Allowed;
        let anyones = matches!(case.right, Right::OwnAccount | Right::ReviewPrivacy | Right::SeeStrayMail);
        prop_assert!(!on_server || anyones || !case.family_account());
    }

    /// Each role alone, and all of them: no patient is seen, no channel read, nothing written.
    #[test]
    fn roles_give_no_content(mut case in case()) {
        case.subject.command_line = false;
        case.access.members.remove(&case.subject.user);
        prop_assert_eq!(case.decided(case.in_its_channel()).0, Verdict::Hidden);
        if !case.officer() {
            prop_assert_eq!(case.decided(case.at_its_patient()).0, Verdict::Hidden);
        }
        if case.decided(Object::Server).0 == Verdict::Allowed {
            let administrator = case.subject.roles.has(Roles::ADMINISTRATOR);
            let allowed = match case.right {
                Right::OwnAccount => true,
                Right::Administer => administrator,
                Right::ReviewPrivacy => case.subject.roles.has(Roles::PRIVACY_OFFICER),
                Right::LookUpPeople | Right::UseTemplates => !case.family_account(),
                Right::SeeStrayMail => [Roles::PRIVACY_OFFICER, Roles::RECORD_OFFICER].iter().any(|role| case.subject.roles.has(*role)),
                Right::RegisterPatient => !administrator && !case.family_account(),
                _ => false,
            };
            prop_assert!(allowed);
        }
    }

    #[test]
    fn nobody_reads_without_an_open_span(mut case in case(), spans in spans()) {
        case.subject.command_line = false;
        let closed = spans.iter().map(|span| Interval { to: span.to.or(Some(9)), ..*span }).collect();
        let held = case.access.channels.get_mut(&case.channel).expect("of the patient");
        held.readers = HashMap::from([(case.subject.user, closed)]);
        prop_assert_eq!(case.decided(case.in_its_channel()).0, Verdict::Hidden);
    }

    #[test]
    fn an_archived_channel_is_read_and_nothing_else(mut case in case()) {
        case.access.channels.get_mut(&case.channel).expect("of the patient").archived = true;
        prop_assert!(case.decided(case.in_its_channel()).0 != Verdict::Allowed || case.right == Right::Read);
        let archived = case.decided(Object::Channel(Some((&case.access, case.channel)))).0;
        let held = case.access.channels.get_mut(&case.channel).expect("of the patient");
        held.archived = false;
        let open = case.decided(case.in_its_channel()).0;
        prop_assert_eq!(archived, if open == Verdict::Allowed && case.right != Right::Read { Verdict::Archived } else { open });
    }

    #[test]
    fn the_command_line_is_never_family(mut case in case()) {
        case.subject.command_line = true;
        for object in [case.in_its_channel(), case.at_its_patient(), Object::Server] {
            if let Some(permit) = case.decided(object).1 {
                prop_assert!(!permit.family());
            }
        }
    }
}
