// What the page asks its server.

export class Problem extends Error {
  constructor(detail, advice) {
    super(detail);
    this.advice = advice;
  }
}

export async function get(path, asked = {}, signal = undefined) {
  const given = Object.entries(asked).filter(([, value]) => value !== "" && value !== null && value !== undefined);
  const query = new URLSearchParams(given).toString();
  return answered(() => fetch(query ? `${path}?${query}` : path, { signal }));
}

export async function retry(id, force) {
  const headers = { "Content-Type": "application/json" };
  return answered(() => fetch("/retry", { method: "POST", headers, body: JSON.stringify({ id, force }) }));
}

async function answered(ask) {
  let answer;
  try {
    answer = await ask();
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem("The gallery's server does not answer.", "Is `imagescribe gallery` still running? Start it again.");
  }
  const said = await answer.json().catch(() => ({}));
  if (answer.ok) return said;
  throw new Problem(
    said.detail ?? `The gallery's server answered ${answer.status}.`,
    said.advice ?? "Open the address that `imagescribe gallery` printed.",
  );
}

// The parameters tell apart the versions of a picture, also to the browser's cache.
export function pictureUrl(kind, image) {
  const asked = new URLSearchParams({ version: image.version_id, etag: image.etag, size: image.size });
  return `/${kind}/${image.id}?${asked}`;
}

// What a person types into the box, as the query API takes it: the last word may be the beginning of one.
export function asTyped(text) {
  const last = /(?:^|\s)([\p{L}\p{N}]{2,})$/u.exec(text)?.[1];
  const isInPhrase = (text.match(/"/g) ?? []).length % 2 === 1;
  return last && last !== "OR" && !isInPhrase ? `${text} OR ${last}*` : text;
}
