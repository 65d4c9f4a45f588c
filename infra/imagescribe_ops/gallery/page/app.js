// The grid: what is asked for, a page of it after the other as one scrolls, and the keyboard.

import { Problem, asTyped, get, pictureUrl } from "./api.js";
import * as viewer from "./viewer.js";

const PAGE = 60;
const TYPING_MS = 150;
const STANDING_MS = 15000;
const CAPTION_CHARACTERS = 300;
const STATUSES = ["described", "waiting", "describing", "rejected", "skipped", "dead"];
const ALL = "";

const element = (id) => document.getElementById(id);
const grid = element("grid");
const template = element("card").content.firstElementChild;

let asked = { query: "", status: "described", day: "" };
let images = [];
let after = "";
let isComplete = false;
let isLoading = null;
let counts = {};
let bucket = "";
let focused = 0;
let opened = -1;

// ── What is asked for ───────────────────────────────────────────────────────────────────────────────────────────────

function ask(changes) {
  asked = { ...asked, ...changes };
  isLoading?.abort();
  isLoading = null;
  [images, after, isComplete, focused] = [[], "", false, 0];
  element("fresh").hidden = true;
  showStatuses();
  loadMore(true);
}

function request() {
  if (asked.query) {
    const until = asked.day && new Date(Date.parse(asked.day) + 86400000).toISOString().slice(0, 10);
    return ["/api/search", { q: asTyped(asked.query), since: asked.day, until, limit: PAGE, after }];
  }
  return ["/api/images", { status: asked.status, day: asked.day, limit: PAGE, after }];
}

async function loadMore(isFirst = false) {
  if (isLoading || isComplete) return;
  const loading = new AbortController();
  isLoading = loading;
  grid.setAttribute("aria-busy", "true");
  try {
    const page = await get(...request(), loading.signal);
    if (isFirst) grid.replaceChildren();
    grid.append(...page.images.map((image, index) => card(image, images.length + index)));
    images.push(...page.images);
    after = page.after ?? "";
    isComplete = !after;
    tell();
  } catch (error) {
    if (error.name === "AbortError") return;
    if (isFirst) grid.replaceChildren();
    fail(error);
    isComplete = true;
  }
  isLoading = null;
  grid.removeAttribute("aria-busy");
  if (isNearEnd()) loadMore();
}

function isNearEnd() {
  return element("end").getBoundingClientRect().top < innerHeight + 1500;
}

// ── What is shown ───────────────────────────────────────────────────────────────────────────────────────────────────

function card(image, index) {
  const item = template.cloneNode(true);
  const [button, picture, words] = ["button", "img", ".words"].map((selector) => item.querySelector(selector));
  button.dataset.index = index;
  button.tabIndex = index === focused ? 0 : -1;
  fill(image, button, words, picture);
  picture.addEventListener("error", () => {
    picture.hidden = true;
    item.querySelector(".no-preview").hidden = false;
  });
  return item;
}

function fill(image, button, words, picture) {
  button.querySelector("bdi").textContent = image.key;
  words.classList.toggle("failed", image.status !== "described");
  words.replaceChildren(...caption(image));
  picture.src = pictureUrl("thumbnail", image);
}

// The words that matched stand in marks. Ranges are of code points, as the API counts them.
function caption(image) {
  const reason = image.error ? `${image.status}: ${image.error}` : image.status;
  const text = image.status === "described" ? image.prompt : reason;
  const characters = Array.from(text.slice(0, 2 * CAPTION_CHARACTERS)).slice(0, CAPTION_CHARACTERS);
  const parts = [];
  let done = 0;
  for (const [start, end] of image.matches ?? []) {
    if (start >= characters.length) break;
    const mark = document.createElement("mark");
    mark.textContent = characters.slice(start, end).join("");
    parts.push(characters.slice(done, start).join(""), mark);
    done = end;
  }
  return [...parts, characters.slice(done).join("")];
}

function tell() {
  const number = `${images.length.toLocaleString()}${isComplete ? "" : "+"}`;
  const pictures = images.length === 1 && isComplete ? "picture" : "pictures";
  const order = asked.query || asked.status || asked.day ? "newest first" : "by name";
  element("told").textContent = images.length ? `${number} ${pictures}${asked.query ? " found" : ""}, ${order}` : "";
  if (images.length || !isComplete) return message(null);
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
  const [stats, standing] = await Promise.allSettled([get("/api/stats"), get("/standing")]);
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
    [bucket, bar.textContent, bar.hidden] = [name, why, why.startsWith("Nothing waits: every")];
    bar.classList.toggle("paused", paused);
    viewer.setPrice(priceUsd);
  } else {
    [bar.textContent, bar.hidden] = [`${standing.reason.message} ${standing.reason.advice ?? ""}`, false];
  }
}

// ── The keyboard, and the picture that is open ──────────────────────────────────────────────────────────────────────

const cardAt = (index) => grid.children[index]?.firstElementChild;

function focusCard(index) {
  const next = cardAt(index);
  if (!next) return;
  const before = cardAt(focused);
  if (before) before.tabIndex = -1;
  focused = index;
  next.tabIndex = 0;
  next.focus();
}

function move(event) {
  const columns = getComputedStyle(grid).gridTemplateColumns.split(" ").length;
  const last = images.length - 1;
  const at = {
    ArrowLeft: focused - 1, ArrowRight: focused + 1, ArrowUp: focused - columns, ArrowDown: focused + columns,
    Home: 0, End: last,
  }[event.key];
  if (at === undefined || at < 0) return;
  event.preventDefault();
  focusCard(Math.min(at, last));
}

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

function changed(image) {
  const index = images.findIndex((each) => each.id === image.id);
  if (index < 0) return;
  images[index] = image;
  const button = cardAt(index);
  fill(image, button, button.querySelector(".words"), button.querySelector("img"));
}

let typing = 0;
element("query").addEventListener("input", () => {
  clearTimeout(typing);
  typing = setTimeout(() => ask({ query: element("query").value.trim() }), TYPING_MS);
});
element("query").addEventListener("keydown", (event) => {
  if (event.key === "ArrowDown" && images.length) {
    event.preventDefault();
    focusCard(0);
  }
});
element("day").addEventListener("change", () => ask({ day: element("day").value }));
element("statuses").addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (button) ask({ status: button.dataset.status });
});
element("again").addEventListener("click", () => ask({}));
element("fresh").addEventListener("click", () => ask({}));
grid.addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (button) openAt(Number(button.dataset.index));
});
grid.addEventListener("focusin", (event) => {
  const index = Number(event.target.dataset.index);
  if (Number.isInteger(index) && index !== focused) focusCard(index);
});
grid.addEventListener("keydown", move);
document.addEventListener("keydown", (event) => {
  if (event.key !== "/" || event.target.closest("input, dialog")) return;
  event.preventDefault();
  element("query").focus();
});
document.addEventListener("visibilitychange", showStanding);
new IntersectionObserver((entries) => entries.some((entry) => entry.isIntersecting) && loadMore(), {
  rootMargin: "1500px",
}).observe(element("end"));

viewer.connect({ step, changed, closed: () => focusCard(opened) });
ask({});
showStanding();
setInterval(showStanding, STANDING_MS);
