// A page that the server made of a record, taken into ours piece by piece: tables, headings and paragraphs of a short list, made anew, with
// the text that stood in them. None of its markup comes along, and it is never a document that could load or run something.

/** What is taken, and what it is here: under the headings of this page. */
const TAKEN: Readonly<Record<string, string>> = {
    H2: "h3", H3: "h4", SECTION: "section", ARTICLE: "article", P: "p", B: "b", I: "span", BDI: "bdi", BR: "br", PRE: "pre", UL: "ul", LI: "li",
    TABLE: "table", CAPTION: "caption", THEAD: "thead", TBODY: "tbody", TR: "tr", TH: "th", TD: "td",
};
/** What it looks like, of what the page says of itself. */
const LOOKS: Readonly<Record<string, string>> = { entry: "told", by: "q", item: "q", mark: "q", words: "text" };

function copy(from: Element): HTMLElement | DocumentFragment {
    const name = TAKEN[from.tagName];
    const to = name ? document.createElement(name) : document.createDocumentFragment();
    if (to instanceof HTMLElement) {
        to.className = [...from.classList].flatMap((one) => LOOKS[one] ?? []).join(" ");
        const scope = from.getAttribute("scope");
        if (to.tagName === "TH" && (scope === "col" || scope === "row")) to.setAttribute("scope", scope);
        if (from.getAttribute("dir") === "auto") to.dir = "auto";
    }
    for (const child of from.childNodes) {
        if (child.nodeType === Node.TEXT_NODE) to.append(child.textContent ?? "");
        else if (child.nodeType === Node.ELEMENT_NODE) to.append(copy(child as Element));
    }
    return to;
}

/** On a narrow screen a row is a list: each value has its name with it. */
function named(table: HTMLTableElement): void {
    const names = [...(table.tHead?.rows[0]?.cells ?? [])].map(({ textContent }) => textContent ?? "");
    for (const row of table.tBodies[0]?.rows ?? []) [...row.cells].forEach((cell, at) => names[at] && (cell.dataset.label = names[at]));
}

/** What a page says, to be put into ours. */
export function taken(page: string): DocumentFragment {
    const parts = document.createDocumentFragment();
    // Its style stays behind before it is read: the policy of this page has no place for it.
    const main = new DOMParser().parseFromString(page.slice(page.indexOf("<main>")), "text/html").querySelector("main");
    for (const part of main?.children ?? []) parts.append(copy(part));
    parts.querySelectorAll("table").forEach(named);
    return parts;
}
