// One picture, large, with all that is known of it.

import { Problem, api, isHosted, own, retry } from "./api.js";
import { hide, insteadOf, show as showPicture } from "./pictures.js";

const element = (id) => document.getElementById(id);
const viewer = element("viewer");
const UNFINISHED = new Set(["waiting", "describing"]);
const LOOK_MS = 1000;
const MAX_LOOKS = 120;
const ROWS = [
  ["Image", "image"], ["Uploaded", "uploaded_at"], ["Described", "described_at"], ["Waits until", "waiting_until"],
  ["Model", "model"], ["Labels", "labels"], ["Tags", "tags"], ["Attempts", "attempts"], ["Size", "size"], ["Made from", "rendered_from"],
  ["Version", "version_id"], ["ETag", "etag"],
];

let shown = null;
let neighbours = null;
let priceUsd = 0.015;

export function setPrice(usd) {
  priceUsd = usd;
}

// `step` is called with -1 or 1 and returns whether there is such a picture; `closed` when the viewer is.
export function connect({ step, closed, changed }) {
  neighbours = step;
  if (isHosted) element("repeat-part").hidden = true; // who has a token may look
  element("previous").addEventListener("click", () => step(-1, true));
  element("next").addEventListener("click", () => step(1, true));
  element("close").addEventListener("click", () => viewer.close());
  viewer.addEventListener("close", () => {
    shown = null;
    hide(element("picture"));
    closed();
  });
  viewer.addEventListener("click", (event) => event.target === viewer && viewer.close());
  viewer.addEventListener("keydown", (event) => {
    if (event.target.closest("#prompt") && getSelection().type === "Range") return;
    if (event.key === "ArrowLeft") step(-1, true);
    else if (event.key === "ArrowRight") step(1, true);
    else return;
    event.preventDefault();
  });
  element("picture").addEventListener("load", () => (element("picture").hidden = false));
  element("picture").addEventListener("error", noPicture);
  element("copy").addEventListener("click", copy);
  element("repeat").addEventListener("click", () => confirming(true));
  element("cancelled").addEventListener("click", () => confirming(false));
  element("confirmed").addEventListener("click", () => describeAgain(changed));
}

export function open(image) {
  show(image);
  if (!viewer.open) viewer.showModal();
  element("close").focus();
}

function show(image) {
  const isSamePicture = shown && shown.id === image.id && shown.etag === image.etag;
  shown = image;
  const isFailed = image.status !== "described" && image.error;
  element("name").textContent = image.key;
  const dot = document.createElement("span");
  dot.className = `dot ${image.status}`;
  element("chip").replaceChildren(dot, image.status);
  element("reason").hidden = !isFailed;
  element("reason").textContent = isFailed ? image.error : "";
  element("prompt-part").hidden = !image.prompt;
  element("prompt").textContent = image.prompt;
  element("prompt").scrollTop = 0;
  element("copy").textContent = "Copy";
  element("record").replaceChildren(...ROWS.filter(([, field]) => isKnown(image[field])).flatMap(row(image)));
  element("previous").disabled = !neighbours(-1, false);
  element("next").disabled = !neighbours(1, false);
  element("done").textContent = "";
  confirming(false, false);
  if (!isSamePicture) {
    element("no-picture").hidden = true;
    element("picture").alt = (image.prompt || image.key).slice(0, 300);
    showPicture(element("picture"), "picture", image);
  }
  showTags(image);
}

const isKnown = (value) => (Array.isArray(value) ? value.length > 0 : Boolean(value));

const row = (image) => ([title, field]) => {
  const term = document.createElement("dt");
  const value = document.createElement("dd");
  term.textContent = title;
  value.textContent = written(field, image[field]);
  return [term, value];
};

function written(field, value) {
  if (Array.isArray(value)) return value.join(", ");
  if (field === "size") return `${Number(value).toLocaleString()} bytes`;
  if (field.endsWith("_at") || field === "waiting_until") return new Date(value).toLocaleString();
  return String(value);
}

async function showTags(image) {
  element("tags-part").hidden = true;
  if (isHosted) return; // the API tells of the catalog, and not of what else is on the object
  let said;
  try {
    said = await own(`tags/${image.id}`, { version: image.version_id });
  } catch {
    return; // the object may be gone, or its tags be nobody's business: the record is shown all the same
  }
  if (shown !== image || !said.tags.length) return;
  element("tags").replaceChildren(
    ...said.tags.map(([name, value]) => {
      const tag = document.createElement("li");
      const title = document.createElement("b");
      title.textContent = name;
      tag.append(title, ` ${value}`);
      tag.dir = "auto";
      return tag;
    }),
  );
  element("tags-part").hidden = false;
}

async function noPicture() {
  if (!shown) return;
  const image = shown;
  const words = await insteadOf(element("picture"), image);
  if (shown !== image || !words) return;
  element("picture").hidden = true;
  element("no-picture").textContent = words;
  element("no-picture").hidden = false;
}

async function copy() {
  try {
    await navigator.clipboard.writeText(shown.prompt);
    element("copy").textContent = "Copied";
    element("done").textContent = "The prompt is copied.";
  } catch {
    getSelection().selectAllChildren(element("prompt"));
    element("done").textContent = "The browser did not let it be copied; it is selected: press Ctrl+C.";
  }
}

function confirming(is, movesFocus = true) {
  const isDescribed = shown.status === "described";
  element("cost").textContent = isDescribed
    ? `This forgets the present prompt's payment and pays about $${priceUsd} for another one.`
    : `This costs one call (about $${priceUsd}), unless its answer is paid for already.`;
  element("confirm").hidden = !is;
  element("repeat").hidden = is;
  if (movesFocus) element(is ? "confirmed" : "repeat").focus();
}

async function describeAgain(changed) {
  const image = shown;
  confirming(false);
  const say = (words) => {
    if (shown && shown.id === image.id) element("done").textContent = words;
  };
  say("It is on its way…");
  try {
    await retry(image.id, image.status === "described");
    const now = await after(image);
    if (!now) return say("It still waits. Its turn comes; look again later.");
    changed(now);
    if (shown === image) {
      show(now);
      say(now.status === "described" ? "It is described again." : `It is ${now.status} now.`);
    }
  } catch (error) {
    say(error instanceof Problem ? `${error.message} ${error.advice}` : "It could not be asked for.");
  }
}

async function after(image) {
  for (let look = 0; look < MAX_LOOKS; look += 1) {
    await new Promise((done) => setTimeout(done, LOOK_MS));
    const now = await api(`images/${image.id}`);
    if (now.updated_at !== image.updated_at && !UNFINISHED.has(now.status)) return now;
  }
  return null;
}
