// What the page asks. `imagescribe gallery` serves it on 127.0.0.1 and signs what it asks; the HTTP API serves it beside
// itself, and takes a token with each question.

import { forgetToken, token } from "./sign_in.js";

export const isHosted = location.pathname.endsWith("/gallery/index.html");

export class Problem extends Error {
  constructor(detail, advice) {
    super(detail);
    this.advice = advice;
  }
}

// The stack's query API.
export async function api(path, asked = {}, signal = undefined) {
  if (!isHosted) return answered(withQuery(`/api/${path}`, asked), { signal });
  const bearer = await token();
  const headers = { Authorization: `Bearer ${bearer}` };
  try {
    return await answered(withQuery(`../${path}`, asked), { signal, headers });
  } catch (error) {
    if (error.status !== 401) throw error;
    forgetToken(bearer, "The API does not take this token: it may be over.");
    return api(path, asked, signal);
  }
}

// The gallery's own server, of which the hosted page has none.
export async function own(path, asked = {}) {
  return answered(withQuery(`/${path}`, asked), {});
}

export async function retry(id, force) {
  const headers = { "Content-Type": "application/json" };
  return answered("/retry", { method: "POST", headers, body: JSON.stringify({ id, force }) });
}

function withQuery(path, asked) {
  const given = Object.entries(asked).filter(([, value]) => value !== "" && value !== null && value !== undefined);
  return given.length ? `${path}?${new URLSearchParams(given)}` : path;
}

async function answered(address, options) {
  let answer;
  try {
    answer = await fetch(address, options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    if (isHosted) throw new Problem("The API does not answer.", "Check the network, and try again.");
    throw new Problem("The gallery's server does not answer.", "Is `imagescribe gallery` still running? Start it again.");
  }
  const said = await answer.json().catch(() => ({}));
  if (answer.ok) return said;
  const problem = new Problem(
    said.detail ?? `The ${isHosted ? "API" : "gallery's server"} answered ${answer.status}.`,
    said.advice ?? (isHosted ? "Try again in a minute." : "Open the address that `imagescribe gallery` printed."),
  );
  problem.status = answer.status;
  throw problem;
}

// What a person types into the box, as the query API takes it: the last word may be the beginning of one.
export function asTyped(text) {
  const last = /(?:^|\s)([\p{L}\p{N}]{2,})$/u.exec(text)?.[1];
  const isInPhrase = (text.match(/"/g) ?? []).length % 2 === 1;
  return last && last !== "OR" && !isInPhrase ? `${text} OR ${last}*` : text;
}
