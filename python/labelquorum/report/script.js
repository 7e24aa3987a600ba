"use strict";

for (const tools of document.querySelectorAll(".tools")) tools.hidden = false;

// Tables: sort by a click on a column's name, search, and download as CSV.

const collator = new Intl.Collator(undefined, { numeric: true });

function valueOf(row, column) {
  const cell = row.cells[column];
  const text = cell.dataset.value ?? cell.textContent.trim();
  const number = Number(text);
  return text !== "" && !Number.isNaN(number) ? number : text;
}

// Empty cells come last in both directions.
function compare(a, b, direction) {
  if (a === "" || b === "") return (a === "") - (b === "");
  if (typeof a === "number" && typeof b === "number") return direction * (a - b);
  return direction * collator.compare(String(a), String(b));
}

function sort(table, column) {
  const header = table.tHead.rows[0].cells[column];
  const direction = header.getAttribute("aria-sort") === "ascending" ? -1 : 1;
  for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
  header.setAttribute("aria-sort", direction > 0 ? "ascending" : "descending");
  const keyed = [...table.tBodies[0].rows].map((row) => [valueOf(row, column), row]);
  keyed.sort((a, b) => compare(a[0], b[0], direction));
  table.tBodies[0].append(...keyed.map((pair) => pair[1]));
}

for (const table of document.querySelectorAll("table.sortable")) {
  for (const [column, header] of [...table.tHead.rows[0].cells].entries()) {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...header.childNodes);
    header.append(button);
    button.addEventListener("click", () => sort(table, column));
  }
}

for (const input of document.querySelectorAll("[data-search]")) {
  const rows = [...document.getElementById(input.dataset.search).tBodies[0].rows];
  const texts = rows.map((row) => row.textContent.toLowerCase());
  const count = document.querySelector(`[data-count="${input.dataset.search}"]`);
  const search = () => {
    const query = input.value.trim().toLowerCase();
    let shown = 0;
    for (const [i, row] of rows.entries()) {
      row.hidden = !texts[i].includes(query);
      shown += !row.hidden;
    }
    count.textContent = `${shown} of ${rows.length} rows`;
  };
  input.addEventListener("input", search);
  search();
}

function field(text) {
  // A spreadsheet would run a text that begins with one of these characters as a formula. An
  // apostrophe is marked, too, so that removing the mark restores every text (see cells.py).
  if (/^[-=+@\t\r\n\uff1d\uff0b\uff0d\uff20']/.test(text) && Number.isNaN(Number(text))) text = `'${text}`;
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

for (const button of document.querySelectorAll("[data-csv]")) {
  button.addEventListener("click", () => {
    const table = document.getElementById(button.dataset.csv);
    const lines = [[...table.tHead.rows[0].cells].map((cell) => field(cell.textContent.trim()))];
    for (const row of table.tBodies[0].rows) {
      lines.push([...row.cells].map((cell) => field(cell.dataset.value ?? cell.textContent.trim())));
    }
    if (table.dataset.emptyColumn) {
      for (const [i, line] of lines.entries()) line.push(i ? "" : table.dataset.emptyColumn);
    }
    const content = lines.map((line) => line.join(",") + "\r\n").join("");
    // The byte order mark tells spreadsheets that this is UTF-8.
    const blob = new Blob(["\ufeff", content], { type: "text/csv" });
    const link = document.createElement("a");
    link.href = URL.createObjectURL(blob);
    link.download = button.dataset.file;
    document.body.append(link);
    link.click();
    link.remove();
    setTimeout(() => URL.revokeObjectURL(link.href), 60000);
  });
}

// The heat map: read a cell with the pointer or the arrow keys.

const cells = document.getElementById("cells");
if (cells) {
  const { names, agreement } = JSON.parse(document.getElementById("agreement-data").textContent);
  const n = names.length;
  const outline = document.getElementById("cell");
  const output = document.getElementById("cell-text");
  let row = 0, column = 0;
  const show = (newRow, newColumn) => {
    row = Math.min(n - 1, Math.max(0, newRow));
    column = Math.min(n - 1, Math.max(0, newColumn));
    const share = agreement[row][column];
    const pair = row === column ? `within ${names[row]}` : `${names[row]} and ${names[column]}`;
    output.textContent = `${pair}: ${share === null ? "no votes" : `${share}% together`}`;
    outline.style.cssText = `display: block; left: ${(column / n) * 100}%; top: ${(row / n) * 100}%; `
      + `width: ${100 / n}%; height: ${100 / n}%`;
  };
  cells.addEventListener("pointermove", (event) => {
    const box = cells.getBoundingClientRect();
    const index = (offset, size) => Math.floor((offset / size) * n);
    show(index(event.clientY - box.top, box.height), index(event.clientX - box.left, box.width));
  });
  const steps = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
  cells.addEventListener("keydown", (event) => {
    const step = steps[event.key];
    if (!step) return;
    event.preventDefault();
    show(row + step[0], column + step[1]);
  });
}

// The map: highlight one category.

const highlight = document.getElementById("highlight");
if (highlight) {
  const marks = [...document.querySelectorAll('#map svg g[id^="map-c"], #map svg g[id^="map-t"]')];
  for (const option of highlight.options) {
    const points = option.value && document.getElementById(`map-c${option.value}`);
    if (!points) continue;
    const title = document.createElementNS("http://www.w3.org/2000/svg", "title");
    title.textContent = option.textContent;
    points.prepend(title);
  }
  highlight.addEventListener("change", () => {
    for (const mark of marks) {
      mark.classList.toggle("dim", highlight.value !== "" && mark.id.slice(5) !== highlight.value);
    }
  });
}
