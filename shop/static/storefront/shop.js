"use strict";

const ATTEMPTS = 4;
const pause = (ms) => new Promise((done) => setTimeout(done, ms));

// Forms that write send JSON to the public API, then go on to the page in data-then. Their plain action does the
// same without this script.
for (const form of document.querySelectorAll("form[data-api]")) {
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (form.ariaBusy === "true") return;
    busy(form, true);
    say(form, "");
    try {
      const response = await send(form);
      const answer = await response.json().catch(() => ({}));
      if (response.ok) return goOn(form, answer);
      if (response.status === 401 || response.status === 403) {
        location.assign(`/sign-in/?next=${encodeURIComponent(location.pathname)}`);
        return;
      }
      say(form, told(answer) || `The shop answered ${response.status}. Try again.`);
    } catch {
      say(form, "The shop cannot be reached. Nothing is lost: try again, it will not be done twice.");
    }
    busy(form, false);
  });
}

// A page out of the back/forward cache must not stay busy.
addEventListener("pageshow", () => document.querySelectorAll("form[data-api]").forEach((form) => busy(form, false)));

async function send(form) {
  const headers = { "Content-Type": "application/json", "X-CSRFToken": form.elements.csrfmiddlewaretoken.value };
  if (form.elements.key) headers["Idempotency-Key"] = form.elements.key.value;
  const body = JSON.stringify(content(form));
  const attempts = form.elements.key ? ATTEMPTS : 1;
  for (let attempt = 1; ; attempt++) {
    try {
      const response = await fetch(form.dataset.api, { method: "POST", headers, body });
      if (response.status !== 503 || attempt === attempts) return response;
    } catch (error) {
      if (attempt === attempts) throw error;
    }
    await pause(300 * 2 ** attempt * (0.5 + Math.random()));
  }
}

function content(form) {
  const { csrfmiddlewaretoken, key, order, next, ...fields } = Object.fromEntries(new FormData(form));
  if ("lines" in fields) fields.lines = JSON.parse(fields.lines);
  return fields;
}

function goOn(form, answer) {
  if (form.elements.order) form.elements.order.value = answer.id;
  form.action = form.dataset.then;
  form.submit();
}

function told(answer) {
  if (answer.detail) return String(answer.detail);
  return Object.entries(answer).map(([field, errors]) => `${field}: ${words(errors)}`).join(" ");
}

function words(errors) {
  if (errors !== null && typeof errors === "object") return Object.values(errors).map(words).join(" ");
  return String(errors);
}

function say(form, text) {
  const place = form.querySelector(".problem");
  place.textContent = text;
  place.hidden = !text;
}

function busy(form, is) {
  form.ariaBusy = String(is);
  form.querySelector("button.main").disabled = is;
}

// An order's page follows the order until it is settled.
const followed = document.querySelector("[data-refresh]");
if (followed) follow(followed);

async function follow(place) {
  const settled = () => place.querySelector("[data-settled=yes]") !== null;
  for (let wait = 500; !settled(); wait = Math.min(wait * 1.15, 5000)) {
    await pause(wait);
    if (document.hidden) continue;
    const response = await fetch(place.dataset.refresh).catch(() => null);
    if (!response?.ok || response.redirected) continue;
    renew(place, await response.text());
  }
}

// The state stays the same element, so that a screen reader hears of its change and of nothing else.
function renew(place, html) {
  const fresh = new DOMParser().parseFromString(html, "text/html").querySelector(".status");
  const [state, status] = [place.querySelector(".state"), place.querySelector(".status")];
  const freshState = fresh?.querySelector(".state");
  if (!freshState || fresh.isEqualNode(status)) return;
  if (!freshState.isEqualNode(state)) {
    state.className = freshState.className;
    state.replaceChildren(...freshState.childNodes);
  }
  while (state.nextSibling) state.nextSibling.remove();
  freshState.remove();
  status.append(...fresh.childNodes);
  status.dataset.settled = fresh.dataset.settled;
}
