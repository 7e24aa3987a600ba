// The map: points on a canvas, names above them, zoom and pan, search, and what a point says.

const mapData = document.getElementById("map-data");
if (mapData) drawMap(JSON.parse(mapData.textContent));

function drawMap(data) {
  const frame = document.getElementById("map-frame");
  const canvas = document.getElementById("map-canvas");
  const svg = document.getElementById("map-names");
  const tip = document.getElementById("map-tip");
  const status = document.getElementById("map-status");
  const input = document.getElementById("map-search");
  const context = canvas.getContext("2d");
  const { regions, x, y, region, text, image, sample, percent } = data;
  const n = x.length;
  const mostZoom = 40;
  const density = new Image();
  density.addEventListener("load", () => redraw());
  density.src = data.density;

  // Each point of the data is drawn at (zoom * fitX * x + left, zoom * fitY * y + top). Distances
  // mean little, so that the map may be wider or higher than it was laid out.
  const mostStretched = 1.7;
  let width = 0, height = 0, fitX = 1, fitY = 1, zoom = 1, left = 0, top = 0;
  const screenX = (value) => zoom * fitX * value + left;
  const screenY = (value) => zoom * fitY * value + top;
  let matches = null, chosen = -1, pointed = -1;
  let waits = false;

  const lowered = (words) => words.filter(Boolean).join("\n").toLowerCase();
  const texts = x.map((_, i) => lowered([
    text && text[i], region[i] >= 0 && regions[region[i]].name, region[i] >= 0 && regions[region[i]].label,
  ]));

  function clamp(value, low, high) {
    return Math.min(high, Math.max(low, value));
  }

  function place() {
    const wide = zoom * fitX * data.width, high = zoom * fitY * data.height;
    // The middle of the frame stays over the map.
    left = zoom === 1 ? (width - wide) / 2 : clamp(left, width / 2 - wide, width / 2);
    top = zoom === 1 ? (height - high) / 2 : clamp(top, height / 2 - high, height / 2);
    frame.style.touchAction = zoom > 1 ? "none" : "pan-y";
    frame.dataset.zoom = zoom.toFixed(3);
    redraw();
  }

  function resize() {
    const box = frame.getBoundingClientRect();
    if (!box.width || (box.width === width && box.height === height)) return;
    width = box.width;
    height = box.height;
    const ratio = window.devicePixelRatio || 1;
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    const marginX = 0.09 * width, marginY = 40;
    fitX = (width - 2 * marginX) / Math.max(1, data.width);
    fitY = (height - 2 * marginY) / Math.max(1, data.height);
    [fitX, fitY] = [Math.min(fitX, mostStretched * fitY), Math.min(fitY, mostStretched * fitX)];
    zoom = 1;
    place();
  }

  function zoomAt(factor, toX = width / 2, toY = height / 2) {
    const next = clamp(zoom * factor, 1, mostZoom);
    left = toX - (toX - left) * (next / zoom);
    top = toY - (toY - top) * (next / zoom);
    zoom = next;
    place();
  }

  function redraw() {
    if (waits) return;
    waits = true;
    requestAnimationFrame(() => {
      waits = false;
      draw();
      writeNames();
    });
  }

  const isLit = (i) => (matches ? matches[i] : true) && (chosen < 0 || region[i] === chosen);

  function draw() {
    const isPart = matches !== null || chosen >= 0;
    context.clearRect(0, 0, width, height);
    if (density.complete && density.naturalWidth) {
      context.globalAlpha = isPart ? 0.35 : 1;
      const { left: l, top: t, right: r, bottom: b } = data.density_box;
      context.drawImage(density, screenX(l), screenY(t), zoom * fitX * (r - l), zoom * fitY * (b - t));
    }
    const radius = clamp(1.5 * zoom ** 0.4 * Math.sqrt(width / 900 + 0.3), 1.3, 6);
    for (const lit of isPart ? [false, true] : [true]) {
      context.globalAlpha = lit ? 0.9 : 0.1;
      const size = lit && isPart ? radius + 1 : radius;
      for (let i = 0; i < n; i++) {
        if (isPart && isLit(i) !== lit) continue;
        context.fillStyle = region[i] < 0 ? data.rest : regions[region[i]].color;
        context.beginPath();
        context.arc(screenX(x[i]), screenY(y[i]), size, 0, 2 * Math.PI);
        context.fill();
      }
    }
    context.globalAlpha = 1;
    if (pointed >= 0) {
      context.strokeStyle = getComputedStyle(frame).color;
      context.lineWidth = 2;
      context.beginPath();
      context.arc(screenX(x[pointed]), screenY(y[pointed]), radius + 4, 0, 2 * Math.PI);
      context.stroke();
    }
  }

  // Names: the largest categories first, each where it hides few points and no other name.

  function element(name, attributes, content = "") {
    const made = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    made.textContent = content;
    return made;
  }

  const cell = 8; // pixels
  const widths = new Map();

  function widthOf(name, size) {
    const key = `${size} ${name}`;
    if (!widths.has(key)) {
      context.font = `600 ${size}px ${getComputedStyle(svg).fontFamily}`;
      widths.set(key, context.measureText(name).width);
    }
    return widths.get(key);
  }

  function crowd() {
    const columns = Math.ceil(width / cell), rows = Math.ceil(height / cell);
    const sums = new Float32Array((columns + 1) * (rows + 1));
    for (let i = 0; i < n; i++) {
      const column = Math.floor(screenX(x[i]) / cell), row = Math.floor(screenY(y[i]) / cell);
      if (column < 0 || row < 0 || column >= columns || row >= rows) continue;
      sums[(row + 1) * (columns + 1) + column + 1] += 1;
    }
    for (let row = 1; row <= rows; row++) {
      for (let column = 1; column <= columns; column++) {
        const at = row * (columns + 1) + column;
        sums[at] += sums[at - 1] + sums[at - columns - 1] - sums[at - columns - 2];
      }
    }
    const index = (value, most) => clamp(Math.round(value / cell), 0, most);
    return (box) => {
      const [l, r] = [index(box.l, columns), index(box.r, columns)];
      const [t, b] = [index(box.t, rows), index(box.b, rows)].map((row) => row * (columns + 1));
      return sums[b + r] - sums[b + l] - sums[t + r] + sums[t + l];
    };
  }

  const meets = (a, b) => a.l < b.r && b.l < a.r && a.t < b.b && b.t < a.b;

  // Whether the line from a middle to a name runs through a box.
  function crosses(line, box) {
    for (let step = 0; step <= 12; step++) {
      const share = step / 12;
      const px = line.x1 + share * (line.x2 - line.x1), py = line.y1 + share * (line.y2 - line.y1);
      if (px > box.l && px < box.r && py > box.t && py < box.b) return true;
    }
    return false;
  }

  const side = (line, px, py) =>
    Math.sign((line.x2 - line.x1) * (py - line.y1) - (line.y2 - line.y1) * (px - line.x1));

  const intersect = (a, b) =>
    side(a, b.x1, b.y1) * side(a, b.x2, b.y2) < 0 && side(b, a.x1, a.y1) * side(b, a.x2, a.y2) < 0;

  function writeNames() {
    const size = width < 600 ? 11 : 12.5;
    const tall = 1.3 * size, pad = 3;
    const most = Math.ceil((width * height) / (width < 600 ? 5500 : 6000));
    const farthest = Math.min(120, 0.25 * width);
    const hidden = crowd();
    const boxes = [], lines = [], parts = [];
    const lit = matches && new Set(region.filter((_, i) => matches[i]));
    const order = chosen < 0 ? [...regions.keys()].filter((k) => !lit || lit.has(k)) : [chosen];
    for (const k of order) {
      if (boxes.length >= most) break;
      const { name, color, x: rx, y: ry } = regions[k];
      const atX = screenX(rx), atY = screenY(ry);
      if (atX < 0 || atY < 0 || atX > width || atY > height) continue;
      const wide = widthOf(name, size);
      let best = null;
      for (let distance = 0; distance <= farthest; distance += distance < 40 ? 14 : 22) {
        const n_turns = distance ? 16 : 1;
        for (let turn = 0; turn < n_turns; turn++) {
          const angle = (2 * Math.PI * turn) / n_turns;
          const cx = atX + Math.cos(angle) * (distance + (distance && wide / 2));
          const cy = atY + Math.sin(angle) * (distance + (distance && tall / 2));
          const box = { l: cx - wide / 2 - pad, r: cx + wide / 2 + pad, t: cy - tall / 2 - 1, b: cy + tall / 2 + 1 };
          if (box.l < 2 || box.t < 2 || box.r > width - 2 || box.b > height - 2) continue;
          const line = { x1: atX, y1: atY, x2: clamp(atX, box.l + pad, box.r - pad), y2: clamp(atY, box.t, box.b) };
          const cost = distance / 4 + 1.2 * hidden(box);
          if (best && cost >= best.cost) continue;
          if (boxes.some((other) => meets(box, other) || crosses(line, other))) continue;
          if (lines.some((other) => crosses(other, box) || intersect(line, other))) continue;
          best = { box, cx, cy, line, cost, distance };
        }
        if (best && best.cost <= (distance + 14) / 4) break;
      }
      if (!best) continue;
      boxes.push(best.box);
      lines.push(best.line);
      const { line } = best;
      if (Math.hypot(line.x2 - line.x1, line.y2 - line.y1) > 9) {
        parts.unshift(element("line", { ...line, stroke: color }));
        parts.unshift(element("circle", { cx: atX, cy: atY, r: 3, fill: color }));
      }
      parts.push(element("text", { x: best.cx, y: best.cy, "font-size": size, "data-region": k }, name));
    }
    svg.replaceChildren(...parts);
  }

  // What is said below the map and at the pointer.

  function say() {
    if (chosen >= 0) {
      const { name, size, number } = regions[chosen];
      const link = document.createElement("a");
      link.href = `#category-${number}`;
      link.textContent = "See its card";
      status.replaceChildren(`${name}: ${size.toLocaleString("en-US")}. `, link);
    } else if (matches) {
      const found = matches.reduce((sum, match) => sum + match, 0);
      status.textContent = `${found.toLocaleString("en-US")} of ${n.toLocaleString("en-US")} points match`;
    } else {
      status.textContent = "";
    }
  }

  function choose(k) {
    chosen = k;
    say();
    redraw();
  }

  function nearest(px, py, reach) {
    let best = -1, least = reach * reach;
    for (let i = 0; i < n; i++) {
      const dx = screenX(x[i]) - px, dy = screenY(y[i]) - py;
      const distance = dx * dx + dy * dy;
      if (distance < least && isLit(i)) [best, least] = [i, distance];
    }
    return best;
  }

  function pointAt(i) {
    if (i === pointed) return;
    pointed = i;
    redraw();
    tip.hidden = i < 0;
    if (i < 0) return;
    const line = (tag, content) => {
      const made = document.createElement(tag);
      made.textContent = content;
      return made;
    };
    const parts = [];
    if (image) {
      const picture = document.createElement("img");
      picture.src = image[i];
      picture.alt = "";
      parts.push(picture);
    }
    if (text) parts.push(line("p", text[i]));
    parts.push(line("strong", region[i] < 0 ? "another category" : regions[region[i]].name));
    parts.push(line("small", `number ${sample[i]}, confidence ${percent[i]}%`));
    tip.replaceChildren(...parts);
    const px = screenX(x[i]), py = screenY(y[i]);
    const toLeft = px + 14 + tip.offsetWidth > width ? px - 14 - tip.offsetWidth : px + 14;
    tip.style.left = `${clamp(toLeft, 4, Math.max(4, width - tip.offsetWidth - 4))}px`;
    tip.style.top = `${clamp(py + 10, 4, Math.max(4, height - tip.offsetHeight - 4))}px`;
  }

  // Pointers: one moves the map, two zoom.

  const pointers = new Map();
  let moved = false;
  const offset = (event) => {
    const box = frame.getBoundingClientRect();
    return { x: event.clientX - box.left, y: event.clientY - box.top };
  };
  frame.addEventListener("pointerdown", (event) => {
    if (event.target.closest("button")) return;
    if (!pointers.size) moved = false;
    pointers.set(event.pointerId, offset(event));
    if (event.pointerType !== "touch") frame.setPointerCapture(event.pointerId);
  });
  frame.addEventListener("pointermove", (event) => {
    const to = offset(event), from = pointers.get(event.pointerId);
    if (!from) {
      if (event.pointerType === "mouse") pointAt(nearest(to.x, to.y, 14));
      return;
    }
    const [dx, dy] = [to.x - from.x, to.y - from.y];
    if (!moved && Math.hypot(dx, dy) < 4) return;
    moved = true;
    pointAt(-1);
    const others = [...pointers].filter(([id]) => id !== event.pointerId);
    pointers.set(event.pointerId, to);
    if (others.length) {
      const [other] = others.map(([, at]) => at);
      const before = Math.hypot(from.x - other.x, from.y - other.y) || 1;
      zoomAt(Math.hypot(to.x - other.x, to.y - other.y) / before, (to.x + other.x) / 2, (to.y + other.y) / 2);
    } else if (zoom > 1) {
      left += dx;
      top += dy;
      place();
    }
  });
  for (const name of ["pointerup", "pointercancel"]) {
    frame.addEventListener(name, (event) => {
      if (!pointers.delete(event.pointerId) || moved || name === "pointercancel") return;
      const at = offset(event);
      const under = document.elementsFromPoint(event.clientX, event.clientY).find((e) => e.dataset?.region);
      if (under) {
        choose(chosen === Number(under.dataset.region) ? -1 : Number(under.dataset.region));
      } else if (event.pointerType === "mouse") {
        choose(-1);
      } else {
        pointAt(nearest(at.x, at.y, 24));
      }
    });
  }
  frame.addEventListener("pointerleave", () => pointers.size || pointAt(-1));
  frame.addEventListener("dblclick", (event) => {
    const at = offset(event);
    if (!event.target.closest("button")) zoomAt(2, at.x, at.y);
  });
  // Without a key, the wheel scrolls the page, unless the map has the focus.
  frame.addEventListener("wheel", (event) => {
    if (!event.ctrlKey && !event.metaKey && document.activeElement !== frame) return;
    event.preventDefault();
    const at = offset(event);
    zoomAt(Math.exp(-clamp(event.deltaY, -100, 100) / 250), at.x, at.y);
  }, { passive: false });
  const keys = {
    "+": () => zoomAt(1.5), "=": () => zoomAt(1.5), "-": () => zoomAt(1 / 1.5), 0: () => zoomAt(1 / mostZoom),
    ArrowLeft: () => { left += 60; place(); }, ArrowRight: () => { left -= 60; place(); },
    ArrowUp: () => { top += 60; place(); }, ArrowDown: () => { top -= 60; place(); },
    Escape: () => { pointAt(-1); choose(-1); },
  };
  frame.addEventListener("keydown", (event) => {
    if (event.target !== frame || !keys[event.key] || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    keys[event.key]();
  });
  for (const [id, key] of [["map-in", "+"], ["map-out", "-"], ["map-all", "0"]]) {
    document.getElementById(id).addEventListener("click", keys[key]);
  }
  input.addEventListener("input", () => {
    const query = input.value.trim().toLowerCase();
    matches = query ? texts.map((words) => words.includes(query)) : null;
    chosen = -1;
    say();
    redraw();
  });
  new ResizeObserver(resize).observe(frame);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
  resize();
}
