// An entry in one sentence.
import type { EventFrame } from "carethread";
import { when } from "./format.ts";
import { t } from "./i18n/index.svelte.ts";
import { called, ownerName, within } from "./people.ts";
import { record } from "./record.svelte.ts";

const taskTitle = (id: string): string => record.sight?.work.tasks.get(id)?.title ?? t("task.unknown");
const itemTitle = (id: string): string => record.item(id)?.title ?? t("item.unknown");

export function fact(entry: EventFrame): string {
    const name = called(entry.by);
    switch (entry.event) {
        case "task.created":
            return t("fact.taskCreated", { name, title: entry.data.title, owner: typeof entry.data.owner === "string" ? within(entry.data.owner) : ownerName(entry.data.owner) });
        case "task.changed": {
            const { task, change, reason } = entry.data;
            const said = reason ? `: ${reason}` : "";
            return t(`fact.task.${change}`, { name, title: taskTitle(task) }) + said;
        }
        case "plan_item.added":
            return t("fact.itemAdded", { name, title: entry.data.title });
        case "plan_item.changed":
            return t("fact.itemChanged", { name, title: itemTitle(entry.data.item), version: entry.data.rev });
        case "plan_item.closed":
            return t("fact.itemClosed", { name, title: itemTitle(entry.data.item), reason: entry.data.reason ?? "" });
        case "team.joined":
            return t("fact.joined", { name: called(entry.data.user), role: entry.data.role });
        case "team.changed":
            return t("fact.teamChanged", { name: called(entry.data.user), role: entry.data.role });
        case "team.left":
            return t("fact.left", { name: called(entry.data.user) });
        case "channel.opened":
            return t("fact.channelOpened", { name, title: entry.data.name });
        case "channel.changed":
            return t("fact.channelChanged", { name });
        case "channel.archived":
            return t("fact.channelArchived", { name });
        case "patient.registered":
            return t("fact.registered", { name });
        case "patient.changed":
            return t(entry.data.closed ? "fact.closed" : "fact.reopened", { name });
        case "handoff.offered":
            return t("fact.handoffOffered", { name, to: within(entry.data.to) });
        case "handoff.accepted":
            return t("fact.handoffAccepted", { name });
        case "handoff.declined":
            return t("fact.handoffDeclined", { name, reason: entry.data.reason });
        case "handoff.withdrawn":
            return t("fact.handoffWithdrawn", { name });
        case "handoff.escalated":
            return t("fact.handoffEscalated", { names: entry.data.to.map(within).join(", ") });
        case "checkin.scheduled":
            return t("fact.checkinScheduled", { name });
        case "checkin.opened":
            return t("fact.checkinOpened", { time: when(entry.data.closes_at) });
        case "checkin.answered":
            return t("fact.checkinAnswered", { name, answers: entry.data.answers.join(" · ") });
        case "checkin.closed":
            return t("fact.checkinClosed", { n: entry.data.answered.length, m: entry.data.answered.length + entry.data.silent.length });
        case "export.filed":
            return t("fact.filed", { name, n: entry.data.entries });
        default:
            return t("fact.unknown", { name, event: (entry as EventFrame).event });
    }
}
