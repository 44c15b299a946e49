// What a keyboard and a screen reader need and the framework leaves out: names for the examples, tables that scroll by
// keyboard, a text alternative for every figure, and one stop for a row of tabs, in which the arrow keys move.
(() => {
  const words = (path) => decodeURIComponent(path.split('/').pop().split('?')[0]).replace(/\.\w+$/, '').replaceAll('-', ' ');

  const describe = (plot) => {
    const {layout = {}, data = []} = plot;
    const text = (title) => (title?.text ?? '').replace(/<[^>]*>/g, ' ').trim();
    const axes = [text(layout.yaxis?.title), text(layout.xaxis?.title)].filter(Boolean).join(' against ');
    const names = [...new Set(data.map((trace) => trace.name).filter(Boolean))];
    const parts = [text(layout.title), axes, names.length > 1 && names.length < 12 ? names.join(', ') : ''];
    return `Figure: ${parts.filter(Boolean).join('; ') || 'the numbers on this page, drawn'}.`;
  };

  // plotly's own toolbar is in the way on a phone and hidden by the style sheet; of it, this is what is of use.
  const save = (plot) => plot.querySelector('.modebar-btn[data-title^="Download"], .modebar-btn[data-attr="toImage"]');
  const saveButton = (plot) => {
    const button = document.createElement('button');
    button.className = 'figure-save';
    button.title = 'Download this figure as PNG';
    button.setAttribute('aria-label', button.title);
    button.textContent = '⤓';
    button.addEventListener('click', () => save(plot)?.click());
    return button;
  };

  const SCROLLS = 'pre, .cm-scroller, .table-wrap, .prose table, .pipeline, .lb-scroll, .comparison';

  // Where columns lie beyond the right edge, the style sheet lets what is there fade.
  const cue = (box) => {
    const more = String(box.scrollLeft + box.clientWidth < box.scrollWidth - 2);
    if (box.dataset.fades !== more) box.dataset.fades = more;
  };
  const moved = ({target}) => { if (target.matches?.(SCROLLS)) cue(target); };
  document.addEventListener('scroll', moved, {capture: true, passive: true});

  // What has to be named or made a stop, by its selector, without a look at where it stands.
  const MENDS = {
    '.examples button.gallery-item:not([aria-label])': (item) => {
      const picture = item.querySelector('img');
      if (picture?.src) item.setAttribute('aria-label', `Example photo: ${words(picture.src)}`);
    },
    // The button for more files is a button in a button, named by a word of no language; one in its place presses it.
    'button.icon-button:has(button.upload-container):not([hidden])': (more) => {
      const button = document.createElement('button');
      button.className = `${more.className} add-files`;
      button.title = 'Add files';
      button.setAttribute('aria-label', button.title);
      button.innerHTML = more.querySelector('svg').outerHTML;
      button.addEventListener('click', () => more.querySelector('button.upload-container').click());
      more.hidden = true;
      more.after(button);
    },
    // A button in a link is a second stop for the same thing.
    'a.download-link > button:not([tabindex])': (button) => { button.tabIndex = -1; },
    // A name needs a role; the place of a figure that is still to come has only the first.
    '.empty[aria-label]:not([role])': (place) => place.setAttribute('role', 'img'),
    '.cm-content:not([aria-label])': (code) => code.setAttribute('aria-label', 'Code'),
  };
  const ANY = Object.keys(MENDS).join();
  const mendOne = (node) => {
    for (const [selector, mendIt] of Object.entries(MENDS)) if (node.matches(selector)) mendIt(node);
  };

  const mend = () => {
    document.querySelectorAll(ANY).forEach(mendOne);
    // A photo among results is a button without a name; its caption stands in the same column.
    for (const button of document.querySelectorAll('.image-container > button:not([aria-label])')) {
      const caption = button.closest('.column')?.innerText.trim().split('\n')[0];
      button.setAttribute('aria-label', `Picture: ${caption || 'a map of your photo'}`);
    }
    for (const plot of document.querySelectorAll('.js-plotly-plot')) {
      if (!plot.layout) continue;
      plot.setAttribute('role', 'figure');
      plot.setAttribute('aria-label', describe(plot));
      if (!plot.querySelector('.figure-save') && save(plot)) plot.append(saveButton(plot));
    }
    for (const list of document.querySelectorAll('[role=tablist]')) {
      const tabs = [...list.querySelectorAll('[role=tab]')];
      const chosen = tabs.find((tab) => tab.ariaSelected === 'true') ?? tabs[0];
      for (const tab of tabs) {
        const stop = tab === chosen ? 0 : -1;
        if (tab.tabIndex !== stop) tab.tabIndex = stop;
        if (tab.getAttribute('aria-controls') === '') tab.removeAttribute('aria-controls');
      }
    }
    for (const button of document.querySelectorAll('button.add-files')) {
      if (!button.previousElementSibling?.querySelector('button.upload-container')) button.remove();
    }
    for (const box of document.querySelectorAll(SCROLLS)) {
      const scrolls = box.scrollWidth > box.clientWidth || box.scrollHeight > box.clientHeight;
      if (scrolls && box.tabIndex !== 0) box.tabIndex = 0;
      cue(box);
    }
  };

  const step = {ArrowRight: 1, ArrowLeft: -1, Home: -Infinity, End: Infinity};
  document.addEventListener('keydown', (event) => {
    const tab = event.target.closest?.('[role=tab]');
    if (!tab || !(event.key in step) || event.ctrlKey || event.altKey || event.metaKey) return;
    const tabs = [...tab.closest('[role=tablist]').querySelectorAll('[role=tab]')].filter((one) => one.offsetParent);
    const place = tabs.indexOf(tab) + step[event.key];
    const next = tabs.at(Number.isFinite(place) ? place % tabs.length : place < 0 ? 0 : -1);
    event.preventDefault();
    next.click();
    next.focus();
  });

  // A slider answers to the pointer alone: Enter in its number, and a key on its bar, count as letting go.
  document.addEventListener('keydown', ({key, target}) => {
    if (key === 'Enter' && target.matches?.('input[type=number]')) {
      target.blur();
      target.focus();
    }
  });
  document.addEventListener('keyup', ({key, target}) => {
    if (/^(Arrow|Page|Home|End)/.test(key) && target.matches?.('input[type=range]')) {
      target.dispatchEvent(new PointerEvent('pointerup', {bubbles: true}));
    }
  });

  // A click while a score is under way is answered next; the second half of a double click is none.
  document.addEventListener('click', (event) => {
    if (event.detail > 1 && event.target.closest?.('button[id$="-run"]')) event.stopImmediatePropagation();
  }, true);

  // A photo that this browser cannot draw, damaged or of a kind that the server reads (HEIC, TIFF): words in its place.
  const drawn = ({type, target}) => {
    if (target.tagName !== 'IMG' || !target.closest('.picture-input')) return;
    target.closest('button, div').classList.toggle('cannot-be-drawn', type === 'error');
    target.alt = type === 'error' ? 'This browser cannot show the file' : '';
  };
  document.addEventListener('error', drawn, true);
  document.addEventListener('load', drawn, true);

  // The framework draws an error for the eye, in a box that comes and goes; this one stays, and is read out at once.
  const spoken = Object.assign(document.createElement('div'), {className: 'spoken-errors'});
  spoken.setAttribute('role', 'alert');
  document.body.append(spoken);
  const speak = () => {
    const boxes = [...document.querySelectorAll('.toast-body.error')];
    for (const box of boxes) if (box.ariaLive !== 'off') box.setAttribute('aria-live', 'off');
    const words = boxes.map((box) => (box.querySelector('.toast-text, .toast-message') ?? box).innerText.trim()).join(' ');
    if (spoken.textContent !== words) spoken.textContent = words;
  };

  let due = 0;
  const later = () => { due ||= setTimeout(() => { due = 0; mend(); speak(); }, 150); };
  // What comes is mended before it is drawn; what its place or its content decides, a moment later.
  const changed = (records) => {
    for (const {addedNodes} of records) {
      for (const node of addedNodes) {
        if (node.nodeType !== Node.ELEMENT_NODE) continue;
        if (node.matches(ANY)) mendOne(node);
        node.querySelectorAll(ANY).forEach(mendOne);
      }
    }
    later();
  };
  new MutationObserver(changed).observe(document.documentElement,
    {childList: true, subtree: true, attributes: true, attributeFilter: ['aria-selected', 'aria-controls']});
  addEventListener('resize', later);
  later();
})();
