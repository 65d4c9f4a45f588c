// Of the hosted page alone: the token that goes with each question. It stays in this tab, and ends with it.
//
// It is pasted, or comes from its issuer: OpenID Connect's authorization code with PKCE (RFC 7636), by way of the
// issuer's own page and back.

const TOKEN = "imagescribe-token";
const BEGUN = "imagescribe-sign-in";
const HERE = location.origin + location.pathname;

const element = (id) => document.getElementById(id);
let returned = new URLSearchParams(location.search);
let given = null;

export async function token() {
  const kept = sessionStorage.getItem(TOKEN);
  element("sign-out").hidden = !kept;
  if (kept) return kept;
  given ??= obtain();
  return given;
}

export function forgetToken(known, why) {
  if (sessionStorage.getItem(TOKEN) !== known) return; // there is another one by now
  sessionStorage.removeItem(TOKEN);
  say(why);
}

async function obtain() {
  const issuer = await fetch("sign_in.json").then((answer) => answer.json()).catch(() => ({}));
  const obtained = (await redeem(issuer)) ?? (await ask(issuer));
  sessionStorage.setItem(TOKEN, obtained);
  [given, element("sign-out").hidden] = [null, false];
  return obtained;
}

// ── By hand ─────────────────────────────────────────────────────────────────────────────────────────────────────────

function ask(issuer) {
  const dialog = element("sign-in");
  const input = element("token");
  const isClient = Boolean(issuer.client_id);
  [element("with-issuer").hidden, element("with-token").hidden] = [!isClient, isClient];
  element("go").onclick = () => begin(issuer);
  dialog.oncancel = (event) => event.preventDefault(); // there is nothing to see without one
  dialog.showModal();
  if (!isClient) input.focus();
  return new Promise((done) => {
    const take = () => {
      const pasted = input.value.trim().replace(/^Bearer\s+/i, "");
      if (!/^[\w.-]+$/.test(pasted)) return say("This is no token.");
      input.value = "";
      dialog.close();
      done(pasted);
    };
    element("signed-in").onclick = take;
    input.onkeydown = (event) => event.key === "Enter" && take();
  });
}

function say(words) {
  element("sign-in-problem").textContent = words;
}

// ── With the issuer ─────────────────────────────────────────────────────────────────────────────────────────────────

async function begin(issuer) {
  const [state, verifier] = [random(), random()];
  sessionStorage.setItem(BEGUN, JSON.stringify({ state, verifier }));
  const address = new URL(issuer.authorization_endpoint);
  const asked = {
    response_type: "code", scope: "openid", client_id: issuer.client_id, redirect_uri: HERE, state,
    code_challenge: base64url(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(verifier))),
    code_challenge_method: "S256",
  };
  for (const [name, value] of Object.entries(asked)) address.searchParams.set(name, value);
  location.assign(address);
}

// Back from the issuer: its code, and what only this tab knows, for a token. Null where that is not so, or fails.
async function redeem(issuer) {
  const [answer, begun] = [returned, JSON.parse(sessionStorage.getItem(BEGUN) ?? "{}")];
  returned = new URLSearchParams();
  sessionStorage.removeItem(BEGUN);
  if (!issuer.client_id || !answer.has("state")) return null;
  if (answer.get("state") !== begun.state) return refused("This sign-in was not begun in this tab.");
  if (!answer.has("code")) return refused(`The issuer refused: ${answer.get("error_description") ?? answer.get("error")}`);
  const body = new URLSearchParams({
    grant_type: "authorization_code", code: answer.get("code"), code_verifier: begun.verifier,
    client_id: issuer.client_id, redirect_uri: HERE,
  });
  const said = await fetch(issuer.token_endpoint, { method: "POST", body, credentials: "omit" })
    .then((found) => found.json())
    .catch(() => ({ error: "it does not answer" }));
  return said[issuer.token] ?? refused(`The issuer gave no token: ${said.error_description ?? said.error ?? issuer.token}`);
}

function refused(why) {
  say(why);
  return null;
}

const random = () => base64url(crypto.getRandomValues(new Uint8Array(32)));

function base64url(bytes) {
  const text = btoa(String.fromCharCode(...new Uint8Array(bytes)));
  return text.replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}

if (returned.has("state")) history.replaceState(null, "", HERE); // a code that was used is nobody's business
element("sign-out").addEventListener("click", () => {
  sessionStorage.removeItem(TOKEN);
  location.reload();
});
