// The texts of a page that stand out too little from what is behind them, by WCAG 2.2, 1.4.3 (AA). Beside what the page
// shows now, specimens of all that it may show.
const specimens = document.createElement("div");
const tones = ["well", "note", "warn", "bad"];
const inside = `text <a href="/">link</a> <code>code</code> <span class="dim">dim</span> <span class="hidden">\\u{a}</span>`;
specimens.innerHTML = tones.map((tone) =>
  `<section class="verdict ${tone}"><p class="sign">!</p><div><h1>head</h1><p>${inside}</p></div></section>
   <article class="card ${tone}"><h3>head</h3><span class="badge ${tone}">word</span><p>${inside}</p></article>
   <p>${inside} <span class="badge ${tone}">word</span></p>`).join("") +
  `<ul class="findings"><li class="bad"><h3>head</h3><p class="remedy">${inside}</p><pre class="body">${inside}</pre></li></ul>
   <div class="wide"><table><thead><tr><th>head</th></tr></thead><tbody><tr><td><s class="dim">cell</s> ${inside}</td></tr></tbody></table></div>
   <article class="version gone"><p>${inside}</p></article><details open><summary>more</summary></details>
   <section class="login"><label>label</label><input value="text"><p class="wrong">wrong</p><p class="dim">dim</p>
   <button>go</button><button class="quiet">go</button></section>`;
document.querySelector("main").append(specimens);
const [stamp, wasStale, said] = [document.getElementById("stamp"), document.body.className, document.getElementById("stamp").textContent];
document.body.classList.add("stale");
stamp.textContent = "no answer";

const parts = (colour) => {
  const [red, green, blue, alpha = 1] = colour.match(/[\d.]+/g).map(Number);
  return { pixel: [red, green, blue], alpha };
};
const mix = (front, behind, alpha) => front.map((value, place) => alpha * value + (1 - alpha) * behind[place]);
// What is behind the texts of an element, before it is made fainter as a whole.
const ground = (element) => {
  if (!element) return [255, 255, 255];
  const { pixel, alpha } = parts(getComputedStyle(element).backgroundColor);
  return mix(pixel, ground(element.parentElement), alpha);
};
const shown = (element, pixel) => {
  for (let at = element; at; at = at.parentElement) {
    pixel = mix(pixel, ground(at.parentElement), Number(getComputedStyle(at).opacity));
  }
  return pixel;
};
const luminance = (pixel) => {
  const [red, green, blue] = pixel.map((value) => value / 255)
    .map((value) => (value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4));
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
};

const faint = new Set();
let measured = 0;
const measure = (element, style, text) => {
  const { pixel, alpha } = parts(style.color);
  const behind = ground(element);
  const pair = [mix(pixel, behind, alpha), behind].map((one) => luminance(shown(element, one))).sort((one, other) => other - one);
  const ratio = (pair[0] + 0.05) / (pair[1] + 0.05);
  const size = parseFloat(style.fontSize);
  const isLarge = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
  measured += 1;
  if (ratio < (isLarge ? 3 : 4.5)) {
    faint.add(`${ratio.toFixed(2)}: ${element.localName}.${element.className || element.parentElement.className} ${text.trim().slice(0, 30)}`);
  }
};
for (const element of document.body.querySelectorAll("*")) {
  const style = getComputedStyle(element);
  if (element.getClientRects().length === 0 || style.visibility !== "visible") continue;
  const own = [...element.childNodes].filter((node) => node.nodeType === Node.TEXT_NODE).map((node) => node.data).join("");
  if (own.trim() || element.matches("input")) measure(element, style, own || element.value || element.type);
  for (const pseudo of ["::before", "::after"]) {
    const before = getComputedStyle(element, pseudo);
    if (!["none", "normal", '""'].includes(before.content)) measure(element, before, `${pseudo} ${before.content}`);
  }
}
specimens.remove();
stamp.textContent = said;
document.body.className = wasStale;
return measured < 50 ? ["nearly nothing was measured"] : [...faint];
