// A table of genes: a click on a heading sorts, a click on a row selects its gene. Python holds the state: clicks are
// sent there, and the table is drawn again from the traits "content" and "selected".

function heading(column, send) {
  const cell = document.createElement("th");
  cell.scope = "col";
  cell.setAttribute("aria-sort", column.sorted);
  const button = document.createElement("button");
  button.type = "button";
  button.dataset.column = column.name;
  button.title = `Sort by ${column.label}`;
  button.append(column.label);
  const arrow = document.createElement("span");
  arrow.setAttribute("aria-hidden", "true");
  arrow.textContent = { ascending: " ▲", descending: " ▼", none: "" }[column.sorted];
  button.append(arrow);
  button.addEventListener("click", () => send({ sort: column.name }));
  cell.append(button);
  return cell;
}

function row(gene) {
  const element = document.createElement("tr");
  element.dataset.gene = gene.id;
  gene.cells.forEach((text, place) => {
    const cell = document.createElement(place ? "td" : "th");
    if (place) {
      cell.textContent = text;
    } else {
      cell.scope = "row";
      const button = document.createElement("button");
      button.type = "button";
      button.title = gene.id;
      button.textContent = text;
      cell.append(button);
    }
    element.append(cell);
  });
  return element;
}

function render({ model, el }) {
  const box = document.createElement("div");
  box.className = "sct-genes";
  el.append(box);

  // One row can be reached with the tab key, the others from it with the arrow keys.
  const mark = () => {
    const rows = [...box.querySelectorAll("tbody tr")];
    const current = rows.find((element) => element.dataset.gene === model.get("selected"));
    for (const element of rows) {
      element.setAttribute("aria-current", String(element === current));
      element.querySelector("button").tabIndex = element === (current ?? rows[0]) ? 0 : -1;
    }
  };

  const draw = () => {
    const focused = box.contains(document.activeElement) ? document.activeElement.dataset.column : undefined;
    const content = model.get("content");
    const table = document.createElement("table");
    table.createCaption().textContent = content.caption;
    const head = table.createTHead().insertRow();
    head.append(...content.columns.map((column) => heading(column, (message) => model.send(message))));
    const body = table.createTBody();
    body.append(...content.rows.map(row));
    body.addEventListener("click", (event) => {
      const clicked = event.target.closest("tr");
      if (clicked) model.send({ gene: clicked.dataset.gene });
    });
    body.addEventListener("keydown", (event) => {
      const step = { ArrowDown: "nextElementSibling", ArrowUp: "previousElementSibling" }[event.key];
      const next = step && event.target.closest("tr")?.[step];
      if (!next) return;
      event.preventDefault();
      next.querySelector("button").focus();
    });
    box.replaceChildren(table);
    mark();
    if (focused) box.querySelector(`button[data-column="${CSS.escape(focused)}"]`)?.focus();
  };

  model.on("change:content", draw);
  model.on("change:selected", mark);
  draw();
  return () => {
    model.off("change:content", draw);
    model.off("change:selected", mark);
  };
}

export default { render };
