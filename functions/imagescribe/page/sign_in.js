// Of the hosted page alone: the token that goes with each question. It stays in this tab, and ends with it.

const KEY = "imagescribe-token";
const dialog = document.getElementById("sign-in");
const input = document.getElementById("token");
let given = null;

export async function token() {
  const kept = sessionStorage.getItem(KEY);
  if (kept) return kept;
  given ??= new Promise((done) => {
    const take = () => {
      const pasted = input.value.trim().replace(/^Bearer\s+/i, "");
      if (!/^[\w.-]+$/.test(pasted)) return say("This is no token.");
      sessionStorage.setItem(KEY, pasted);
      input.value = "";
      [document.getElementById("signed-in").onclick, input.onkeydown, given] = [null, null, null];
      dialog.close();
      done(pasted);
    };
    document.getElementById("signed-in").onclick = take;
    input.onkeydown = (event) => event.key === "Enter" && take();
    dialog.oncancel = (event) => event.preventDefault(); // there is nothing to see without one
    dialog.showModal();
    input.focus();
  });
  return given;
}

export function forgetToken(why) {
  sessionStorage.removeItem(KEY);
  say(why);
}

function say(words) {
  document.getElementById("sign-in-problem").textContent = words;
}
