import { mount } from "svelte";
import "./styles/tokens.css";
import "./styles/base.css";
import "./styles/frame.css";
import "./styles/parts.css";
import "./styles/talk.css";
import "./styles/forms.css";
import "./styles/work.css";
import "./styles/phone.css";
import "./styles/feed.css";
import "./styles/page.css";
import "./styles/print.css";
import App from "./App.svelte";

// One list of values serves both the system's wish for contrast and the page's own.
const more = matchMedia("(prefers-contrast: more)");
const contrast = (): void => void (document.documentElement.dataset.contrast = more.matches ? "more" : "");
more.addEventListener("change", contrast);
contrast();

// A browser that takes no worker, or a page without a server behind it, works as well: only not without a network.
navigator.serviceWorker?.register("./sw.js").catch(() => undefined);

const target = document.getElementById("app");
if (target) mount(App, { target });
