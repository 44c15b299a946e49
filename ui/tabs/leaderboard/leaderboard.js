// Sorting and the sources of cells. The table is redrawn by the server, so every listener sits on what stays.
const tip = document.createElement('div');
tip.setAttribute('role', 'status');
tip.className = 'lb-tip';
tip.hidden = true;
tip.tabIndex = -1;
(element.closest('.gradio-container') || document.body).append(tip);
let pinned = null;

const place = (cell) => {
  const box = cell.getBoundingClientRect();
  const width = Math.min(420, window.innerWidth - 24);
  tip.style.width = width + 'px';
  tip.hidden = false;
  const left = Math.max(12, Math.min(box.left, window.innerWidth - width - 12));
  const below = box.bottom + 6 + tip.offsetHeight < window.innerHeight;
  tip.style.left = left + 'px';
  tip.style.top = Math.max(8, below ? box.bottom + 6 : box.top - 6 - tip.offsetHeight) + 'px';
};
// A cell is of its row and its column; what it does not say itself follows from them.
const column = (cell) => cell.tagName === 'TD'
  ? cell.closest('table').tHead.rows[0].cells[cell.cellIndex] : null;
const told = (cell) => {
  if (cell.dataset.about) return cell.dataset.about;
  const label = cell.closest('tr').querySelector('[data-about]').dataset.about.split('\n')[0];
  const what = column(cell).innerText.replace(/[●▲▼]/g, '').trim();
  return `${label}\n${what}: ${cell.getAttribute('aria-label') || cell.innerText}`;
};
const cardsOf = (cell) => {
  const row = cell.closest('tr');
  const columns = cell.tagName === 'TD' ? [column(cell)]
    : [...row.cells].filter((one) => one.dataset.about).map(column);
  const datasets = columns.map((one) => `dataset:${one.querySelector('[data-sort]')?.dataset.sort}`);
  return [...datasets, `model:${row.dataset.model}`];
};
const show = (cell) => {
  const [head, ...facts] = told(cell).split('\n');
  const title = document.createElement('strong');
  title.textContent = head;
  tip.replaceChildren(title, ...facts.map((fact) => {
    const line = document.createElement('p');
    line.textContent = fact;
    return line;
  }));
  place(cell);
};
// A click adds the cards of the dataset and the model, and what it was clicked on gets the focus back afterwards.
const pin = (cell, byKey) => {
  show(cell);
  for (const id of cardsOf(cell)) {
    const card = document.querySelector(`#leaderboard-cards [data-card="${CSS.escape(id)}"]`)?.cloneNode(true);
    if (!card) continue;
    card.open = cell.tagName === 'TD';
    tip.append(card);
  }
  place(cell);
  pinned = cell;
  tip.setAttribute('role', 'dialog');
  tip.setAttribute('aria-label', told(cell).split('\n')[0]);
  if (byKey) tip.focus({preventScroll: true});
};
// A measured row opens below the table; whoever clicked a number reads its source first and stays where he is.
const open = (run, go) => {
  window.leaderboardGo = go ? run : null;
  trigger('expand', {value: run});
};
const hide = () => {
  if (tip.contains(document.activeElement)) pinned?.focus({preventScroll: true});
  tip.hidden = true;
  pinned = null;
  tip.setAttribute('role', 'status');
  tip.removeAttribute('aria-label');
};

// Rows come as the reader nears their end: the server has them, and the table says of which view it is.
const MORE = 60, MOST = 300;
let last = Promise.resolve(), asking = false;
const next = async (most) => {
  const table = element.querySelector('table.lb[data-query]'), every = element.querySelector('[data-every]');
  const all = Number(table?.dataset.rows ?? 0), body = table?.tBodies[0];
  asking = true;
  try {
    const end = Math.min((body?.rows.length ?? 0) + most, all);
    for (let start = body?.rows.length; start < end; start = body.rows.length) {
      const rows = await server.more_rows(table.dataset.query, start, Math.min(start + MOST, end));
      // A filter may have put another table there.
      if (!table.isConnected || body.rows.length !== start) return;
      body.insertAdjacentHTML('beforeend', rows);
      every.hidden = body.rows.length === all;
    }
  } catch {
    every.textContent = 'The other rows could not be fetched; click to try again';
  } finally {
    asking = false;
  }
};
const reveal = (most) => { last = last.then(() => next(most)); };
element.addEventListener('scroll', ({target}) => {
  if (!asking && target.scrollTop > 0 && target.scrollTop + target.clientHeight > target.scrollHeight - 1800) reveal(MORE);
}, true);
element.addEventListener('focusin', ({target}) => {
  const row = target.closest('tbody tr');
  if (!asking && row && !row.nextElementSibling) reveal(MORE);
});

element.addEventListener('mouseover', (event) => {
  const cell = event.target.closest('[data-about]');
  if (pinned) return;
  if (cell) show(cell); else tip.hidden = true;
});
element.addEventListener('mouseleave', () => { if (!pinned) tip.hidden = true; });
element.addEventListener('click', (event) => {
  const sort = event.target.closest('[data-sort]');
  if (sort) { hide(); trigger('select', {value: sort.dataset.sort}); return; }
  if (event.target.closest('[data-every]')) { reveal(Infinity); return; }
  const look = event.target.closest('[data-look]');
  const cell = event.target.closest('[data-about], td.lb-num, td.lb-none, td.lb-text');
  const row = event.target.closest('[data-row]');
  if (event.target.closest('a')) return;
  if (look || (row && !cell)) { hide(); open(look ? look.dataset.look : row.dataset.row, true); return; }
  if (!cell || cell === pinned) { hide(); return; }
  pin(cell, event.detail === 0);
  if (row && cell.tagName === 'TD') open(row.dataset.row, false);
});
document.addEventListener('click', (event) => {
  if (pinned && !element.contains(event.target) && !tip.contains(event.target)) hide();
});
document.addEventListener('keydown', (event) => { if (event.key === 'Escape') hide(); });
element.addEventListener('scroll', () => { if (!pinned) tip.hidden = true; else hide(); }, true);
// The box stands still in the window: one that was asked for stays with its cell, another goes.
window.addEventListener('scroll', () => {
  if (!pinned) tip.hidden = true; else if (pinned.isConnected) place(pinned); else hide();
}, {passive: true});

// Back and Forward: the view of the address they lead to.
window.addEventListener('mean-opinion-address', (event) => trigger('input', {value: event.detail}));
