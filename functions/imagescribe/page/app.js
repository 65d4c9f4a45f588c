// What is asked for, and a page of it after the other as one scrolls.

import { Problem, api, asTyped, isHosted, own } from "./api.js";
import * as grid from "./grid.js";
import { images } from "./grid.js";
import * as viewer from "./viewer.js";

const PAGE = 100;
const TYPING_MS = 150;
const STANDING_MS = 15000;
const STATUSES = ["described", "waiting", "describing", "rejected", "skipped", "dead"];
const ALL = "";
const NOTHING_STANDS = { why: "", paused: false, price_usd: 0, bucket: "" }; // to the hosted page, which may not know

const element = (id) => document.getElementById(id);

let asked = { query: "", status: "described", day: "", label: "" };
let after = "";
let isComplete = false;
let isLoading = null;
let counts = {};
let bucket = "";
let opened = -1;

// ── What is asked for ───────────────────────────────────────────────────────────────────────────────────────────────

function ask(changes) {
  asked = { ...asked, ...changes };
  isLoading?.abort();
  isLoading = null;
  [after, isComplete] = ["", false];
  element("fresh").hidden = true;
  showStatuses();
  loadMore(true);
}

function request() {
  const { status, day, label } = asked;
  if (asked.query) {
    const until = day && new Date(Date.parse(day) + 86400000).toISOString().slice(0, 10);
    return ["search", { q: asTyped(asked.query), label, since: day, until, limit: PAGE, after }];
  }
  return ["images", { status, day, label, limit: PAGE, after }];
}

async function loadMore(isFirst = false) {
  if (isLoading || isComplete) return;
  const loading = new AbortController();
  isLoading = loading;
  element("grid").setAttribute("aria-busy", "true");
  try {
    const page = await api(...request(), loading.signal);
    after = page.after ?? "";
    isComplete = !after;
    if (isFirst) grid.replace(page.images, isComplete);
    else grid.add(page.images, isComplete);
    tell();
  } catch (error) {
    if (error.name === "AbortError") return;
    if (isFirst) grid.replace([], true);
    fail(error);
    isComplete = true;
  }
  isLoading = null;
  element("grid").removeAttribute("aria-busy");
  if (isNearEnd()) loadMore();
}

function isNearEnd() {
  return element("end").getBoundingClientRect().top < innerHeight + 1500;
}

// ── What is shown ───────────────────────────────────────────────────────────────────────────────────────────────────

function tell() {
  const number = `${images.length.toLocaleString()}${isComplete ? "" : "+"}`;
  const pictures = images.length === 1 && isComplete ? "picture" : "pictures";
  const order = asked.query || asked.status || asked.day ? "newest first" : "by name";
  element("told").textContent = images.length ? `${number} ${pictures}${asked.query ? " found" : ""}, ${order}` : "";
  if (images.length || !isComplete) return message(null);
  if (asked.label) return message("No such picture has this label", "Clear it, or give the whole of another one.");
  if (asked.query) return message("No prompt has these words", "Fewer words find more. \"A phrase\", beginn*, -without and OR work, too.");
  if (asked.day) return message("No such picture was uploaded on this day", "Days are in UTC. Take another one, or clear the day.");
  const hasOthers = Object.values(counts).some(Boolean);
  if (hasOthers) return message(asked.status ? `No picture is ${asked.status}` : "No pictures", "The other lists have some.");
  return message("No pictures yet", "Upload one, and it is here in a few seconds:", `aws s3 cp photo.jpg s3://${bucket || "BUCKET"}/`);
}

function message(title, text = "", code = "", hasAgain = false) {
  element("message").hidden = title === null;
  element("message-title").textContent = title ?? "";
  element("message-text").textContent = text;
  element("message-code").textContent = code;
  element("message-code").hidden = !code;
  element("again").hidden = !hasAgain;
}

function fail(error) {
  element("told").textContent = "";
  const isOurs = !(error instanceof Problem);
  if (isOurs) console.error(error);
  message(isOurs ? "The page failed." : error.message, isOurs ? "Reload it." : error.advice, "", true);
}

function showStatuses() {
  const buttons = [...STATUSES, ALL].map((status) => {
    const button = document.createElement("button");
    const count = status === ALL ? undefined : counts[status];
    button.type = "button";
    button.dataset.status = status;
    button.disabled = Boolean(asked.query) && status !== "described";
    button.setAttribute("aria-pressed", String(asked.query ? status === "described" : status === asked.status));
    const dot = document.createElement("span");
    dot.className = `dot ${status}`;
    const number = document.createElement("span");
    number.dataset.count = "";
    number.textContent = count === undefined ? "" : count.toLocaleString();
    button.append(...(status === ALL ? [] : [dot]), status === ALL ? "All by name" : status[0].toUpperCase() + status.slice(1), number);
    return button;
  });
  const hadFocus = document.activeElement?.dataset?.status;
  element("statuses").replaceChildren(...buttons);
  if (hadFocus !== undefined) buttons.find((button) => button.dataset.status === hadFocus)?.focus();
}

async function showStanding() {
  if (document.hidden) return;
  const [stats, standing] = await Promise.allSettled([api("stats"), isHosted ? NOTHING_STANDS : own("standing")]);
  if (stats.status === "fulfilled") {
    const before = counts[asked.status];
    counts = stats.value.images;
    showStatuses();
    const isNew = before !== undefined && counts[asked.status] !== before && !asked.query;
    if (isNew) element("fresh").hidden = false;
    if (!images.length && isComplete && !element("message").hidden && element("again").hidden) tell();
  }
  const bar = element("standing");
  if (standing.status === "fulfilled") {
    const { why, paused, price_usd: priceUsd, bucket: name } = standing.value;
    [bucket, bar.textContent, bar.hidden] = [name, why, !why || why.startsWith("Nothing waits: every")];
    bar.classList.toggle("paused", paused);
    viewer.setPrice(priceUsd);
  } else {
    [bar.textContent, bar.hidden] = [`${standing.reason.message} ${standing.reason.advice ?? ""}`, false];
  }
}

// ── The picture that is open ────────────────────────────────────────────────────────────────────────────────────────

function openAt(index) {
  opened = index;
  viewer.open(images[index]);
  if (index > images.length - 10) loadMore();
}

function step(by, goes) {
  const index = opened + by;
  const isThere = index >= 0 && index < images.length;
  if (isThere && goes) openAt(index);
  return isThere;
}

let typing = 0;
element("query").addEventListener("input", () => {
  clearTimeout(typing);
  typing = setTimeout(() => ask({ query: element("query").value.trim() }), TYPING_MS);
});
element("query").addEventListener("keydown", (event) => {
  if (event.key === "ArrowDown" && images.length) {
    event.preventDefault();
    grid.focusCard(0);
  }
});
for (const filter of ["day", "label"]) {
  element(filter).addEventListener("change", () => ask({ [filter]: element(filter).value.trim() }));
}
element("statuses").addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (button) ask({ status: button.dataset.status });
});
element("again").addEventListener("click", () => ask({}));
element("fresh").addEventListener("click", () => ask({}));
document.addEventListener("keydown", (event) => {
  if (event.key !== "/" || event.target.closest("input, dialog")) return;
  event.preventDefault();
  element("query").focus();
});
document.addEventListener("visibilitychange", showStanding);
grid.connect({ open: openAt, moved: () => isNearEnd() && loadMore() });
viewer.connect({ step, changed: grid.change, closed: () => grid.focusCard(opened) });
ask({});
showStanding();
setInterval(showStanding, STANDING_MS);
