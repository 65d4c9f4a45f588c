// The grid. Of however many pictures only those near the window are in the page: all rows are equally high, so where
// a row stands is arithmetic, and what is above and below it is padding.

import { hide, show } from "./pictures.js";

const CAPTION_CHARACTERS = 300;
const NEAR_PX = 1000; // above and below the window
const SCROLLED_BY_MS = 120; // whoever rushes by a card does not want its picture

const list = document.getElementById("grid");
const template = document.getElementById("card").content.firstElementChild;
const shown = new Map(); // an image's index and its <li>, of those in the page

export let images = [];
let isAll = false;
let focused = 0;
let columns = 1;
let rowHeight = 1; // with the gap below
let looking = 0;

// ── What is shown ───────────────────────────────────────────────────────────────────────────────────────────────────

export function replace(found, isComplete) {
  [images, focused] = [[], 0];
  place(0, 0);
  add(found, isComplete);
  showPictures();
}

export function add(found, isComplete) {
  images.push(...found);
  isAll = isComplete;
  render();
  showPicturesSoon();
}

export function change(image) {
  const index = images.findIndex((each) => each.id === image.id);
  if (index < 0) return;
  images[index] = image;
  if (!shown.has(index)) return;
  fill(shown.get(index), image);
  showPictures();
}

function render() {
  if (!images.length) {
    list.style.padding = "";
    return;
  }
  if (!shown.size) place(0, 1); // to measure it
  const style = getComputedStyle(list);
  columns = style.gridTemplateColumns.split(" ").length;
  rowHeight = list.firstElementChild.getBoundingClientRect().height + parseFloat(style.rowGap);
  const rows = Math.ceil(images.length / columns);
  const { top } = list.getBoundingClientRect();
  const first = within(0, Math.floor((-top - NEAR_PX) / rowHeight), rows - 1);
  const end = within(first + 1, Math.ceil((innerHeight - top + NEAR_PX) / rowHeight), rows);
  place(first * columns, Math.min(end * columns, images.length));
  list.style.paddingTop = `${first * rowHeight}px`;
  list.style.paddingBottom = `${(rows - end) * rowHeight}px`;
}

const within = (least, value, most) => Math.max(least, Math.min(value, most));

function place(first, end) {
  for (const [index, item] of shown) {
    if (index < first || index >= end) take(index, item);
  }
  const tabStop = within(first, focused, end - 1);
  let next = list.firstElementChild;
  for (let index = first; index < end; index += 1) {
    const known = shown.get(index);
    const item = known ?? card(index);
    if (known) next = item.nextElementSibling;
    else list.insertBefore(item, next);
    item.ariaSetSize = isAll ? images.length : -1;
    item.firstElementChild.tabIndex = index === tabStop ? 0 : -1;
  }
}

function take(index, item) {
  if (item.contains(document.activeElement)) list.focus({ preventScroll: true }); // arrows go on from there
  hide(item.querySelector("img")); // so that nobody waits for it
  item.remove();
  shown.delete(index);
}

function card(index) {
  const item = template.cloneNode(true);
  item.ariaPosInSet = index + 1;
  item.firstElementChild.dataset.index = index;
  item.querySelector("img").addEventListener("error", () => hasPreview(item, false));
  fill(item, images[index]);
  shown.set(index, item);
  return item;
}

function fill(item, image) {
  const words = item.querySelector(".words");
  item.querySelector("bdi").textContent = image.key;
  words.classList.toggle("failed", image.status !== "described");
  words.replaceChildren(...caption(image));
  hasPreview(item, true);
  hide(item.querySelector("img"));
}

function showPicturesSoon() {
  clearTimeout(looking);
  looking = setTimeout(showPictures, SCROLLED_BY_MS);
}

function showPictures() {
  for (const [index, item] of shown) show(item.querySelector("img"), "thumbnail", images[index]);
}

function hasPreview(item, has) {
  item.querySelector("img").hidden = !has;
  item.querySelector(".no-preview").hidden = has;
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

// ── The keyboard ────────────────────────────────────────────────────────────────────────────────────────────────────

export function focusCard(index) {
  if (!images[index]) return;
  focused = index;
  if (!shown.has(index)) {
    const top = list.getBoundingClientRect().top + scrollY;
    scrollTo(0, top + Math.floor(index / columns) * rowHeight - innerHeight / 2);
  }
  render();
  shown.get(index).firstElementChild.focus();
}

function move(event) {
  const last = images.length - 1;
  const at = {
    ArrowLeft: focused - 1, ArrowRight: focused + 1, ArrowUp: focused - columns, ArrowDown: focused + columns,
    Home: 0, End: last,
  }[event.key];
  if (at === undefined || at < 0) return;
  event.preventDefault();
  focusCard(Math.min(at, last));
}

// `open` is called with the index of the picture that is clicked, `moved` when other pictures may be seen.
export function connect({ open, moved }) {
  let isDue = false;
  const soon = () => {
    showPicturesSoon();
    if (isDue) return;
    isDue = true;
    requestAnimationFrame(() => {
      isDue = false;
      render();
      moved();
    });
  };
  addEventListener("scroll", soon, { passive: true });
  new ResizeObserver(soon).observe(list);
  list.addEventListener("keydown", move);
  list.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (button) open(Number(button.dataset.index));
  });
  list.addEventListener("focusin", (event) => {
    const index = Number(event.target.dataset.index);
    if (Number.isInteger(index)) focused = index;
  });
}
