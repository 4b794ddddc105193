// Asks the site how far the survey is, twice a second, until it is finished.
"use strict";

const EVERY = 500; // milliseconds between two questions
const PATIENCE = 5000; // milliseconds in which no task ends and no worker is seen, until the page says so
const button = document.querySelector(".intro button");
const panel = document.getElementById("progress");
const show = (name) => document.querySelector(`[data-show="${name}"]`);
let moved = performance.now(); // when the last task was seen to end
const number = new Intl.NumberFormat("en");

// One small square for each task: those that failed, those that are done, those that wait.
function draw(canvas, state, ended) {
  const style = getComputedStyle(canvas);
  const width = canvas.parentElement.clientWidth;
  const columns = Math.floor(width / (width < 500 ? 7 : 11));
  const step = width / columns;
  const rows = Math.ceil(state.total / columns);
  const scale = window.devicePixelRatio || 1;
  canvas.width = width * scale;
  canvas.height = rows * step * scale;
  canvas.style.height = `${rows * step}px`;
  const pen = canvas.getContext("2d");
  pen.scale(scale, scale);
  for (let index = 0; index < state.total; index++) {
    const kind = index < state.failed ? "failed" : index < ended ? "done" : "waiting";
    pen.fillStyle = style.getPropertyValue(`--${kind}`);
    // A little unevenness, always the same for one square, so that the field looks alive.
    pen.globalAlpha = kind === "done" ? 0.65 + ((Math.imul(index + 1, 2654435761) >>> 20) % 90) / 255 : 1;
    const size = Math.round(step) - 2;
    pen.fillRect(Math.round((index % columns) * step), Math.round(Math.floor(index / columns) * step), size, size);
  }
}

// Fills the squares up to the new count within the time until the next answer.
function glide(canvas, from, state) {
  const still = window.matchMedia("(prefers-reduced-motion: reduce)").matches;
  const begin = performance.now();
  const frame = (now) => {
    const part = still ? 1 : Math.min(1, (now - begin) / EVERY);
    draw(canvas, state, Math.round(from + (state.ended - from) * part));
    if (part < 1) requestAnimationFrame(frame);
  };
  requestAnimationFrame(frame);
}

function write(state) {
  const percent = Math.floor((100 * state.ended) / state.total);
  show("percent").textContent = percent;
  show("ended").textContent = number.format(state.ended);
  show("seconds").textContent = state.seconds.toFixed(1);
  show("rate").textContent = state.ended ? number.format(Math.round(state.ended / state.seconds)) : "–";
  show("workers").textContent = state.workers;
  const stalled = !state.finished && state.workers === 0 && performance.now() - moved > PATIENCE;
  show("stalled").hidden = !stalled;
  button.disabled = !state.finished && !stalled;
  show("latest").hidden = state.finished;
  show("latest").replaceChildren(...state.latest.map((file) => {
    const line = document.createElement("li");
    const tokens = document.createElement("span");
    tokens.textContent = `${number.format(file.tokens)} tokens`;
    line.append(file.path, tokens);
    return line;
  }));
  panel.querySelector("[role=progressbar]").setAttribute("aria-valuenow", state.ended);
  // Read aloud at every quarter only: a screen reader has better things to say.
  const spoken = state.finished ? "The survey is finished." : `${percent - (percent % 25)} percent`;
  if (show("spoken").textContent !== spoken) show("spoken").textContent = spoken;
}

async function load(address) {
  const answer = await fetch(address, { cache: "no-store" });
  if (answer.status === 404) location.reload(); // this survey has been deleted
  if (!answer.ok) throw new Error(`${address}: ${answer.status}`);
  return answer;
}

async function watch(state) {
  const canvas = panel.querySelector("canvas");
  window.addEventListener("resize", () => draw(canvas, state, state.ended));
  window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => draw(canvas, state, state.ended));
  glide(canvas, state.finished ? state.ended : 0, state);
  write(state);
  while (!state.finished) {
    await new Promise((wake) => setTimeout(wake, EVERY));
    try {
      const next = await (await load(panel.dataset.progress)).json();
      if (next.failed !== state.failed || next.finished) {
        document.getElementById("findings").innerHTML = await (await load(panel.dataset.findings)).text();
      }
      if (next.ended !== state.ended) moved = performance.now();
      glide(canvas, state.ended, next);
      state = next;
      write(state);
    } catch (error) {
      console.warn("The site does not answer, asking again.", error);
    }
  }
}

button.form.addEventListener("submit", () => { button.disabled = true; });
if (panel) watch(JSON.parse(document.getElementById("progress-now").textContent));
