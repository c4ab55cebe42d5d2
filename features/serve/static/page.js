"use strict";
// The stage: a picture with dots, crops drawn on it, and what is like each. The server renders all
// lists; this shows one of them, asks for those of crops and photos, and nothing else.

const stage = document.querySelector("[data-stage]");
const SVG = "http://www.w3.org/2000/svg";
const LARGEST = 1600; // longest side of a photo that is sent, pixels
const MOVED = 8; // CSS pixels from which a press is a crop and no tap

if (stage) {
  const find = (selector) => stage.querySelector(selector);
  const photo = find(".photo");
  const picture = photo.querySelector("img");
  const cropButton = find("[data-crop]");
  let sent = null; // the photo that was chosen
  let asked = null; // the request under way
  let crop = null; // [x1, y1, x2, y2] in pixels of the image

  const dots = () => photo.querySelector(".dots");
  const say = (text, wrong = false) => {
    find("[data-status]").textContent = text;
    find("[data-status]").classList.toggle("wrong", wrong);
  };

  function select(key) {
    const shown = find(".shown");
    const next = find(`template[data-of="${key}"]`);
    if (next) {
      const old = document.createElement("template");
      if (shown.dataset.of) {
        old.dataset.of = shown.dataset.of;
        old.content.append(...shown.childNodes);
        shown.after(old);
      }
      shown.replaceChildren(...next.content.childNodes);
      shown.dataset.of = key;
      next.remove();
    }
    for (const link of stage.querySelectorAll("[data-key]")) {
      if (link.dataset.key === key) link.setAttribute("aria-current", "true");
      else link.removeAttribute("aria-current");
    }
    for (const mark of stage.querySelectorAll("[data-mark]")) {
      mark.toggleAttribute("data-selected", mark.dataset.mark === key);
    }
    if (key !== "crop") erase();
    find(`.chip[data-key="${key}"]`)?.scrollIntoView({ block: "nearest", inline: "nearest" });
    const name = find(`.chip[data-key="${key}"]`)?.textContent.trim();
    const n = shown.querySelectorAll("li").length;
    if (name) say(`${name}: ${n} ${n === 1 ? "pin" : "pins"}, the likest first.`);
    if (!sent && key !== "crop") history.replaceState(null, "", `?object=${key}`);
  }

  stage.addEventListener("click", (event) => {
    const link = event.target.closest("[data-key]");
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    select(link.dataset.key);
  });

  // --- asking the server ---------------------------------------------------------------------

  async function ask(box) {
    asked?.abort();
    asked = new AbortController();
    const mine = asked;
    photo.classList.add("busy");
    say("Searching …");
    try {
      const answer = await fetch(...request(box, mine.signal));
      const text = await answer.text();
      if (!answer.ok) throw new Error(reason(text, answer.status));
      const found = new DOMParser().parseFromString(text, "text/html");
      if (box) showCrop(found); else showPhoto(found);
    } catch (error) {
      if (error.name !== "AbortError") say(`${error.message}`, true);
    } finally {
      if (asked === mine) photo.classList.remove("busy");
    }
  }

  function request(box, signal) {
    const text = box?.map((edge) => edge.toFixed(1)).join(",");
    if (!sent) return [`${stage.dataset.stage}?box=${text}`, { signal }];
    const body = new FormData();
    body.append("image", sent, "photo");
    if (box) body.append("box", text);
    return [stage.dataset.stage, { method: "POST", body, signal }];
  }

  function reason(text, status) {
    try {
      return JSON.parse(text).detail;
    } catch {
      return `The server answered ${status}; try again.`;
    }
  }

  function showPhoto(found) {
    dots().replaceWith(found.querySelector(".dots"));
    find(".results").replaceWith(found.querySelector(".results"));
    crop = null;
    select(find(".shown").dataset.of ?? "");
    if (!find(".chip")) say("");
  }

  function showCrop(found) {
    const list = document.createElement("template");
    list.dataset.of = "crop";
    list.content.append(...found.querySelector(".shown").childNodes);
    find('template[data-of="crop"]')?.remove();
    const shown = find(".shown");
    if (shown.dataset.of === "crop") delete shown.dataset.of;
    shown.after(list);
    if (!find('.chip[data-key="crop"]')) {
      const chip = document.createElement("a");
      chip.className = "chip";
      chip.href = "#";
      chip.dataset.key = "crop";
      chip.textContent = "Your crop";
      find(".chips").prepend(chip);
    }
    const box = crop;
    select("crop");
    if (box) draw(box);
  }

  // --- crops ---------------------------------------------------------------------------------

  const size = () => dots().viewBox.baseVal;

  function point(event) {
    const at = new DOMPoint(event.clientX, event.clientY)
      .matrixTransform(dots().getScreenCTM().inverse());
    const kept = (edge, most) => Math.min(Math.max(edge, 0), most);
    return [kept(at.x, size().width), kept(at.y, size().height)];
  }

  function draw(box) {
    crop = box;
    const [x1, y1, x2, y2] = box;
    const { width, height } = size();
    let group = photo.querySelector(".crop");
    if (!group) {
      group = document.createElementNS(SVG, "g");
      group.setAttribute("class", "crop");
      group.setAttribute("tabindex", "0");
      group.setAttribute("role", "button");
      group.setAttribute("aria-label",
        "Crop: arrows move it, Shift and arrows change its size, Enter searches, Escape removes it");
      const shade = document.createElementNS(SVG, "path");
      shade.setAttribute("class", "shade");
      shade.setAttribute("fill-rule", "evenodd");
      const edge = document.createElementNS(SVG, "rect");
      edge.setAttribute("class", "edge");
      group.append(shade, edge);
      group.addEventListener("keydown", onKey);
    }
    if (group.parentNode !== dots()) dots().append(group);
    group.firstChild.setAttribute("d",
      `M0 0H${width}V${height}H0ZM${x1} ${y1}H${x2}V${y2}H${x1}Z`);
    const edge = group.lastChild;
    edge.setAttribute("x", x1);
    edge.setAttribute("y", y1);
    edge.setAttribute("width", x2 - x1);
    edge.setAttribute("height", y2 - y1);
    return group;
  }

  function erase() {
    crop = null;
    photo.querySelector(".crop")?.remove();
    cropping(false);
  }

  function cropping(on) {
    photo.classList.toggle("cropping", on);
    cropButton.setAttribute("aria-pressed", String(on));
  }

  cropButton.addEventListener("click", () => {
    if (photo.classList.contains("cropping")) return erase();
    const { width, height } = size();
    cropping(true);
    draw([0.25 * width, 0.25 * height, 0.75 * width, 0.75 * height]).focus();
    say("Draw a box on the picture, or move this one with the arrows and press Enter.");
  });

  function onKey(event) {
    const { width, height } = size();
    const step = 0.03 * Math.max(width, height);
    const by = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (event.key === "Enter" || event.key === " ") ask(crop);
    else if (event.key === "Escape") { erase(); cropButton.focus(); }
    else if (by) draw(event.shiftKey ? resized(by, step) : shifted(by, step));
    else return;
    event.preventDefault();
  }

  function resized([right, down], step) {
    const [x1, y1, x2, y2] = crop;
    const { width, height } = size();
    return [x1, y1, Math.min(Math.max(x2 + right * step, x1 + step), width),
      Math.min(Math.max(y2 + down * step, y1 + step), height)];
  }

  function shifted([right, down], step) {
    const [x1, y1, x2, y2] = crop;
    const { width, height } = size();
    const dx = Math.min(Math.max(right * step, -x1), width - x2);
    const dy = Math.min(Math.max(down * step, -y1), height - y2);
    return [x1 + dx, y1 + dy, x2 + dx, y2 + dy];
  }

  let start = null;
  photo.addEventListener("pointerdown", (event) => {
    const touch = event.pointerType === "touch" && !photo.classList.contains("cropping");
    if (event.button || touch || event.target.closest("button") || photo.classList.contains("busy")) return;
    start = { at: point(event), x: event.clientX, y: event.clientY, id: event.pointerId, drawn: false };
  });
  photo.addEventListener("pointermove", (event) => {
    if (!start || event.pointerId !== start.id) return;
    if (Math.hypot(event.clientX - start.x, event.clientY - start.y) < MOVED && !start.drawn) return;
    if (!start.drawn) photo.setPointerCapture(event.pointerId);
    start.drawn = true;
    const [x, y] = start.at;
    const [u, v] = point(event);
    draw([Math.min(x, u), Math.min(y, v), Math.max(x, u), Math.max(y, v)]);
  });
  photo.addEventListener("pointerup", () => {
    const was = start;
    start = null;
    if (!was?.drawn || !crop) return;
    cropping(false);
    ask(crop);
  });
  photo.addEventListener("pointercancel", () => { start = null; });
  photo.addEventListener("dragstart", (event) => event.preventDefault());

  // --- photos --------------------------------------------------------------------------------

  async function choose(file) {
    if (!file) return;
    stage.hidden = false;
    for (const other of document.querySelectorAll("[data-shelf], [data-drop]")) other.hidden = true;
    sent = await smaller(file);
    URL.revokeObjectURL(picture.src);
    picture.src = URL.createObjectURL(sent);
    find(".results").replaceChildren();
    dots().replaceChildren();
    window.scrollTo(0, 0);
    await ask(null);
  }

  // A photo of a phone has many more pixels than are looked at: sent smaller, it arrives sooner.
  async function smaller(file) {
    try {
      const whole = await createImageBitmap(file, { imageOrientation: "from-image" });
      const scale = LARGEST / Math.max(whole.width, whole.height);
      if (scale >= 1 && ["image/jpeg", "image/png", "image/webp"].includes(file.type)) return file;
      const canvas = document.createElement("canvas");
      canvas.width = Math.max(1, Math.round(whole.width * Math.min(scale, 1)));
      canvas.height = Math.max(1, Math.round(whole.height * Math.min(scale, 1)));
      canvas.getContext("2d").drawImage(whole, 0, 0, canvas.width, canvas.height);
      return await new Promise((done) => canvas.toBlob((blob) => done(blob ?? file), "image/jpeg", 0.92));
    } catch {
      return file; // the server says what is wrong with it
    }
  }

  const drop = document.querySelector("[data-drop]");
  if (drop) {
    for (const input of document.querySelectorAll("[data-file]")) {
      input.addEventListener("change", () => choose(input.files[0]));
    }
    document.addEventListener("paste", (event) => choose(event.clipboardData?.files[0]));
    document.addEventListener("dragover", (event) => {
      event.preventDefault();
      drop.classList.add("over");
    });
    document.addEventListener("dragleave", (event) => {
      if (!event.relatedTarget) drop.classList.remove("over");
    });
    document.addEventListener("drop", (event) => {
      event.preventDefault();
      drop.classList.remove("over");
      choose(event.dataTransfer.files[0]);
    });
  }
}

// --- the arm switch ----------------------------------------------------------------------------

const arms = document.querySelector("[data-arms]");
if (arms) {
  arms.querySelector("button").hidden = true;
  arms.querySelector("select").addEventListener("change", () => arms.submit());
}
