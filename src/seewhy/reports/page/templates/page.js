"use strict";
// What a reader can do beside reading: sort tables by their heads, and look at pictures at full size. Without this the
// page reads the same.
(() => {
  // tables: numbers by what they are, words by the alphabet; what is missing stays last
  const key = (row, column) => {
    const cell = row.cells[column];
    return cell.dataset.sort !== undefined ? Number(cell.dataset.sort) : cell.classList.contains("number") ? null : cell.textContent.trim() || null;
  };
  const compare = (a, b) =>
    typeof a === "number" && typeof b === "number" ? a - b : typeof a === "number" ? -1 : typeof b === "number" ? 1 : a.localeCompare(b, undefined, { numeric: true });
  for (const table of document.querySelectorAll("table")) {
    const body = table.tBodies[0];
    if (body.rows.length < 2) continue;
    const heads = [...table.tHead.rows[0].cells];
    heads.forEach((head, column) => {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => {
        // numbers are asked for from the largest on, words from the first one on
        const first = head.classList.contains("number") ? "descending" : "ascending";
        const other = first === "ascending" ? "descending" : "ascending";
        const way = head.getAttribute("aria-sort") === first ? other : first;
        for (const each of heads) each.removeAttribute("aria-sort");
        head.setAttribute("aria-sort", way);
        const sign = way === "ascending" ? 1 : -1;
        const rows = [...body.rows].map((row) => [key(row, column), row]);
        rows.sort(([a], [b]) => (a === null || b === null ? (a === null) - (b === null) : sign * compare(a, b)));
        body.append(...rows.map(([, row]) => row));
      });
    });
  }

  // pictures: each becomes a button that opens it; arrow keys go on, Esc closes
  const viewer = document.getElementById("viewer");
  const view = viewer.querySelector(".view");
  const place = viewer.querySelector(".place");
  const pictures = [...document.querySelectorAll("figure > img")];
  const titles = [...document.querySelectorAll("h2, h3")];
  let at = 0;
  const show = (n) => {
    at = (n + pictures.length) % pictures.length;
    const own = pictures[at].closest("figure");
    const large = new Image();
    large.alt = pictures[at].alt;
    large.src = pictures[at].src;
    view.replaceChildren(large, own.querySelector("figcaption").cloneNode(true));
    const title = titles.findLast((each) => each.compareDocumentPosition(own) & Node.DOCUMENT_POSITION_FOLLOWING);
    const words = title ? title.querySelector("bdi").textContent : "";
    place.textContent = `${at + 1} of ${pictures.length}${words && `: ${words}`}`;
  };
  pictures.forEach((picture, n) => {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "open";
    button.title = "Show at full size";
    picture.replaceWith(button);
    button.append(picture);
    button.addEventListener("click", () => {
      show(n);
      viewer.showModal();
    });
  });
  viewer.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (event.target === viewer || (button && button.dataset.close !== undefined)) viewer.close();
    else if (button) show(at + Number(button.dataset.go));
  });
  viewer.addEventListener("keydown", (event) => {
    const to = { ArrowLeft: at - 1, ArrowRight: at + 1, Home: 0, End: pictures.length - 1 }[event.key];
    if (to === undefined || event.altKey || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    show(to);
  });
  viewer.addEventListener("close", () => {
    const button = pictures[at].closest("button");
    button.focus();
    button.scrollIntoView({ block: "nearest" });
  });

  // what is folded is printed
  const folded = [];
  window.addEventListener("beforeprint", () => {
    for (const each of document.querySelectorAll("details:not([open])")) {
      each.open = true;
      folded.push(each);
    }
  });
  window.addEventListener("afterprint", () => {
    for (const each of folded.splice(0)) each.open = false;
  });
})();
