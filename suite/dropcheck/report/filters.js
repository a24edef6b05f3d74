"use strict";
// Copy buttons of commands; filter and sorting of the matrix. Everything is there and readable without them.
(() => {
  for (const box of document.querySelectorAll(".command")) {
    const button = document.createElement("button"), text = box.querySelector("pre");
    button.type = "button";
    button.textContent = "Copy";
    button.addEventListener("click", async () => {
      let done = true;
      try {
        await navigator.clipboard.writeText(text.textContent);
      } catch { // not allowed here: select the text, and try the older way
        getSelection().selectAllChildren(text);
        done = document.execCommand("copy");
      }
      button.textContent = done ? "Copied" : "Selected";
    });
    box.append(button);
  }
  const table = document.getElementById("claims"), form = document.getElementById("filter");
  if (!table || !form) return;
  const body = table.tBodies[0], rows = [...body.rows];
  const text = document.getElementById("filter-text"), verdict = document.getElementById("filter-verdict");
  const told = document.getElementById("filter-told");
  const order = ["fail", "edge", "trait", "error", "inconclusive", "waived", "pass", "skipped"];
  const of = (row) => document.getElementById(row.dataset.of);
  const words = new Map(rows.map((row) => [row, (of(row).querySelector("h3").textContent + " " +
    [...of(row).querySelectorAll(".case h4, .case .check")].map((h) => h.textContent).join(" ")).toLowerCase()]));
  const has = (row, wanted) => !wanted || row.dataset.verdict === wanted ||
    (wanted !== "pass" && [...row.cells].some((cell) => cell.querySelector("a." + wanted)));
  const filter = () => {
    const wanted = text.value.trim().toLowerCase();
    let shown = 0;
    for (const row of rows) {
      const on = words.get(row).includes(wanted) && has(row, verdict.value);
      row.hidden = of(row).hidden = !on;
      shown += on;
    }
    told.value = shown === rows.length ? `${shown} implementations` : `${shown} of ${rows.length} implementations`;
  };
  const rank = (row, column) => {
    const cell = row.cells[column];
    if (column === 0) return cell.textContent;
    const link = cell.querySelector("a");
    const at = link ? order.indexOf(link.className) : order.length;
    return at < 0 ? cell.textContent : at;
  };
  const heads = [...table.tHead.rows[0].cells];
  if (rows.length > 1) heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const down = head.getAttribute("aria-sort") === "ascending";
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const keys = new Map(rows.map((row) => [row, rank(row, column)]));
      const compare = (a, b) => (keys.get(a) < keys.get(b) ? -1 : keys.get(a) > keys.get(b) ? 1 : 0);
      body.append(...[...rows].sort((a, b) => (down ? -1 : 1) * compare(a, b)));
    });
  });
  // a link to something that the filter hides shows it again
  const reveal = () => {
    const aim = location.hash.length > 1 && document.getElementById(location.hash.slice(1));
    if (!aim) return;
    if (aim.closest("[hidden]")) { text.value = verdict.value = ""; filter(); }
    for (let at = aim; at; at = at.parentElement) if (at.localName === "details") at.open = true;
    aim.scrollIntoView();
  };
  text.addEventListener("input", filter);
  verdict.addEventListener("input", filter);
  form.addEventListener("submit", (event) => event.preventDefault());
  addEventListener("hashchange", reveal);
  form.hidden = rows.length < 2;
  filter();
  reveal();
})();
