// Gets the page anew every few seconds and changes what differs, in place: so focus, selection and what is unfolded stay.
"use strict";

const EVERY_MS = 5000;
const stamp = document.getElementById("stamp");
let answered = new Date();

function become(old, now) {
  if (old.nodeType !== now.nodeType || old.nodeName !== now.nodeName) {
    old.replaceWith(document.importNode(now, true));
  } else if (old.nodeType !== Node.ELEMENT_NODE) {
    if (old.data !== now.data) old.data = now.data;
  } else if (old !== stamp && old.id !== "stamp") {
    for (const { name } of [...old.attributes]) {
      if (name !== "open" && !now.hasAttribute(name)) old.removeAttribute(name);
    }
    for (const { name, value } of now.attributes) {
      if (old.getAttribute(name) !== value) old.setAttribute(name, value);
    }
    const [before, after] = [[...old.childNodes], [...now.childNodes]];
    after.forEach((child, place) => {
      if (place < before.length) become(before[place], child);
      else old.append(document.importNode(child, true));
    });
    before.slice(after.length).forEach((child) => child.remove());
  }
}

async function look() {
  if (document.hidden || !document.body.hasAttribute("data-refresh")) return;
  try {
    const answer = await fetch(location.href, { headers: { accept: "text/html" }, cache: "no-store" });
    if (answer.redirected) return location.reload();
    if (!(answer.headers.get("content-type") || "").startsWith("text/html")) return;
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    document.title = page.title;
    const icon = document.querySelector("link[rel=icon]");
    const sign = page.querySelector("link[rel=icon]").getAttribute("href");
    if (icon.getAttribute("href") !== sign) icon.setAttribute("href", sign);
    become(document.body, page.body);
    answered = new Date();
    stamp.textContent = "";
    document.body.classList.remove("stale");
  } catch {
    stamp.textContent = `No answer since ${answered.toLocaleTimeString()}: what is shown is as of then`;
    document.body.classList.add("stale");
  }
}

setInterval(look, EVERY_MS);
document.addEventListener("visibilitychange", look);
