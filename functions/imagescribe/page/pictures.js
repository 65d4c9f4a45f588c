// Where a picture is: with the gallery's own server, or, for the hosted page, under a URL that the API signs.

import { Problem, api, isHosted, own } from "./api.js";

const MAX_ASKED = 6; // side by side, as browsers fetch from one server
const BUSY = new Set([429, 503]); // a full grid can ask for more than the API lets through in a second
const BUSY_MS = 1000;
const waiting = [];
let asking = 0;

// Show a picture ("picture" or "thumbnail") in an <img>, which gets an `error` event where there is none.
export async function show(img, kind, image) {
  const wanted = `${kind} ${image.id} ${image.etag}`;
  if (img.dataset.shows === wanted) return;
  img.dataset.shows = wanted;
  if (!isHosted) {
    img.src = `/${kind}/${image.id}?${version(image)}`;
    return;
  }
  try {
    const { url } = await inTurn(() => img.dataset.shows === wanted && signed(kind, image));
    if (img.dataset.shows === wanted) img.src = url;
  } catch {
    if (img.dataset.shows === wanted) img.dispatchEvent(new Event("error"));
  }
}

export function hide(img) {
  delete img.dataset.shows;
  img.removeAttribute("src");
}

// Called where an <img> got its error: shows something smaller, or says why nothing can be shown.
export async function insteadOf(img, image) {
  if (isHosted && img.dataset.shows?.startsWith("picture ")) {
    show(img, "thumbnail", image);
    return "";
  }
  try {
    if (isHosted) await signed("thumbnail", image);
    else await own(`picture/${image.id}`, Object.fromEntries(version(image)));
  } catch (error) {
    if (error instanceof Problem) return `${error.message} ${error.advice}`;
  }
  return "The picture can't be shown.";
}

// It tells apart the versions of a picture, also to the browser's cache.
const version = (image) => new URLSearchParams({ version: image.version_id, etag: image.etag, size: image.size });

async function signed(kind, image, tries = 5) {
  const size = kind === "thumbnail" ? "thumbnail" : "original";
  try {
    return await api(`images/${image.id}/picture`, { size, redirect: "false" });
  } catch (error) {
    if (!BUSY.has(error.status) || tries === 1) throw error;
    await new Promise((go) => setTimeout(go, BUSY_MS));
    return signed(kind, image, tries - 1);
  }
}

async function inTurn(ask) {
  if (asking === MAX_ASKED) await new Promise((go) => waiting.push(go));
  else asking += 1;
  try {
    return (await ask()) || {};
  } finally {
    if (waiting.length) waiting.shift()();
    else asking -= 1;
  }
}
