// Channels: opened, changed, archived.
import type { Part } from "./sight.ts";

export const channels: Part = {
    "channel.opened"(draft, { channel, data }) {
        const { id, patient, name, purpose, audience } = data;
        const known = draft.channels.get(channel);
        draft.channels.set(channel, {
            id,
            patient,
            name,
            audience,
            purpose: purpose ?? null,
            kind: known?.kind ?? "conversation",
            archived: false,
            last_seq: 0,
            read_seq: known?.read_seq ?? 0,
            unread: 0,
            muted: known?.muted ?? false,
            muted_until: known?.muted_until ?? null,
        });
    },

    "channel.changed"(draft, { channel, data }) {
        const known = draft.channels.get(channel);
        if (!known) return;
        const changed = { ...known };
        if (data.name != null) changed.name = data.name;
        if (data.purpose !== undefined) changed.purpose = data.purpose;
        if (data.audience != null) changed.audience = data.audience;
        draft.channels.set(channel, changed);
    },

    "channel.archived"(draft, { channel }) {
        const known = draft.channels.get(channel);
        if (known) draft.channels.set(channel, { ...known, archived: true });
    },
};
