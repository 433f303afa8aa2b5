// The care team. The same fact stands in every channel the person reads: laid over twice, it changes nothing.
import type { Entry } from "../frames.ts";
import type { TeamMember } from "../generated.ts";
import type { Draft, Part } from "./sight.ts";

function joined(draft: Draft, event: Entry<"team.joined" | "team.changed">): void {
    const { user, role, responsibilities, family, until, cover } = event.data;
    const known = draft.members.get(user);
    // The name is not the patient's: it is looked up with `team.list`.
    const member: TeamMember = {
        ...(known ?? { user, handle: "", name: "", since: event.at, until: null, lead: false }),
        family,
        role,
        responsibilities,
    };
    if (until !== undefined) member.until = until;
    member.lead = responsibilities.includes("lead");
    if (cover) {
        const others = (member.covers ?? []).filter((one) => one.responsibility !== cover.responsibility);
        const covers = cover.user === null ? others : [...others, cover];
        if (covers.length > 0) member.covers = covers;
        else delete member.covers;
    }
    // There is one lead: whoever becomes it takes it from whoever was.
    if (member.lead)
        for (const [id, other] of draft.members)
            if (id !== user && other.lead) {
                draft.members.set(id, {
                    ...other,
                    lead: false,
                    responsibilities: other.responsibilities.filter((one) => one !== "lead"),
                });
            }
    draft.members.set(user, member);
}

export const team: Part = {
    "team.joined": joined,
    "team.changed": joined,
    "team.left": (draft, { data }) => void draft.members.delete(data.user),
};
